//! Kills and damage: what a store says after its process was killed, and after its files were
//! changed. Has its own `main`, because the store is verified by a child process: this binary.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{fs, io};

use conclave_proto::session::MAX_SEALED_BODY;
use conclave_raft::fatal::EXIT_STORE_FAILED;
use conclave_raft::limits::SEGMENT_BYTES;
use conclave_raft::open::{OpenError, Storage, StorageOptions, Verify, open};
use conclave_raft::types::{RaftEntry, RaftVote};
use conclave_raft::verify::run_verify_store;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{EntryPayload, RaftLogReader};
use support::{CountedEntropy, PlainState, Random, WatchedDisk, Workload, log_id, open_in, scaled};

const SEED: u64 = 4_711;

/// What is done to a store, by name.
type Fault = (&'static str, fn(&Path));

const SCENARIOS: [(&str, fn()); 12] = [
    ("killed_writers_lose_nothing_acknowledged", killed_writers_lose_nothing_acknowledged),
    ("damaged_stores_are_set_aside_or_whole", damaged_stores_are_set_aside_or_whole),
    ("emptied_stores_are_noticed", emptied_stores_are_noticed),
    ("older_stores_beside_a_newer_marker_are_noticed", older_stores_beside_a_newer_marker_are_noticed),
    ("a_lost_marker_is_noticed", a_lost_marker_is_noticed),
    ("a_store_in_use_is_left_alone", a_store_in_use_is_left_alone),
    ("a_missing_verifier_touches_nothing", a_missing_verifier_touches_nothing),
    ("a_failing_store_ends_the_process", a_failing_store_ends_the_process),
    ("a_half_made_store_is_made_again", a_half_made_store_is_made_again),
    ("changes_behind_our_back_are_noticed", changes_behind_our_back_are_noticed),
    ("a_truncated_log_is_not_taken_for_damage", a_truncated_log_is_not_taken_for_damage),
    ("sled_writes_little_between_syncs", sled_writes_little_between_syncs),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["verify-store", dir] => run_verify_store(Path::new(dir)),
        ["writer", dir] => {
            block_on(write_until_killed(Path::new(dir)));
            ExitCode::FAILURE
        }
        others => {
            let filter = others.iter().find(|argument| !argument.starts_with('-'));
            run_scenarios(filter.copied().unwrap_or(""))
        }
    }
}

fn run_scenarios(filter: &str) -> ExitCode {
    println!("seed {SEED}");
    let mut failed = 0;
    for (name, scenario) in SCENARIOS.into_iter().filter(|(name, _)| name.contains(filter)) {
        let passed = std::thread::spawn(scenario).join().is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("runtime").block_on(future)
}

/// The entry of an index is always the same one: whoever reads it can tell whether it is right.
fn entries(count: usize) -> Vec<RaftEntry> {
    let mut work = Workload::new(SEED, 50..8_000);
    let first = work.found();
    std::iter::once(first).chain((1..count).map(|_| work.next(8))).collect()
}

/// Far more than a writer writes before it is killed.
const ENTRIES: usize = 4_000;

/// The child: goes on where the store ends, saying what was acknowledged.
async fn write_until_killed(dir: &Path) {
    let entries = entries(ENTRIES);
    let Storage { mut log, mut machine, guard: _guard, state, .. } = open_in(dir, None).await.expect("the store opens");
    let applied = state.applied_log_id().map_or(0, |applied| applied.index + 1);
    let mut last = log.get_log_state().await.expect("state").last_log_id.map_or(0, |last| last.index + 1);
    let mut term = log.read_vote().await.expect("vote").map_or(0, |vote| vote.leader_id.term);
    if applied < last {
        machine.apply(entries[applied as usize..last as usize].to_vec()).await.expect("apply");
    }
    for round in 0.. {
        if round % 7 == 0 {
            term += 1;
            log.save_vote(&RaftVote::new(term, 1)).await.expect("vote");
            println!("vote {term}");
        }
        let step = &entries[last as usize..(last as usize + 1 + round % 5).min(ENTRIES)];
        log.blocking_append(step.to_vec()).await.expect("append");
        last += step.len() as u64;
        println!("acknowledged {}", last - 1);
        machine.apply(step.to_vec()).await.expect("apply");
        if round % 50 == 49 {
            log.purge(log_id(1, last / 2)).await.expect("purge");
        }
    }
}

/// What a writer said before it was killed.
#[derive(Default)]
struct Said {
    last: Option<u64>,
    term: u64,
}

fn spawn_writer(dir: &Path) -> Child {
    let this = std::env::current_exe().expect("this binary");
    Command::new(this).arg("writer").arg(dir).stdout(Stdio::piped()).spawn().expect("a writer starts")
}

fn listen(child: &mut Child, acknowledged: usize) -> (Said, impl Iterator<Item = io::Result<String>> + use<>) {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut said = Said::default();
    for _ in 0..acknowledged {
        let Some(line) = lines.next() else { break };
        said.hear(&line.expect("a line"));
    }
    (said, lines)
}

impl Said {
    fn hear(&mut self, line: &str) {
        if let Some(index) = line.strip_prefix("acknowledged ") {
            self.last = index.parse().ok();
        }
        if let Some(term) = line.strip_prefix("vote ") {
            self.term = term.parse().expect("a term");
        }
    }
}

async fn open_with_child(dir: &Path) -> Result<Storage, OpenError> {
    let this = std::env::current_exe().expect("this binary");
    let options = StorageOptions::new(dir.to_path_buf(), Verify::Child(this));
    open(options, &CountedEntropy::default()).await
}

/// Everything that an open store says is right, to the byte.
async fn assert_right(storage: &mut Storage, entries: &[RaftEntry]) -> (u64, u64) {
    let kept = storage.log.try_get_log_entries(0..).await.expect("read");
    for entry in &kept {
        let wanted = &entries[entry.log_id.index as usize];
        assert_eq!(entry.log_id, wanted.log_id);
        match (&entry.payload, &wanted.payload) {
            (EntryPayload::Normal(stored), EntryPayload::Normal(wanted)) => assert_eq!(stored, wanted),
            (stored, wanted) => panic!("{stored:?} in place of {wanted:?}"),
        }
    }
    let (at, hash) = storage.state.state_hash();
    let mut plain = PlainState::default();
    if let Some(applied) = storage.state.applied_log_id() {
        entries[..=applied.index as usize].iter().for_each(|entry| drop(plain.apply(entry)));
    }
    assert_eq!(hash, plain.hash(), "the state at {at}");
    (kept.len() as u64, at.get())
}

#[expect(clippy::disallowed_methods, reason = "the kill comes at a random moment")]
fn killed_writers_lose_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("tempdir");
    let entries = entries(ENTRIES);
    let mut random = Random::new(SEED);
    let kills = scaled(10);
    let mut last = 0;
    for kill in 0..kills {
        let mut writer = spawn_writer(dir.path());
        let (mut said, rest) = listen(&mut writer, 1 + random.below(60) as usize);
        std::thread::sleep(Duration::from_micros(random.below(3_000)));
        writer.kill().expect("kill -9");
        writer.wait().expect("gone");
        rest.map_while(Result::ok).for_each(|line| said.hear(&line));
        last = said.last.unwrap_or(last);
        block_on(async {
            let mut storage = open_with_child(dir.path()).await.expect("a killed writer's store is whole");
            assert!(storage.log.last_index() >= last, "kill {kill}: {last} was acknowledged");
            let term = storage.log.vote().map_or(0, |vote| vote.leader_id.term);
            assert!(term >= said.term, "kill {kill}: the vote of term {} was saved", said.term);
            assert_right(&mut storage, &entries).await;
        });
    }
    println!("writers killed: {kills}, entries acknowledged: {}, lost: 0", last + 1);
}

/// A closed store with a log, a state, a snapshot of sled's own and a marker.
fn prepare(dir: &Path, entries: &[RaftEntry]) {
    block_on(async {
        for step in entries.chunks(entries.len().div_ceil(2)) {
            let mut storage = open_in(dir, None).await.expect("open");
            let term = storage.log.vote().map_or(1, |vote| vote.leader_id.term + 1);
            storage.log.save_vote(&RaftVote::new(term, 1)).await.expect("vote");
            for entry in step {
                storage.log.blocking_append([entry.clone()]).await.expect("append");
                storage.machine.apply([entry.clone()]).await.expect("apply");
            }
        }
    });
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("dir");
    for entry in fs::read_dir(from).expect("read") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("name"));
        if path.is_dir() { copy_dir(&path, &target) } else { fs::copy(&path, &target).map(drop).expect("copy") }
    }
}

fn sled_snapshot(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir.join("store")).expect("store").map(|entry| entry.expect("entry").path());
    files.into_iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")))
}

/// Changes something, and says what.
fn damage(dir: &Path, random: &mut Random) -> String {
    let db = dir.join("store/db");
    let mut bytes = fs::read(&db).expect("db");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1) as u64;
    match random.below(5) {
        0 => {
            let keep = random.below(used);
            bytes.truncate(keep as usize);
            fs::write(&db, bytes).expect("write");
            format!("db cut to {keep} of {used} bytes")
        }
        1 => {
            let at = random.below(used) as usize;
            for byte in bytes.iter_mut().skip(at).take(16) {
                *byte ^= 0x55;
            }
            fs::write(&db, bytes).expect("write");
            format!("16 bytes flipped at {at} of {used}")
        }
        2 => {
            let at = (random.below(used) / 4096 * 4096) as usize;
            bytes.iter_mut().skip(at).take(4096).for_each(|byte| *byte = 0);
            fs::write(&db, bytes).expect("write");
            format!("a page zeroed at {at} of {used}")
        }
        3 => {
            let Some(path) = sled_snapshot(dir) else { return "nothing".to_owned() };
            let mut snap = fs::read(&path).expect("snap");
            let at = random.below(snap.len() as u64) as usize;
            snap[at] ^= 1;
            fs::write(&path, snap).expect("write");
            format!("a bit of sled's snap flipped at {at}")
        }
        _ => {
            let Some(path) = sled_snapshot(dir) else { return "nothing".to_owned() };
            fs::remove_file(path).expect("remove");
            "sled's snap removed".to_owned()
        }
    }
}

fn damaged_stores_are_set_aside_or_whole() {
    let whole = tempfile::tempdir().expect("tempdir");
    let entries = entries(300);
    prepare(whole.path(), &entries);
    let mut random = Random::new(SEED);
    let (mut proven, mut aside) = (0, 0);
    let rounds = scaled(25);
    for round in 0..rounds {
        let dir = tempfile::tempdir().expect("tempdir");
        copy_dir(whole.path(), dir.path());
        let what = damage(dir.path(), &mut random);
        match block_on(open_with_child(dir.path())) {
            Ok(mut storage) => {
                block_on(assert_right(&mut storage, &entries));
                assert_eq!(storage.log.last_index(), entries.len() as u64 - 1, "{what}: acknowledged entries are gone");
                proven += 1;
                println!("  {round}: {what}: proven whole");
            }
            Err(OpenError::NotWhole { why, set_aside_to }) => {
                let to = set_aside_to.expect("there is room to move a directory");
                assert!(to.join("db").exists() && !dir.path().join("store").exists());
                let again = block_on(open_with_child(dir.path())).err();
                assert!(matches!(again, Some(OpenError::NotWhole { .. })), "it came back as {again:?}");
                aside += 1;
                println!("  {round}: {what}: set aside: {why}");
            }
            Err(other) => panic!("{what}: {other}"),
        }
    }
    println!("damaged stores: {rounds}, proven whole {proven}, set aside {aside}, wrong data 0");
    assert!(aside > 0, "no damage was ever noticed");
}

fn emptied_stores_are_noticed() {
    let whole = tempfile::tempdir().expect("tempdir");
    prepare(whole.path(), &entries(40));
    let emptied: [Fault; 4] = [
        ("store removed", |dir| fs::remove_dir_all(dir.join("store")).expect("remove")),
        ("db removed", |dir| fs::remove_file(dir.join("store/db")).expect("remove")),
        ("db emptied", |dir| fs::write(dir.join("store/db"), b"").expect("write")),
        ("store replaced by a new one", |dir| {
            let new = tempfile::tempdir().expect("tempdir");
            block_on(async { drop(open_in(new.path(), None).await.expect("new")) });
            fs::remove_dir_all(dir.join("store")).expect("remove");
            copy_dir(&new.path().join("store"), &dir.join("store"));
        }),
    ];
    for (what, empty) in &emptied {
        let dir = tempfile::tempdir().expect("tempdir");
        copy_dir(whole.path(), dir.path());
        empty(dir.path());
        let refused = block_on(open_with_child(dir.path())).err();
        println!("  {what}: {}", refused.as_ref().map_or_else(|| "opened".to_owned(), ToString::to_string));
        assert!(matches!(refused, Some(OpenError::EmptiedStore { .. } | OpenError::NotWhole { .. })), "{what}");
    }
    println!("emptied stores noticed: {} of {}", emptied.len(), emptied.len());
}

fn older_stores_beside_a_newer_marker_are_noticed() {
    let entries = entries(60);
    for votes_only in [false, true] {
        let dir = tempfile::tempdir().expect("tempdir");
        prepare(dir.path(), &entries[..30]);
        let older = tempfile::tempdir().expect("tempdir");
        copy_dir(&dir.path().join("store"), &older.path().join("store"));
        let more = if votes_only { &entries[..0] } else { &entries[30..] };
        block_on(async {
            let mut storage = open_in(dir.path(), None).await.expect("open");
            storage.log.save_vote(&RaftVote::new(9, 1)).await.expect("vote");
            storage.log.blocking_append(more.to_vec()).await.expect("append");
        });
        fs::remove_dir_all(dir.path().join("store")).expect("remove");
        copy_dir(&older.path().join("store"), &dir.path().join("store"));
        let refused = block_on(open_with_child(dir.path())).err();
        println!("  older store, votes only {votes_only}: {:?}", refused.as_ref().map(ToString::to_string));
        assert!(matches!(refused, Some(OpenError::NotWhole { .. })));
    }
    println!("older stores noticed: 2 of 2");
}

fn a_lost_marker_is_noticed() {
    let dir = tempfile::tempdir().expect("tempdir");
    prepare(dir.path(), &entries(10));
    fs::remove_file(dir.path().join("marker")).expect("remove");
    let refused = block_on(open_with_child(dir.path())).err();
    assert!(matches!(refused, Some(OpenError::NotWhole { .. })), "{refused:?}");
    println!("lost marker noticed: 1 of 1");
}

fn a_store_in_use_is_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    block_on(async {
        let first = open_in(dir.path(), None).await.expect("open");
        let refused = open_with_child(dir.path()).await.err();
        assert!(matches!(refused, Some(OpenError::Locked(_))), "{refused:?}");
        drop(first);
        drop(open_with_child(dir.path()).await.expect("free again"));
    });
    println!("store in use left alone: 1 of 1");
}

fn a_missing_verifier_touches_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    prepare(dir.path(), &entries(10));
    for binary in ["/nonexistent/conclave", "/bin/false"] {
        let options = StorageOptions::new(dir.path().to_path_buf(), Verify::Child(PathBuf::from(binary)));
        let refused = block_on(open(options, &CountedEntropy::default())).err();
        assert!(matches!(refused, Some(OpenError::Verifier(_))), "{refused:?}");
    }
    drop(block_on(open_with_child(dir.path())).expect("the store is still there"));
    println!("verifier that cannot run: store untouched, 2 of 2");
}

fn a_failing_store_ends_the_process() {
    let faults: [Fault; 2] = [
        ("a blob file", |dir| fs::write(dir.join("store/blobs/17"), b"x").expect("write")),
        ("no blobs directory", |dir| fs::remove_dir_all(dir.join("store/blobs")).expect("remove")),
    ];
    for (what, fault) in &faults {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut writer = spawn_writer(dir.path());
        let (_, rest) = listen(&mut writer, 5);
        fault(dir.path());
        rest.for_each(drop);
        let status = writer.wait().expect("it ends");
        assert_eq!(status.code(), Some(EXIT_STORE_FAILED), "{what}");
    }
    println!("failing stores that ended their process: {} of {}", faults.len(), faults.len());
}

fn a_half_made_store_is_made_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    fs::create_dir_all(dir.path().join("store.making/blobs")).expect("dir");
    fs::write(dir.path().join("store.making/db"), b"half").expect("write");
    let storage = block_on(open_with_child(dir.path())).expect("a new store");
    assert!(storage.meta.is_pristine());
    drop(storage);
    // The marker comes last.
    fs::remove_file(dir.path().join("marker")).expect("remove");
    drop(block_on(open_with_child(dir.path())).expect("a store that never took part"));
    println!("half-made store made again: 1 of 1");
}

/// Rows changed through sled itself: every page is whole, and yet the store is not.
fn changes_behind_our_back_are_noticed() {
    let whole = tempfile::tempdir().expect("tempdir");
    prepare(whole.path(), &entries(60));
    type Change = fn(&sled::Db) -> sled::Result<()>;
    let changes: [(&str, Change); 9] = [
        ("a row of the state removed", |db| state(db)?.remove(state_row(db, 5)?).map(drop)),
        ("a row of the state altered", |db| state(db)?.insert(state_row(db, 7)?, b"other").map(drop)),
        ("a row of the state added", |db| state(db)?.insert([0x40, 1], b"more").map(drop)),
        ("an entry of the log removed", |db| db.open_tree("log")?.remove(30_u64.to_be_bytes()).map(drop)),
        ("more purged than applied", |db| {
            let numbers = [1_u64, 1, 100].iter().flat_map(|number| number.to_le_bytes());
            let row: Vec<u8> = std::iter::once(1).chain(numbers).collect();
            db.open_tree("meta")?.insert("purged", row).map(drop)
        }),
        ("an entry in the place of another", |db| {
            let log = db.open_tree("log")?;
            let row = log.get(20_u64.to_be_bytes())?.expect("there");
            log.insert(21_u64.to_be_bytes(), row).map(drop)
        }),
        ("the vote removed", |db| db.open_tree("meta")?.remove("vote").map(drop)),
        ("the node id removed", |db| db.open_tree("meta")?.remove("node").map(drop)),
        ("the state's generation changed", |db| {
            db.open_tree("meta")?.insert("state", vec![1, 9, 0, 0, 0, 0, 0, 0, 0]).map(drop)
        }),
    ];
    for (what, change) in &changes {
        let dir = tempfile::tempdir().expect("tempdir");
        copy_dir(whole.path(), dir.path());
        change_store(dir.path(), *change);
        let refused = block_on(open_with_child(dir.path())).err();
        let Some(OpenError::NotWhole { why, .. }) = refused else { panic!("{what}: {refused:?}") };
        println!("  {what}: {why}");
    }
    let dir = tempfile::tempdir().expect("tempdir");
    copy_dir(whole.path(), dir.path());
    change_store(dir.path(), |_| Ok(()));
    drop(block_on(open_with_child(dir.path())).expect("unchanged, it is whole"));
    println!("changes noticed: {} of {}", changes.len(), changes.len());
}

fn change_store(dir: &Path, change: fn(&sled::Db) -> sled::Result<()>) {
    let config = sled::Config::new().path(dir.join("store")).segment_size(SEGMENT_BYTES).flush_every_ms(None);
    let db = config.open().expect("open");
    change(&db).expect("change");
    db.flush().expect("flush");
}

fn state(db: &sled::Db) -> sled::Result<sled::Tree> {
    db.open_tree("state.0000000000000000")
}

fn state_row(db: &sled::Db, number: usize) -> sled::Result<sled::IVec> {
    state(db)?.iter().keys().nth(number).expect("there are more")
}

/// A follower drops entries that another leader replaced: its log is shorter afterwards, and whole.
fn a_truncated_log_is_not_taken_for_damage() {
    let dir = tempfile::tempdir().expect("tempdir");
    let copy = tempfile::tempdir().expect("tempdir");
    let entries = entries(20);
    block_on(async {
        let mut storage = open_in(dir.path(), None).await.expect("open");
        storage.log.save_vote(&RaftVote::new(1, 1)).await.expect("vote");
        storage.log.blocking_append(entries).await.expect("append");
        drop(storage);
        // Opening renews the marker: it remembers all twenty.
        let mut storage = open_in(dir.path(), None).await.expect("open");
        storage.log.truncate(log_id(1, 10)).await.expect("truncate");
        copy_dir(dir.path(), copy.path());
        let killed = open_with_child(copy.path()).await.expect("cut short by Raft itself");
        assert_eq!(killed.log.last_index(), 9);
    });
    println!("truncated log opened again: 1 of 1");
}

/// What the bound on rows comes to in bytes that sled writes: whole leaves, again and again. The
/// measure is the kernel's, so nothing else may run in this process meanwhile.
fn sled_writes_little_between_syncs() {
    let dir = tempfile::tempdir().expect("tempdir");
    let disk = Arc::new(WatchedDisk::default());
    let logins = scaled(150);
    block_on(async {
        let mut storage = open_in(dir.path(), Some(Arc::clone(&disk))).await.expect("open");
        let mut work = Workload::new(SEED, MAX_SEALED_BODY..MAX_SEALED_BODY + 1);
        let mut entries = vec![work.found()];
        entries.extend((0..logins).map(|_| work.login_entry()));
        for step in entries.chunks(64) {
            storage.log.blocking_append(step.to_vec()).await.expect("append");
            storage.machine.apply(step.to_vec()).await.expect("apply");
        }
        storage.log.purge(log_id(1, logins as u64)).await.expect("purge");
        while storage.guard.is_cleaning() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let most = disk.most_written.load(Ordering::SeqCst);
    println!("{logins} logins of {MAX_SEALED_BODY} bytes: at most {most} bytes written between two syncs");
    assert!(most < SEGMENT_BYTES as u64, "less than a segment");
}
