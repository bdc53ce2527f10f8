//! The login behind nginx with Keycloak in place of the npm provider.

use conclave_tests::Failure;
use conclave_tests::browser::Robot;
use conclave_tests::check::{Asker, SESSION_COOKIE};
use conclave_tests::cluster::Options;
use conclave_tests::gateway::{Place, Seen};
use conclave_tests::keycloak::Keycloak;
use conclave_tests::report::Scenario;
use conclave_tests::timing::now;
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keycloak_login() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("keycloak_login", 2, 2, "people");
    let dir = WorkDir::fresh("keycloak_login");
    let place = Place::draw();
    let begun = now();
    let keycloak = Keycloak::start(&dir, &place.callback()).await?;
    scenario.figure("Keycloak up after", format!("{:.0} s", begun.elapsed().as_secs_f64()));
    // Keycloak knows `openid email profile` by name; the groups claim comes from the client's mapper.
    let options = Options::default().flag("--scope=openid email profile");
    let world = World::start_with(dir, place, keycloak.registration(), None, &options).await?;
    let uri = "/deep/page?x=1&y=%2F";
    let mut known = 0;
    for (user, groups) in [("alice", ["admins", "staff"].as_slice()), ("bob", &["staff"])] {
        let mut robot = Robot::new(user).via(&place.authority(), world.gateway.address());
        let home = robot.open(&place.url(uri)).await?;
        assert_eq!(home.url, place.url(uri), "back at the exact URL");
        let seen = Seen::of(&home).ok_or_else(|| format!("not the app: {} {}", home.status, home.body))?;
        let mut in_groups: Vec<&str> = seen.groups.split(',').collect();
        in_groups.sort_unstable();
        assert_eq!((seen.uri.as_str(), in_groups.as_slice()), (uri, groups));
        assert_eq!(seen.email, format!("{user}@example.test"));
        assert_eq!(seen.user.len(), 36, "Keycloak's subject is a UUID: {}", seen.user);
        let ticket = robot.jar.value(SESSION_COOKIE).ok_or("no session cookie")?.to_owned();
        for replica in world.cluster.addresses() {
            assert!(Asker::default().ask(replica, &ticket).await?.admits(&seen.user), "known to {replica}");
            known += 1;
        }
    }
    scenario.held("sessions known to each replica", known);
    scenario.passed();
    Ok(())
}
