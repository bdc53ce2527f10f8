//! The image's root file system, run as a container would run it: under `chroot`, as user 2000, its root read-only.

use std::path::Path;
use std::time::Duration;

use conclave_tests::browser::Robot;
use conclave_tests::gateway::APP_HOST;
use conclave_tests::kube::container::{Container, Mount, Program};
use conclave_tests::kube::example::WHOAMI;
use conclave_tests::kube::stage::Stage;
use conclave_tests::lone::Lone;
use conclave_tests::process::run;
use conclave_tests::provider::Provider;
use conclave_tests::report::Scenario;
use conclave_tests::workdir::WorkDir;
use conclave_tests::{Failure, ports, repository, target_dir};
use serde_json::json;
use url::Url;

const CALLBACK: &str = "/oauth2/callback";

/// The names by which the program is called: its own, and the one that values of oauth2-proxy's chart may give.
const PROGRAMS: [&str; 2] = ["/bin/conclave", "/bin/oauth2-proxy"];

/// The drain is off, so what remains is to flush.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// The built root.
fn built() -> Result<Program, Failure> {
    let root = target_dir().join("image/root");
    if root.is_dir() { Ok(Program::Image(root)) } else { Err("no image: `make image` builds it".into()) }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Nothing to load at run time, and nothing of the machine that built it.
fn look_at_the_binary(root: &Path) -> Result<usize, Failure> {
    let file = root.join("bin/conclave");
    let headers = run("readelf", &["-lW".as_ref(), file.as_os_str()])?;
    assert!(!headers.contains("INTERP"), "the binary is not static:\n{headers}");
    let bytes = std::fs::read(&file)?;
    for path in [repository().display().to_string(), std::env::var("HOME")? + "/.cargo"] {
        assert!(!holds(&bytes, &path), "the binary holds {path}");
    }
    Ok(bytes.len())
}

/// What the kernel says of the running process.
fn look_at_the_process(service: &mut Lone) -> Result<(), Failure> {
    let of = |what: &str, pid: u32| std::fs::read_to_string(format!("/proc/{pid}/{what}"));
    let pid = service.process().id();
    let status = of("status", pid)?;
    assert!(status.contains("Uid:\t2000\t2000\t2000\t2000"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let mounts = of("mountinfo", pid)?;
    let options = |at: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(at));
        line.and_then(|line| line.split(' ').nth(5)).unwrap_or_default().to_owned()
    };
    assert!(options("/").starts_with("ro"), "the root can be written:\n{mounts}");
    assert!(options("/var/lib/conclave").starts_with("rw"), "the volume cannot be written:\n{mounts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("image", PROGRAMS.len(), PROGRAMS.len(), "runs of the root file system");
    let dir = WorkDir::fresh("image");
    let mut container = Container::of(&built()?, dir.join("root"))?;
    scenario.figure("bytes of the binary", look_at_the_binary(&container.root)?);
    let volume = dir.sub("volume");
    run("chown", &["2000:2000".as_ref(), volume.as_os_str()])?;
    container.mounts.push(Mount::writable(&volume, "/var/lib/conclave"));
    let address = ports::free_address();
    let origin = Url::parse(&format!("http://{APP_HOST}:{}{CALLBACK}", address.port()))?;
    let provider = Provider::start(&dir, origin.as_str()).await?;
    let flags = [format!("--redirect-url={origin}"), "--drain-delay=0s".to_owned()];
    let mut robot = Robot::new("alice").via(&format!("{APP_HOST}:{}", address.port()), address);
    for (turn, program) in PROGRAMS.into_iter().enumerate() {
        let command = container.command(&[program.to_owned()])?;
        let registered = provider.registration();
        let mut service = Lone::start_by(&command, "/var/lib/conclave", address, &dir, &registered, &flags).await?;
        look_at_the_process(&mut service)?;
        if turn == 0 {
            let callback = robot.open_until(&origin.join("/oauth2/start?rd=%2F")?, CALLBACK).await?;
            assert_eq!(robot.get(&callback).await?.status, 302);
        }
        // The second run finds the session of the first on the volume.
        assert_eq!(robot.get(&origin.join("/oauth2/auth")?).await?.status, 202);
        let ended = service.process().terminate(STOPS_WITHIN).await?;
        assert!(ended.success(), "{ended}");
    }
    scenario.held("runs that end with the session of the first", PROGRAMS.len());
    scenario.passed();
    Ok(())
}

/// The chart over the image: pods of its root, whose one trusted authority lies where the image keeps its bundle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_in_the_rendered_set() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("image.rendered_set", 1, 1, "installation of the chart");
    let dir = WorkDir::fresh("image-set");
    let cluster = json!({"drainDelaySeconds": 2, "minReadySeconds": 1});
    let mut stage = Stage::install_of(&built()?, WHOAMI, &dir, &cluster).await?;
    let mut robot = stage.browser(WHOAMI.user)?;
    stage.log_in(&mut robot).await?;
    scenario.held("pods replaced", stage.set.roll().await?);
    stage.ingress.settled(&stage.set.endpoints()).await?;
    assert_eq!(robot.get(&WHOAMI.page()).await?.status, 200, "the session is gone");
    scenario.passed();
    Ok(())
}
