//! The way back: nginx leads to oauth2-proxy again, whose Redis was never touched.

use super::{Journey, is_old, value};
use crate::Failure;
use crate::browser::Robot;
use crate::check::SESSION_COOKIE;
use crate::http::Answer;
use crate::login::CALLBACK;

impl Journey {
    /// Who never came to Conclave goes on as before; who did is sent round once. Without a running old side: what it
    /// would need is still in the browsers.
    pub async fn way_back(&mut self, movers: &mut [Robot], stayers: &mut [Robot]) -> Result<(), Failure> {
        let Some(old) = &self.old else {
            let recorded = &self.recorded.ticket;
            assert!(stayers.iter().all(|robot| value(robot, SESSION_COOKIE) == *recorded), "their cookies wait");
            return Ok(());
        };
        let redis_side = old.proxy.http;
        let mut late = self.browser("late");
        let callback = late.open_until(&self.app.url("/oauth2/start?rd=%2Flate"), CALLBACK).await?;
        self.watch.phase("way back");
        self.gateway.point_at(&[redis_side], &self.app.authority()).await?;
        for robot in stayers {
            self.arrive_at_once(robot, &self.app.url("/as-if-nothing-had-been")).await?;
        }
        let mut leaver = movers.first().ok_or("nobody")?.clone();
        for robot in movers {
            self.arrive_quietly(robot, &self.app.url("/back")).await?;
            assert!(is_old(&value(robot, SESSION_COOKIE)), "a ticket of oauth2-proxy's again");
            self.arrive_at_once(robot, &self.app.url("/back-again")).await?;
        }
        let page = self.what_oauth2_proxy_makes_a_page_of(&mut late, &callback, 403).await?;
        assert!(page.body.contains("Please try again."), "a page that says what to do: {}", page.body);
        let sign_out = self.app.url("/oauth2/sign_out?rd=%2F");
        self.what_oauth2_proxy_makes_a_page_of(&mut leaver, &sign_out, 500).await?;
        Ok(())
    }

    /// Two things of Conclave's that oauth2-proxy answers with a page of its own: the end of a login begun at Conclave,
    /// and a sign-out with Conclave's cookie, which it takes away all the same. The page's button leads in.
    async fn what_oauth2_proxy_makes_a_page_of(
        &mut self,
        robot: &mut Robot,
        url: &url::Url,
        status: u16,
    ) -> Result<Answer, Failure> {
        let page = robot.get(url).await?;
        assert_eq!((page.status, value(robot, SESSION_COOKIE)), (status, String::new()), "its page: {}", page.body);
        self.tally.pages_of_oauth2_proxy += 1;
        let before = self.forms().await?;
        self.sign_in_by_the_button(robot, &page).await?;
        assert_eq!(self.forms().await?, before, "without a form");
        assert!(is_old(&value(robot, SESSION_COOKIE)), "at oauth2-proxy");
        Ok(page)
    }
}
