//! Beside the old side: Conclave under another cookie name.

use super::{CANARY, CANARY_COOKIE, Journey, Scope, ask_with, value};
use crate::Failure;
use crate::browser::Robot;
use crate::check::SESSION_COOKIE;

impl Journey {
    /// Everybody logs in at the canary too, in the same browser; neither side reads, breaks or deletes what is the
    /// other's.
    pub async fn canary(&mut self, people: &mut [Robot]) -> Result<(), Failure> {
        self.watch.phase(CANARY);
        let page = self.canary.url("/beside");
        for robot in &mut *people {
            let ticket = value(robot, SESSION_COOKIE);
            if self.old.is_some() {
                self.arrive_quietly(robot, &page).await?;
                self.arrive_at_once(robot, &self.app.url("/as-before")).await?;
            } else {
                let arrival = self.arrive(robot, &page).await?;
                assert_eq!(arrival.starts, 1, "the recorded ticket is no session at the canary");
            }
            assert_eq!(value(robot, SESSION_COOKIE), ticket, "the old cookie is as it was");
        }
        assert_eq!(self.forms().await?, people.len() as u64, "a form for each person's first login, and no more");
        let robot = people.first_mut().ok_or("nobody")?;
        self.neither_honours_the_other(robot).await?;
        self.sign_out_at_each(robot).await
    }

    async fn neither_honours_the_other(&self, robot: &Robot) -> Result<(), Failure> {
        let (old, new) = (value(robot, SESSION_COOKIE), value(robot, CANARY_COOKIE));
        let mut tried = vec![
            (self.canary, SESSION_COOKIE, &old),
            (self.canary, CANARY_COOKIE, &old),
            (self.canary, SESSION_COOKIE, &new),
        ];
        if self.old.is_some() {
            tried.extend([
                (self.app, SESSION_COOKIE, &new),
                (self.app, CANARY_COOKIE, &new),
                (self.app, CANARY_COOKIE, &old),
            ]);
        }
        for (place, name, content) in tried {
            let answer = ask_with(place, place.address(), &format!("{name}={content}")).await?;
            assert_eq!(answer.status, 302, "{} honours a session of the other side as {name}", place.authority());
        }
        Ok(())
    }

    async fn sign_out_at_each(&mut self, robot: &mut Robot) -> Result<(), Failure> {
        let ticket = value(robot, SESSION_COOKIE);
        let out = robot.get(&self.canary.url("/oauth2/sign_out?rd=%2F")).await?;
        assert_eq!((out.status, value(robot, CANARY_COOKIE)), (302, String::new()), "signed out at the canary");
        assert_eq!(value(robot, SESSION_COOKIE), ticket, "and nowhere else");
        if self.old.is_some() {
            self.arrive_at_once(robot, &self.app.url("/still-in")).await?;
        }
        self.arrive_quietly(robot, &self.canary.url("/again")).await?;
        if self.old.is_none() {
            return Ok(());
        }
        let session = value(robot, CANARY_COOKIE);
        let out = robot.get(&self.app.url("/oauth2/sign_out?rd=%2F")).await?;
        assert_eq!((out.status, value(robot, SESSION_COOKIE)), (302, String::new()), "signed out at the old side");
        assert_eq!(value(robot, CANARY_COOKIE), session, "and nowhere else");
        self.arrive_at_once(robot, &self.canary.url("/still-in")).await?;
        self.arrive_quietly(robot, &self.app.url("/again")).await
    }

    /// One app's annotations lead to the canary for a while. Who goes back needs no login: the old cookie is there.
    pub async fn app_at_the_canary(&mut self, people: &mut [Robot]) -> Result<(), Failure> {
        self.watch.phase("app at the canary");
        let sign_in = match self.scope {
            Scope::OwnHost | Scope::Narrowed => self.app.authority(),
            Scope::Domain => self.canary.authority(),
        };
        self.gateway.point_at(&[self.beside.http], &sign_in).await?;
        let page = self.app.url("/at-the-canary");
        for robot in &mut *people {
            let ticket = value(robot, SESSION_COOKIE);
            match self.scope {
                Scope::OwnHost | Scope::Narrowed => self.arrive_quietly(robot, &page).await?,
                Scope::Domain => self.arrive_at_once(robot, &page).await?,
            }
            assert_eq!(value(robot, SESSION_COOKIE), ticket, "the old cookie is as it was");
        }
        let Some(old) = &self.old else { return Ok(()) };
        self.watch.phase("back from the canary");
        self.gateway.point_at(&[old.proxy.http], &self.app.authority()).await?;
        for robot in people {
            self.arrive_at_once(robot, &self.app.url("/back-from-the-canary")).await?;
        }
        Ok(())
    }
}
