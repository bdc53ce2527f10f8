//! Who causes a request, as a real browser says it: a service worker's navigation, pictures, prefetches, other sites.

use std::time::Duration;

use conclave_tests::check::Asker;
use conclave_tests::cluster::Options;
use conclave_tests::gateway::Place;
use conclave_tests::process::run;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::timing::now;
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;
use conclave_tests::{Failure, repository};

/// Browsers trust names below `localhost` without TLS, and send `Sec-Fetch-*` to no other plain hosts.
const HOST: &str = "app.localhost";

/// A local user, with the password `pw`.
const LOCAL_USER: &str = "joe:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_who_asks() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("chromium_who_asks", 1, 1, "browser");
    let (dir, place) = (WorkDir::fresh("chromium_who_asks"), Place::draw_for(HOST));
    let users = dir.join("users");
    std::fs::write(&users, LOCAL_USER)?;
    let provider = Provider::start(&dir, &place.callback()).await?;
    let registration = provider.registration();
    let options = Options::default()
        .flag("--skip-provider-button=false")
        .flag("--max-staleness=2s")
        .flag(&format!("--htpasswd-file={}", users.display()));
    let world = World::start_with(dir, place, &registration, Some(provider), &options).await?;
    let script = repository().join("tests/providers/npm/who_asks.mjs").display().to_string();
    let begun = now();
    let arguments = vec![script, format!("http://{}", place.authority())];
    let output = tokio::task::spawn_blocking(move || run("node", &arguments)).await??;
    let took = begun.elapsed();
    let seen: serde_json::Value = serde_json::from_str(&output)?;

    assert_eq!(seen["worker"]["controlled"], true, "the page is the service worker's");
    assert_eq!(seen["worker"]["shown"], "app", "a service worker's navigation begins a login");
    assert_eq!(seen["pictures"], "app", "pictures of one tab push no login of another out");
    let background = seen["background"].as_object().ok_or("no background requests")?;
    for (what, status) in background {
        assert_eq!(status, 202, "the session lives after: {what}");
    }
    let elsewhere = &seen["elsewhere"];
    assert_eq!(elsewhere["form"]["user"], "alice", "another site's form signs nobody in");
    let page = elsewhere["form"]["shown"].as_str().unwrap_or_default();
    assert!(page.contains("was not sent from this service's own page"), "{page}");
    assert_eq!(elsewhere["link"]["shown"], "Sign out?");
    assert_eq!(elsewhere["link"]["status"], 202, "nothing has changed before the button is pressed");
    let after = elsewhere["link"]["after"].as_str().unwrap_or_default();
    assert!(after.ends_with("/page.html?after"), "rd is kept: {after}");
    let ticket = elsewhere["ticket"].as_str().ok_or("no session cookie")?;
    assert_eq!(Asker::default().ask(world.replica(0), ticket).await?.status, 401, "the button signed out");
    assert_eq!(seen["own"], "joe", "the sign-in page's own form signs in");

    assert!(took < Duration::from_secs(90));
    scenario.figure("browser: five contexts", format!("{:.1} s", took.as_secs_f64()));
    scenario.held("pictures, scripts and prefetches that ended nothing", background.len());
    scenario.held("navigations and forms, of a service worker, of another site, and of our own", 5);
    scenario.passed();
    Ok(())
}
