//! No refresh token is redeemed twice, however many checks come at once when one is due: the provider's ledger
//! says how often it saw each.

use std::time::Duration;

use conclave_tests::browser::Robot;
use conclave_tests::gateway::APP_HOST;
use conclave_tests::login::CALLBACK;
use conclave_tests::lone::Lone;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, http, ports};
use futures::stream::{self, StreamExt};
use url::Url;

/// Checks under way at once.
const AT_ONCE: usize = 32;

/// When a refresh is due; short, so that the run is.
const DUE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_tokens_s_22_are_redeemed_once_at_the_most() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("refresh_tokens", 500, 100, "checks while a refresh is due");
    let dir = WorkDir::fresh("refresh_tokens");
    let address = ports::free_address();
    let origin = Url::parse(&format!("http://{APP_HOST}:{}{CALLBACK}", address.port()))?;
    let provider = Provider::start(&dir, origin.as_str()).await?;
    let flags = [
        format!("--redirect-url={origin}"),
        "--scope=openid email profile offline_access".to_owned(),
        "--prompt=consent".to_owned(),
        format!("--cookie-refresh={}s", DUE.as_secs()),
        "--cookie-expire=1h".to_owned(),
    ];
    let service = Lone::start_at(address, &dir, &provider.registration(), &flags).await?;
    let mut robot = Robot::new("alice").via(&format!("{APP_HOST}:{}", address.port()), address);
    let callback = robot.open_until(&origin.join("/oauth2/start?rd=%2F")?, CALLBACK).await?;
    assert_eq!(robot.get(&callback).await?.status, 302);
    let cookie = robot.jar.header(&origin).ok_or("a session")?;
    assert_eq!(provider.ledger().await?.tokens.len(), 3, "the login gave an ID token, an access and a refresh token");
    tokio::time::sleep(DUE + DUE / 2).await;
    let client = http::client();
    let (client, service, cookie) = (&client, &service, &cookie);
    let statuses: Vec<_> = stream::iter(0..scenario.count())
        .map(|_| async move {
            let url = format!("http://{}/oauth2/auth", service.http);
            Ok::<_, Failure>(client.get(url).header("Cookie", cookie).send().await?.status().as_u16())
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for status in statuses {
        assert_eq!(status?, 202);
    }
    let refreshes = provider.ledger().await?.refreshes;
    scenario.figure("refresh tokens redeemed", refreshes.len());
    assert!(refreshes.values().all(|times| *times == 1), "redeemed again: {:?}", refreshes.values());
    scenario.passed();
    Ok(())
}
