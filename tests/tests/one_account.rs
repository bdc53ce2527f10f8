//! One account logs in without end, a hundred times a second, on small volumes: all replicas stay ready, other people log in, the
//! disks stay flat. Nearly full disks take no login but every sign-out; a full one can be started on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use conclave_tests::Failure;
use conclave_tests::check::Asker;
use conclave_tests::cluster::{Options, READY_WITHIN};
use conclave_tests::disks::{Volume, clear_leftovers};
use conclave_tests::login::{Login, Person};
use conclave_tests::report::Scenario;
use conclave_tests::timing::{now, until};
use conclave_tests::workdir::WorkDir;
use conclave_tests::world::World;

const MIB: u64 = 1024 * 1024;

/// About what reserve, marks, snapshots and the store's 16 MiB segments need for a thousand sessions
/// with tokens and the remembered attempts of minutes of logins; unbounded, it fills in two minutes.
const VOLUME: u64 = 192 * MIB;

/// Browsers of the one account.
const BROWSERS: usize = 6;

/// Between two logins of one browser: a hundred a second together. The store's file grows with the number of logins, so
/// that a faster machine would fill the same volume sooner.
const PACE: Duration = Duration::from_millis(60);

/// The default of `sessions_per_person`.
const SESSIONS_PER_PERSON: usize = 1000;

/// So many logins at least, however slow the machine: the limit has to bite.
const LEAST_LOGINS: usize = 1500;

/// Longest time for them.
const LONGEST: Duration = Duration::from_secs(300);

/// Between two logins of another person, and between two looks at readiness and disks.
const PAUSE: Duration = Duration::from_millis(250);

/// What a disk may grow by in the second half of the loop. The store's file grows by segments of
/// 16 MiB, one in ten to twenty seconds of such logins: it gives a segment back only once half of
/// it is stale.
const GROWS_AT_MOST: u64 = 3 * 16 * MIB;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_account() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("one_account", 600, 60, "seconds of logins of one account");
    clear_leftovers(&conclave_tests::target_dir().join("scenarios/one_account"))?;
    let dir = WorkDir::fresh("one_account");
    let volumes: Vec<_> =
        (0..3).map(|at| Volume::make(&dir, &format!("volume-{at}"), VOLUME)).collect::<Result<_, _>>()?;
    let options =
        Options { data_dirs: volumes.iter().map(|volume| volume.path().join("data")).collect(), ..Options::default() };
    let mut world = World::start_in(dir, &options).await?;

    let first = log_in_without_end(&mut scenario, &world, &volumes).await?;
    the_oldest_has_ended(&world, &first).await?;
    nearly_full_disks_take_no_login_but_every_sign_out(&mut scenario, &world, &volumes).await?;
    a_full_disk_starts_and_cleans_up(&mut scenario, &mut world, &volumes).await?;
    let (index, hash) = world.cluster.wait_equal_hashes(Duration::from_secs(30)).await?;
    scenario.figure("state hash equal on all three at", format!("{index} ({}…)", &hash[..12.min(hash.len())]));
    scenario.passed();
    Ok(())
}

/// What was seen while the one account logged in.
#[derive(Default)]
struct Seen {
    looks: usize,
    /// Most bytes in use on any volume, by look.
    used: Vec<u64>,
}

/// The loop. Returns the account's first login.
async fn log_in_without_end(scenario: &mut Scenario, world: &World, volumes: &[Volume]) -> Result<Login, Failure> {
    let (over, logins) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut hoarder = Person::new("hoarder", world.place);
    let first = hoarder.log_in(world.replica(0)).await?;
    let loops: Vec<_> = (0..BROWSERS)
        .map(|at| {
            let (mut person, replica) = (hoarder.clone(), world.replica(at % 3));
            let (over, logins) = (Arc::clone(&over), Arc::clone(&logins));
            tokio::spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !over.load(Ordering::Relaxed) {
                    pace.tick().await;
                    person.log_in(replica).await?;
                    logins.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    let mut others = world.people(3).await?;
    let (begun, full) = (now(), Duration::from_secs(u64::try_from(scenario.count())?));
    let (mut seen, mut other_logins) = (Seen::default(), 0);
    let asker = Asker::default();
    while begun.elapsed() < full || logins.load(Ordering::Relaxed) < LEAST_LOGINS {
        assert!(begun.elapsed() < full.max(LONGEST), "{} logins in {LONGEST:?}", logins.load(Ordering::Relaxed));
        let count = others.len();
        let login = others[other_logins % count].log_in(world.replica(other_logins % 3)).await?;
        let verdict = asker.ask(world.replica((other_logins + 1) % 3), &login.ticket).await?;
        assert!(verdict.admits(&login.user), "another person's login is answered {}", verdict.status);
        other_logins += 1;
        look(world, volumes, &mut seen).await?;
        tokio::time::sleep(PAUSE).await;
    }
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    for task in loops {
        task.await??;
    }
    held(scenario, world, &seen, (logins.load(Ordering::Relaxed), other_logins), took).await?;
    Ok(first)
}

async fn look(world: &World, volumes: &[Volume], seen: &mut Seen) -> Result<(), Failure> {
    for replica in &world.cluster.replicas {
        let status = replica.ready_status().await;
        assert_eq!(status, 200, "{} is ready: {:?}", replica.name, replica.admin("/status").await);
    }
    let mut most = 0;
    for volume in volumes {
        most = most.max(volume.space()?.0);
    }
    seen.used.push(most);
    seen.looks += 1;
    Ok(())
}

async fn held(
    scenario: &mut Scenario,
    world: &World,
    seen: &Seen,
    (logins, other_logins): (usize, usize),
    took: Duration,
) -> Result<(), Failure> {
    let rate = logins as f64 / took.as_secs_f64();
    scenario.figure("logins of the account", format!("{logins}, {rate:.0}/s"));
    scenario.held("logins of others meanwhile, none refused", other_logins);
    scenario.held("looks at three replicas, all ready", seen.looks);
    let (half, end) = (seen.used[seen.used.len() / 2], *seen.used.last().ok_or("no look")?);
    let most = seen.used.iter().copied().max().unwrap_or_default();
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / MIB as f64);
    scenario.figure("of 192 MiB in use, halfway / at the end / most", [half, end, most].map(mib).join(" / "));
    assert!(end <= half + GROWS_AT_MOST, "the disk grew from {} to {} in the second half", mib(half), mib(end));
    for replica in &world.cluster.replicas {
        assert!(replica.data_dir.join("reserve").exists(), "the reserve of {} is whole", replica.name);
        assert!(replica.metric("conclave_logins_without_room_total").await?.abs() < 0.5, "no login was refused");
        let sessions = replica.metric("conclave_sessions").await?;
        #[expect(clippy::cast_precision_loss)]
        let most = (SESSIONS_PER_PERSON + other_logins + 3) as f64;
        assert!(sessions <= most, "{sessions} sessions live at {}", replica.name);
    }
    Ok(())
}

async fn the_oldest_has_ended(world: &World, first: &Login) -> Result<(), Failure> {
    let asker = Asker::default();
    let newest = Person::new("hoarder", world.place).log_in(world.replica(1)).await?;
    for replica in &world.cluster.replicas {
        let verdict = asker.ask(replica.http, &first.ticket).await?;
        assert_eq!(verdict.status, 401, "the oldest session has ended at {}", replica.name);
        let verdict = asker.ask(replica.http, &newest.ticket).await?;
        assert!(verdict.admits(&newest.user), "the newest lives at {}: {}", replica.name, verdict.status);
    }
    Ok(())
}

/// All disks at once: no replica is better off, so that all stay ready.
async fn nearly_full_disks_take_no_login_but_every_sign_out(
    scenario: &mut Scenario,
    world: &World,
    volumes: &[Volume],
) -> Result<(), Failure> {
    let mut people = world.people(3).await?;
    let mut sessions = Vec::new();
    for (at, person) in people.iter_mut().enumerate() {
        sessions.push(person.log_in(world.replica(at)).await?);
    }
    let fillers: Vec<_> = volumes.iter().map(|volume| volume.leave(8 * MIB)).collect::<Result<_, _>>()?;
    for replica in &world.cluster.replicas {
        until("a nearly full disk", Duration::from_secs(20), || async {
            (room(&replica.admin("/status").await.ok()?) == "nearly full").then_some(())
        })
        .await?;
    }
    // The leader hears of the others' disks by their pings.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut newcomer = Person::new("newcomer", world.place);
    for at in 0..3 {
        let callback = newcomer.begin(world.replica(at)).await?;
        let answer = newcomer.robot.get(&callback).await?;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("Storage nearly full"), "the page names it: {}", answer.body);
    }
    let asker = Asker::default();
    for (at, (person, login)) in people.iter_mut().zip(&sessions).enumerate() {
        assert!(asker.ask(world.replica(at), &login.ticket).await?.admits(&login.user), "a check goes on");
        let answer = person.sign_out(world.replica(at)).await?;
        assert_eq!(answer.status, 302, "a sign-out goes on: {}", answer.body);
        assert_eq!(asker.ask(world.replica(at), &login.ticket).await?.status, 401, "and ends the session");
        assert_eq!(world.cluster.replicas[at].ready_status().await, 200, "none is better off, so all are ready");
    }
    fillers.iter().try_for_each(std::fs::remove_file)?;
    until("logins once there is room", Duration::from_secs(30), || {
        let mut person = Person::new("newcomer", world.place);
        let replica = world.replica(0);
        async move { person.log_in(replica).await.ok().map(drop) }
    })
    .await?;
    scenario.figure("with 8 MiB left on all disks", "3 of 3 logins got the page, 3 of 3 sign-outs went on, all ready");
    Ok(())
}

fn room(status: &serde_json::Value) -> String {
    status["disk"]["room"].as_str().unwrap_or_default().to_owned()
}

/// A foreign file takes all that is left, and stays; the replica is killed and started.
async fn a_full_disk_starts_and_cleans_up(
    scenario: &mut Scenario,
    world: &mut World,
    volumes: &[Volume],
) -> Result<(), Failure> {
    let full = (world.cluster.leader().await? + 1) % 3;
    let reserve = world.cluster.replicas[full].data_dir.join("reserve");
    let mut person = Person::new("someone", world.place);
    let login = person.log_in(world.replica((full + 1) % 3)).await?;
    let before = world.cluster.replicas[full].admin("/status").await?["purged"].as_u64().unwrap_or_default();
    let filler = volumes[full].fill()?;
    world.cluster.replicas[full].kill();
    assert_eq!(volumes[full].space()?.1, 0, "the disk is full");
    world.cluster.replicas[full].start()?;
    let replica = &world.cluster.replicas[full];
    until("a start on a full disk", READY_WITHIN, || async {
        (replica.admin("/status").await.ok()?["caught_up"] == true).then_some(())
    })
    .await?;
    assert!(!reserve.exists(), "the reserve was given up");
    let status = replica.admin("/status").await?;
    assert_eq!(room(&status), "nearly full", "{status}");
    until("it leaves the Service, as the others are better off", Duration::from_secs(20), || async {
        (replica.ready_status().await == 503).then_some(())
    })
    .await?;

    person.sign_out(world.replica((full + 1) % 3)).await?;
    let asker = Asker::default();
    until("the end of a session there", Duration::from_secs(10), || async {
        (asker.ask(replica.http, &login.ticket).await.ok()?.status == 401).then_some(())
    })
    .await?;
    let logins = log_is_cut(world, full, before).await?;
    std::fs::remove_file(&filler)?;
    world.cluster.replicas[full].wait_ready(READY_WITHIN).await?;
    until("a new reserve", Duration::from_secs(20), || async { is_whole(&reserve).then_some(()) }).await?;
    let text = format!("started, followed a sign-out and {logins} logins, cut its log; ready once there was room");
    scenario.figure("on a full disk", text);
    Ok(())
}

fn is_whole(reserve: &Path) -> bool {
    std::fs::metadata(reserve).is_ok_and(|found| found.len() == 32 * MIB)
}

/// Others log in, at the two that take logins, until that replica has cut its log further.
async fn log_is_cut(world: &World, full: usize, before: u64) -> Result<usize, Failure> {
    let (mut hoarder, begun, mut logins) = (Person::new("hoarder", world.place), now(), 0);
    loop {
        let status = world.cluster.replicas[full].admin("/status").await?;
        if status["purged"].as_u64() > Some(before) {
            return Ok(logins);
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "the log is cut: {status}");
        hoarder.log_in(world.replica((full + 1 + logins % 2) % 3)).await?;
        logins += 1;
    }
}
