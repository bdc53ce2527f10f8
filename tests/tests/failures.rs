//! The table of failures in the operating guide, measured: the rendered set on a small Kubernetes, one failure after
//! another, and what checks, pages and logins saw of it.

use std::time::{Duration, Instant};

use conclave_tests::Failure;
use conclave_tests::browser::Robot;
use conclave_tests::disks::{Disk, clear_leftovers};
use conclave_tests::kube::example::WHOAMI;
use conclave_tests::kube::observer::{Observer, Seen};
use conclave_tests::kube::set::claim;
use conclave_tests::kube::stage::Stage;
use conclave_tests::login::Login;
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::workdir::WorkDir;
use serde_json::json;

/// Longer than any of these failures lasts, in a debug build on a loaded machine.
const OVER_WITHIN: Duration = Duration::from_secs(60);

/// What a replica knows is renewed about every second, so max_staleness may have begun so long before the failure.
const RENEWED_EVERY: Duration = Duration::from_millis(1500);

/// How long a failure without an end of its own is watched.
const WATCH: Duration = Duration::from_secs(5);

/// A pod that was asked less often than this during a failure was not watched.
const LEAST_ASKED: usize = 5;

/// No session: what a check about a living one never answers.
const GONE: u16 = 401;

/// The stage, and somebody who is logged in.
struct Play {
    stage: Stage,
    robot: Robot,
    login: Login,
    disks: Vec<Disk>,
    staleness: Duration,
}

impl Play {
    async fn begin(staleness: Duration) -> Result<Self, Failure> {
        let place = conclave_tests::target_dir().join("scenarios/failures");
        clear_leftovers(&place)?;
        let dir = WorkDir::fresh("failures");
        let mut disks = Vec::new();
        for ordinal in 0..3 {
            let mount = claim(&dir.sub("pods"), ordinal);
            std::fs::create_dir_all(&mount)?;
            disks.push(Disk::make_at(&dir, &format!("disk-{ordinal}"), mount)?);
        }
        let cluster = json!({
            "maxStaleness": format!("{}s", staleness.as_secs()), "drainDelaySeconds": 2, "minReadySeconds": 1,
        });
        let stage = Stage::install(WHOAMI, &dir, &cluster).await?;
        let mut robot = stage.browser(WHOAMI.user)?;
        let login = stage.log_in(&mut robot).await?;
        Ok(Self { stage, robot, login, disks, staleness })
    }

    fn observe(&self) -> Result<Observer, Failure> {
        Observer::begin(&self.stage, &self.login, &self.robot)
    }

    /// Waits until a login that began after `since` has succeeded.
    async fn logins_go_on(&self, observer: &Observer, since: Instant) -> Result<(), Failure> {
        until("a login succeeds again", OVER_WITHIN, || async {
            let logins = observer.logins();
            (logins.last_good.checked_duration_since(since)? > Duration::from_millis(300)).then_some(())
        })
        .await
    }

    /// Everything as before: all pods ready and known to nginx.
    async fn heal(&mut self) -> Result<(), Failure> {
        self.stage.set.fill().await?;
        self.stage.ingress.settled(&self.stage.set.endpoints()).await
    }

    /// Waits until a pod without a majority says 503; how long it had answered since then.
    async fn wait_stale(&self, observer: &Observer, pod: usize, since: Instant) -> Result<Duration, Failure> {
        let answered = until("a pod without a majority stops answering", self.staleness + OVER_WITHIN, || async {
            observer.pod(pod).first.get(&503).map(|first| first.duration_since(since))
        })
        .await?;
        let (soonest, latest) = (self.staleness.saturating_sub(RENEWED_EVERY), self.staleness + RENEWED_EVERY);
        assert!((soonest..=latest).contains(&answered), "it answered for {answered:?}, not {:?}", self.staleness);
        Ok(answered)
    }

    async fn wait_unready(&self, ordinal: usize) -> Result<(), Failure> {
        let endpoints = self.stage.set.endpoints();
        until("a pod goes unready", OVER_WITHIN, || async {
            (!endpoints.borrow().contains_key(&ordinal)).then_some(())
        })
        .await
    }
}

/// Checks at pods that were not hit never failed; nobody was ever said to be logged out.
fn unhurt(what: &str, seen: &Seen, hit: &[usize]) {
    for (ordinal, series) in &seen.pods {
        assert!(series.asked >= LEAST_ASKED, "{what}: pod {ordinal} was asked only {} times", series.asked);
        assert!(!series.failed.contains_key(&GONE), "{what}: pod {ordinal} denied a living session: {series}");
        assert!(hit.contains(ordinal) || series.failures() == 0, "{what}: pod {ordinal}: {series}");
    }
}

/// One figure: checks at the pods that were not hit, at those that were, pages, logins.
fn tell(scenario: &mut Scenario, what: &str, seen: &Seen, hit: &[usize], more: &str) {
    let least = seen.pods.values().map(|series| series.asked).min().unwrap_or_default();
    scenario.held(&format!("{what}: checks at the pod that was asked least"), least);
    let (failed, asked) = (seen.pages.failures(), seen.pages.asked);
    assert!(
        asked >= LEAST_ASKED && failed <= asked / pages_that_may_fail(hit),
        "{what}: {failed} of {asked} pages failed"
    );
    let spared = seen.pods.iter().filter(|(ordinal, _)| !hit.contains(ordinal));
    let (asked, failed) = spared.fold((0, 0), |sum, (_, one)| (sum.0 + one.asked, sum.1 + one.failures()));
    let mut text = String::new();
    if asked > 0 {
        text += &format!("checks at the others {failed} of {asked} failed; ");
    }
    for ordinal in hit {
        text += &format!("at pod {ordinal} {}; ", seen.pods[ordinal]);
    }
    scenario.figure(what, format!("{text}pages {}; logins {}{more}", seen.pages, seen.logins));
}

/// One page in so many may fail through nginx: with one pod of three hit those whose check nginx sent there before its
/// endpoints changed, with more of them hit all, and with none hit none.
fn pages_that_may_fail(hit: &[usize]) -> usize {
    match hit.len() {
        0 => usize::MAX,
        1 => 3,
        _ => 1,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

async fn a_leader_is_killed(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let observer = play.observe()?;
    let leader = play.stage.set.leader().await?;
    let begun = now();
    play.stage.set.kill(&[leader]);
    play.logins_go_on(&observer, begun).await?;
    play.heal().await?;
    let seen = observer.end().await;
    unhurt("a leader is killed", &seen, &[leader]);
    tell(scenario, "the pod that leads is killed", &seen, &[leader], "");
    Ok(())
}

async fn a_node_is_lost(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let observer = play.observe()?;
    let leader = play.stage.set.leader().await?;
    let begun = now();
    play.stage.set.pods[&leader].namespace.plug(false)?;
    play.logins_go_on(&observer, begun).await?;
    play.wait_unready(leader).await?;
    let out = seconds(begun.elapsed());
    play.stage.set.pods[&leader].namespace.plug(true)?;
    play.heal().await?;
    let seen = observer.end().await;
    unhurt("a node is lost", &seen, &[leader]);
    tell(scenario, "the node of the leader is lost", &seen, &[leader], &format!("; out of the endpoints after {out}"));
    Ok(())
}

async fn a_majority_is_lost(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let observer = play.observe()?;
    let begun = now();
    play.stage.set.kill(&[1, 2]);
    let answered = play.wait_stale(&observer, 0, begun).await?;
    let back = now();
    play.heal().await?;
    play.logins_go_on(&observer, back).await?;
    let after = seconds(back.elapsed());
    let seen = observer.end().await;
    unhurt("a majority is lost", &seen, &[0, 1, 2]);
    let more =
        format!("; the survivor answered for {}; logins {after} after the pods were made anew", seconds(answered));
    tell(scenario, "two pods of three are lost", &seen, &[0, 1, 2], &more);
    Ok(())
}

async fn the_network_parts(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let leader = play.stage.set.leader().await?;
    let observer = play.observe()?;
    let begun = now();
    play.stage.set.part(Some(leader))?;
    play.logins_go_on(&observer, begun).await?;
    let answered = play.wait_stale(&observer, leader, begun).await?;
    tokio::time::sleep(WATCH).await;
    let back = now();
    play.stage.set.part(None)?;
    play.logins_go_on(&observer, back).await?;
    let seen = observer.end().await;
    unhurt("the network parts", &seen, &[leader]);
    let more = format!("; the lone pod answered for {}", seconds(answered));
    tell(scenario, "the network parts the leader from the others", &seen, &[leader], &more);
    Ok(())
}

async fn all_are_killed(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let observer = play.observe()?;
    let begun = now();
    play.stage.set.kill(&[0, 1, 2]);
    play.heal().await?;
    play.logins_go_on(&observer, begun).await?;
    let back = seconds(begun.elapsed());
    let seen = observer.end().await;
    unhurt("all are killed", &seen, &[0, 1, 2]);
    tell(scenario, "all pods are killed at once", &seen, &[0, 1, 2], &format!("; a login succeeded after {back}"));
    Ok(())
}

async fn a_disk_is_full(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let leader = play.stage.set.leader().await?;
    let observer = play.observe()?;
    let begun = now();
    let filler = play.disks[leader].fill()?;
    play.wait_unready(leader).await?;
    let unready = seconds(begun.elapsed());
    play.logins_go_on(&observer, now()).await?;
    std::fs::remove_file(filler)?;
    play.heal().await?;
    let seen = observer.end().await;
    unhurt("a disk is full", &seen, &[]);
    tell(scenario, "the disk of the leader is full", &seen, &[], &format!("; unready after {unready}"));
    Ok(())
}

async fn a_disk_stalls(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let leader = play.stage.set.leader().await?;
    let observer = play.observe()?;
    play.disks[leader].freeze(true)?;
    tokio::time::sleep(WATCH).await;
    play.disks[leader].freeze(false)?;
    play.logins_go_on(&observer, now()).await?;
    play.heal().await?;
    let seen = observer.end().await;
    unhurt("a disk stalls", &seen, &[leader]);
    tell(scenario, &format!("the disk of the leader takes no write for {}", seconds(WATCH)), &seen, &[leader], "");
    Ok(())
}

async fn the_provider_is_down(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    let observer = play.observe()?;
    play.stage.provider.process().kill();
    tokio::time::sleep(WATCH).await;
    let begun = now();
    play.stage.restart_provider().await?;
    play.logins_go_on(&observer, begun).await?;
    let seen = observer.end().await;
    unhurt("the provider is down", &seen, &[]);
    assert_eq!(seen.pages.failures(), 0, "{}", seen.pages);
    tell(scenario, &format!("the provider is down for {}", seconds(WATCH)), &seen, &[], "");
    Ok(())
}

async fn a_volume_is_lost(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    play.stage.set.delete(2).await?;
    play.wipe(2)?;
    play.stage.set.make(2)?;
    let observer = play.observe()?;
    tokio::time::sleep(WATCH).await;
    assert!(!play.stage.set.endpoints().borrow().contains_key(&2), "a replica without its disk is ready");
    let seen = observer.end().await;
    unhurt("a volume is lost", &seen, &[2]);
    assert_eq!((seen.pages.failures(), seen.logins.failures()), (0, 0));
    tell(scenario, "the volume of one pod is lost", &seen, &[2], "; that pod stays unready");
    Ok(())
}

/// Two empty disks found no second cluster: what the survivor has stays the truth.
async fn two_volumes_are_lost(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    play.stage.set.delete(1).await?;
    let begun = now();
    play.wipe(1)?;
    play.stage.set.make(1)?;
    let observer = play.observe()?;
    let answered = play.wait_stale(&observer, 0, begun).await?;
    tokio::time::sleep(WATCH).await;
    let ready: Vec<usize> = play.stage.set.endpoints().borrow().keys().copied().collect();
    assert_eq!(ready, [0], "a replica without its disk is ready");
    let seen = observer.end().await;
    unhurt("two volumes are lost", &seen, &[0, 1, 2]);
    let more = format!("; the survivor answered for {}; no second cluster", seconds(answered));
    tell(scenario, "the volumes of two pods are lost", &seen, &[0, 1, 2], &more);
    Ok(())
}

async fn all_volumes_are_lost(play: &mut Play, scenario: &mut Scenario) -> Result<(), Failure> {
    play.stage.set.delete_all().await?;
    (0..3).try_for_each(|ordinal| play.wipe(ordinal))?;
    let begun = now();
    play.heal().await?;
    let ready = seconds(begun.elapsed());
    let answer = play.robot.get(&WHOAMI.page()).await?;
    assert_eq!(answer.status, 302, "an old session in a new cluster");
    play.stage.log_in(&mut play.robot).await?;
    scenario.figure(
        "all volumes are lost",
        format!("founded anew and ready after {ready}; an old session is sent to the login"),
    );
    Ok(())
}

impl Play {
    fn wipe(&self, ordinal: usize) -> Result<(), Failure> {
        for entry in std::fs::read_dir(self.stage.set.claim(ordinal))? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("failures", 60, 5, "s of max_staleness");
    let mut play = Play::begin(Duration::from_secs(scenario.count() as u64)).await?;
    a_leader_is_killed(&mut play, &mut scenario).await?;
    a_node_is_lost(&mut play, &mut scenario).await?;
    a_majority_is_lost(&mut play, &mut scenario).await?;
    the_network_parts(&mut play, &mut scenario).await?;
    all_are_killed(&mut play, &mut scenario).await?;
    a_disk_is_full(&mut play, &mut scenario).await?;
    a_disk_stalls(&mut play, &mut scenario).await?;
    the_provider_is_down(&mut play, &mut scenario).await?;
    a_volume_is_lost(&mut play, &mut scenario).await?;
    two_volumes_are_lost(&mut play, &mut scenario).await?;
    all_volumes_are_lost(&mut play, &mut scenario).await?;
    scenario.passed();
    Ok(())
}
