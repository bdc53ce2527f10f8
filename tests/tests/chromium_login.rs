//! The same login once in a real browser.

use std::time::Duration;

use conclave_tests::check::SESSION_COOKIE;
use conclave_tests::cluster::Options;
use conclave_tests::gateway::APP_HOST;
use conclave_tests::process::run;
use conclave_tests::report::Scenario;
use conclave_tests::timing::now;
use conclave_tests::world::World;
use conclave_tests::{Failure, repository};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_login() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("chromium_login", 1, 1, "login");
    let world = World::start("chromium_login", &Options::default()).await?;
    let uri = "/reports/2026?from=a%2Fb&to=%C3%BC";
    let url = world.place.url(uri).to_string();
    let begun = now();
    let script = repository().join("tests/providers/npm/browse.mjs").display().to_string();
    let rule = "MAP *.example.test 127.0.0.1".to_owned();
    let arguments = vec![script, url.clone(), "alice".to_owned(), rule];
    let output = tokio::task::spawn_blocking(move || run("node", &arguments)).await??;
    let took = begun.elapsed();
    let page: serde_json::Value = serde_json::from_str(&output)?;
    assert_eq!(page["url"].as_str(), Some(url.as_str()), "back at the exact URL");
    let text = page["text"].as_str().unwrap_or_default();
    for line in [&format!("uri={uri}"), "user=alice", "email=alice@example.test", "groups=alice,staff"] {
        assert!(text.lines().any(|seen| seen == line), "no {line} in {text}");
    }
    let cookies = page["cookies"].as_array().ok_or("no cookies")?;
    let session = cookies.iter().find(|cookie| cookie["name"] == SESSION_COOKIE).ok_or("no session cookie")?;
    assert_eq!((&session["domain"], &session["httpOnly"]), (&APP_HOST.into(), &true.into()));
    let left: Vec<_> =
        cookies.iter().filter(|cookie| cookie["name"].as_str().is_some_and(|n| n.ends_with("_csrf"))).collect();
    assert!(left.is_empty(), "the login cookie is gone after the login");
    assert!(took < Duration::from_secs(60));
    scenario.figure("browser start, login and reload", format!("{:.1} s", took.as_secs_f64()));
    scenario.held("lines of identity and cookies in the browser", 6);
    scenario.passed();
    Ok(())
}
