//! What the store's tests share: a store in a temporary directory, commands, and a disk that can be held up.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use conclave_proto::command::{
    Batch, Command, CreateSession, Found, KeyEnvelope, MAX_BATCH_BYTES, Outcome, Revoke, Tag, Tagged,
};
use conclave_proto::id::{
    AttemptId, ClusterId, Epoch, FeatureLevel, KeyId, LogIndex, ProcessId, ProviderId, SessionKey, SidKey, SiteId,
    SubjectKey,
};
use conclave_proto::time::{Entropy, Timestamp, Ttl};
use conclave_proto::transition::{self, StateHasher};
use conclave_raft::disk::DiskProbe;
use conclave_raft::open::{OpenError, Storage, StorageOptions, Verify, open};
use conclave_raft::types::{Proposal, RaftEntry, RaftLogId, Reply};
use openraft::storage::{RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, EntryPayload, LogId};

/// A count scaled by the environment's `SCALE`, at least 1.
pub fn scaled(count: usize) -> usize {
    let scale = std::env::var("SCALE").ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(1.0);
    ((count as f64 * scale).round() as usize).max(1)
}

/// A small deterministic generator (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().expect("that many")
    }
}

/// Entropy of the operating system would do; a counter makes node ids readable in failures.
pub struct CountedEntropy(AtomicU64);

impl Default for CountedEntropy {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Entropy for CountedEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        buffer.iter_mut().zip(number.iter().cycle()).for_each(|(byte, of)| *byte = *of);
    }
}

/// A disk whose syncs can be held up, and which remembers what it saw.
#[derive(Default)]
pub struct WatchedDisk {
    held: Mutex<bool>,
    release: Condvar,
    pub syncs_begun: AtomicUsize,
    pub syncs_ended: AtomicUsize,
    pub most_unsynced: AtomicUsize,
    /// Free bytes to report in place of the real ones; 0 for those.
    pub free: AtomicU64,
    written_before: AtomicU64,
    /// The most bytes that this process wrote between two syncs.
    pub most_written: AtomicU64,
    /// Told, with the disk's path, when a sync begins; nothing is held then.
    entered: Mutex<Option<tokio::sync::mpsc::UnboundedSender<()>>>,
}

impl WatchedDisk {
    pub fn hold(&self) -> tokio::sync::mpsc::UnboundedReceiver<()> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        *self.entered.lock().expect("not poisoned") = Some(sender);
        *self.held.lock().expect("not poisoned") = true;
        receiver
    }

    pub fn release(&self) {
        *self.held.lock().expect("not poisoned") = false;
        self.release.notify_all();
    }
}

impl WatchedDisk {
    /// What the kernel has seen this process write since the sync before.
    fn measure(&self) {
        let written = bytes_written();
        let before = self.written_before.swap(written, Ordering::SeqCst);
        if before > 0 {
            self.most_written.fetch_max(written - before, Ordering::SeqCst);
        }
    }
}

fn bytes_written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("wchar");
    line.parse().expect("a number")
}

impl DiskProbe for WatchedDisk {
    fn sync(&self, db: &File) -> io::Result<()> {
        self.syncs_begun.fetch_add(1, Ordering::SeqCst);
        if let Some(entered) = &*self.entered.lock().expect("not poisoned") {
            // The test may have stopped listening.
            let _ = entered.send(());
        }
        let mut held = self.held.lock().expect("not poisoned");
        while *held {
            held = self.release.wait(held).expect("not poisoned");
        }
        drop(held);
        db.sync_data()?;
        self.measure();
        self.syncs_ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        match self.free.load(Ordering::SeqCst) {
            0 => conclave_raft::disk::RealDisk.free_bytes(dir),
            bytes => Ok(bytes),
        }
    }

    fn synced(&self, unsynced_bytes: usize) {
        self.most_unsynced.fetch_max(unsynced_bytes, Ordering::SeqCst);
    }
}

/// Opens a store in `dir`, verified in this process.
pub async fn open_in(dir: &Path, disk: Option<Arc<WatchedDisk>>) -> Result<Storage, OpenError> {
    let mut options = StorageOptions::new(dir.to_path_buf(), Verify::InProcess);
    options.cache_bytes = 32 * 1024 * 1024;
    if let Some(disk) = disk {
        options.disk = disk;
    }
    open(options, &CountedEntropy::default()).await
}

/// A store in a temporary directory that goes with it.
pub struct Rig {
    pub storage: Storage,
    pub disk: Arc<WatchedDisk>,
    pub dir: tempfile::TempDir,
}

impl Rig {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let disk = Arc::new(WatchedDisk::default());
        let storage = open_in(dir.path(), Some(Arc::clone(&disk))).await.expect("a new store opens");
        Self { storage, disk, dir }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(self) -> Self {
        let Self { storage, disk, dir } = self;
        drop(storage);
        let storage = open_in(dir.path(), Some(Arc::clone(&disk))).await.expect("the store opens again");
        Self { storage, disk, dir }
    }

    /// Appends and applies entries, as a single replica would.
    pub async fn run(&mut self, entries: Vec<RaftEntry>) -> Vec<Reply> {
        self.storage.log.blocking_append(entries.clone()).await.expect("append");
        self.storage.machine.apply(entries).await.expect("apply")
    }

    pub fn blob_files(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("store/blobs")).expect("blobs").count()
    }
}

pub fn log_id(term: u64, index: u64) -> RaftLogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

pub fn blank(index: u64) -> RaftEntry {
    RaftEntry { log_id: log_id(1, index), payload: EntryPayload::Blank }
}

pub fn entry(index: u64, batch: &Batch) -> RaftEntry {
    RaftEntry { log_id: log_id(1, index), payload: EntryPayload::Normal(Proposal::new(batch)) }
}

/// When the first entry is stamped.
const BEGAN: u64 = 1_700_000_000_000;

/// Draws entries as a busy cluster would write them, and remembers which sessions it made.
pub struct Workload {
    pub random: Random,
    sequence: u64,
    now: u64,
    next_index: u64,
    sessions: Vec<(SessionKey, SubjectKey)>,
    body: std::ops::Range<usize>,
}

impl Workload {
    pub fn new(seed: u64, body: std::ops::Range<usize>) -> Self {
        Self { random: Random::new(seed), sequence: 0, now: BEGAN, next_index: 0, sessions: Vec::new(), body }
    }

    /// The index of the next entry.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    fn tag(&mut self, command: Command) -> Tagged {
        self.sequence += 1;
        let tag = Tag {
            process: ProcessId::from_bytes([7; 16]),
            sequence: self.sequence,
            known_time: Timestamp::from_millis(self.now),
        };
        Tagged { tag, command }
    }

    fn finish(&mut self, commands: Vec<Command>) -> RaftEntry {
        self.now += 50;
        let commands = commands.into_iter().map(|command| self.tag(command)).collect();
        let entry = entry(self.next_index, &Batch::new(Timestamp::from_millis(self.now), commands));
        self.next_index += 1;
        entry
    }

    /// The founding entry.
    pub fn found(&mut self) -> RaftEntry {
        let envelope = KeyEnvelope { key_id: KeyId::from_bytes([1; 4]), sealed: vec![2; 60] };
        let found = Found {
            cluster: ClusterId::from_bytes([3; 16]),
            envelopes: vec![envelope],
            feature_level: FeatureLevel::new(1),
        };
        self.finish(vec![Command::Found(found)])
    }

    fn login(&mut self) -> Command {
        let key = SessionKey::from_bytes(self.random.array());
        // Few people, so that revocations of a person end several sessions.
        let subject = SubjectKey::from_bytes([self.random.below(50) as u8; 32]);
        let spread = (self.body.end - self.body.start) as u64;
        let body = self.body.start + self.random.below(spread.max(1)) as usize;
        self.sessions.push((key, subject));
        Command::CreateSession(CreateSession {
            key,
            attempt: AttemptId::from_bytes(self.random.array()),
            epoch: Epoch::new(1),
            provider: ProviderId::default(),
            site: SiteId::default(),
            lifetime: Ttl::from_millis(1_000 + self.random.below(600_000)),
            subject,
            sid: Some(SidKey::from_bytes(self.random.array())),
            label: self.random.bytes(200),
            body: self.random.bytes(body),
            replaces: Vec::new(),
            // Few enough that logins end others.
            sessions_per_person: 5,
        })
    }

    fn command(&mut self) -> Command {
        match self.random.below(100) {
            0..70 => self.login(),
            70..85 if !self.sessions.is_empty() => {
                let at = self.random.below(self.sessions.len() as u64) as usize;
                Command::Revoke(Revoke::Session(self.sessions.swap_remove(at).0))
            }
            85..88 if !self.sessions.is_empty() => {
                let at = self.random.below(self.sessions.len() as u64) as usize;
                Command::Revoke(Revoke::Subject(self.sessions[at].1))
            }
            _ => Command::ExpireUpTo { limit: 16 },
        }
    }

    /// An entry of up to `most` commands.
    pub fn next(&mut self, most: u64) -> RaftEntry {
        let count = self.random.below(most) as usize + 1;
        // A batcher would leave the rest for the next entry.
        let fits = MAX_BATCH_BYTES / (self.body.end + 1_000);
        let commands = (0..count.min(fits.max(1))).map(|_| self.command()).collect();
        self.finish(commands)
    }

    /// An entry with one login.
    pub fn login_entry(&mut self) -> RaftEntry {
        let login = self.login();
        self.finish(vec![login])
    }
}

/// The state as a plain map: what a store must agree with.
#[derive(Default)]
pub struct PlainState(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl PlainState {
    pub fn apply(&mut self, entry: &RaftEntry) -> Vec<Outcome> {
        let EntryPayload::Normal(proposal) = &entry.payload else { return Vec::new() };
        let batch = proposal.decode().expect("known");
        let (outcomes, changes) = transition::apply(&self.0, LogIndex::new(entry.log_id.index), &batch);
        changes.write_to(&mut self.0);
        outcomes
    }

    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = StateHasher::default();
        self.0.iter().for_each(|(key, value)| hasher.row(key, value));
        hasher.finish()
    }
}
