//! An exchange that changes `cookie_domain` too: browsers then hold two cookies of one name, and send the older first.

use super::{Journey, is_old};
use crate::Failure;
use crate::browser::Robot;
use crate::check::SESSION_COOKIE;

impl Journey {
    /// Conclave finds the cookie that counts among them. oauth2-proxy reads the first only: on the way back that is
    /// its own where there was one, and sends round in a circle whoever had none.
    pub async fn exchange_with_another_domain(&mut self, people: &mut [Robot]) -> Result<(), Failure> {
        self.watch.phase("another domain");
        self.gateway.point_at(&self.cluster.addresses(), &self.app.authority()).await?;
        for robot in &mut *people {
            let arrival = self.arrive(robot, &self.app.url("/moved")).await?;
            assert_eq!(arrival.starts, 1, "one login is due");
            let held: Vec<bool> = tickets(robot).iter().map(|ticket| is_old(ticket)).collect();
            assert_eq!(held, [true, false], "the old cookie stays, and comes first");
            for turn in 0..self.cluster.replicas.len() {
                self.arrive_at_once(robot, &self.app.url(&format!("/stays/{turn}"))).await?;
            }
        }
        let mut newcomer = self.browser("newcomer");
        self.arrive(&mut newcomer, &self.app.url("/new")).await?;
        let Some(old) = &self.old else { return Ok(()) };
        self.watch.phase("back from another domain");
        self.gateway.point_at(&[old.proxy.http], &self.app.authority()).await?;
        for robot in people {
            self.arrive_at_once(robot, &self.app.url("/as-if-nothing-had-been")).await?;
        }
        let circle = newcomer.open(&self.app.url("/never-reached")).await;
        assert!(circle.is_err_and(|error| error.to_string().contains("hops")), "oauth2-proxy reads the first only");
        assert!(tickets(&newcomer).first().is_some_and(|first| !is_old(first)), "Conclave's cookie stands before");
        newcomer.jar.forget(self.app.host());
        self.arrive(&mut newcomer, &self.app.url("/reached")).await?;
        Ok(())
    }
}

fn tickets(robot: &Robot) -> Vec<String> {
    let named = robot.jar.all().iter().filter(|cookie| cookie.name == SESSION_COOKIE);
    named.map(|cookie| cookie.value.clone()).collect()
}
