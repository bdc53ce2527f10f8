//! What goes on in the background of an open store: freshness, watching leader and disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conclave_proto::command::Command;
use conclave_proto::time::Boottime;
use conclave_proto::wire::{DiskRoom, FrameKind, ReadIndexAnswer, ReadIndexQuestion, Versioned};

use crate::disk::DiskSpace;
use crate::freshness::Round;
use crate::handover;
use crate::leader::Leader;
use crate::pulse::{self, Said};
use crate::shared::Shared;
use crate::status::StoreEvent;

/// Longest time between two questions for freshness.
const LONGEST_BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);

/// Shortest pause after a question that failed: the next may meet a new leader.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Longest time for the entry that commits a resumed leader's log.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

/// How often links, clocks and the disk are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keeps this replica's knowledge fresh: asks for a quorum round, one question at a time.
pub(crate) async fn keep_fresh(shared: Arc<Shared>) {
    let pause = (shared.freshness.bound().as_duration() / 10).min(LONGEST_BETWEEN_QUESTIONS);
    loop {
        let begun = tokio::time::Instant::now();
        let asked = ask_round(&shared).await;
        let next = match asked {
            Some(_) => begun + pause,
            None => begun + pause.min(RETRY_PAUSE),
        };
        let mut leaders = shared.leaders.clone();
        tokio::time::sleep_until(next).await;
        if asked.is_none() {
            // Without a leader there is nobody to ask.
            let wait = async {
                while matches!(leaders.now(), Leader::Nobody) {
                    leaders.changed().await;
                }
            };
            let _ = tokio::time::timeout(pause, wait).await;
        }
    }
}

/// A leader that takes its leadership up again after a restart commits the end of its log only with
/// what comes after it, where no follower's answer does: then an entry that changes nothing comes.
pub(crate) async fn settle(shared: Arc<Shared>, last_log: u64) {
    let mut leaders = shared.leaders.clone();
    leaders.until_me().await;
    if shared.index.applied().get() < last_log {
        // If it fails, the next login does the same.
        let _ = shared.write(Command::ExpireUpTo { limit: 1 }, SETTLE_LIMIT).await;
    }
}

/// One question: the time is noted before it is asked, and counts only once everything that the
/// leader had acknowledged by then is applied here.
async fn ask_round(shared: &Shared) -> Option<()> {
    let noted = shared.clock.boottime();
    let answer = read_index(shared).await?;
    let mut applied = shared.index.watch_applied();
    let reached = applied.wait_for(|applied| *applied >= answer.index);
    // A replica that is far behind stays at it: a new question would only aim further ahead.
    tokio::time::timeout(shared.freshness.bound().as_duration(), reached).await.ok()?.ok()?;
    confirm(shared, noted, &answer);
    Some(())
}

fn confirm(shared: &Shared, noted: Boottime, answer: &ReadIndexAnswer) {
    shared.freshness.confirm(Round { noted, leader_time: answer.leader_time, index: answer.index });
    if !shared.flags.caught_up.swap(true, Ordering::AcqRel) {
        tracing::info!(index = answer.index.get(), "caught up with the cluster");
    }
}

async fn read_index(shared: &Shared) -> Option<ReadIndexAnswer> {
    let limit = shared.config.timeouts.question().as_duration();
    match shared.leaders.now() {
        Leader::Me => tokio::time::timeout(limit, shared.rounds.ask()).await.ok()?.ok(),
        Leader::Other(leader) => {
            let peer = shared.leaders.peer()?;
            let question = ReadIndexQuestion { clock: shared.clock.now() }.to_bytes();
            let mut leaders = shared.leaders.clone();
            let asked = tokio::select! {
                asked = shared.transport.ask(&peer, FrameKind::ReadIndex, question, limit) => asked,
                () = leaders.until_not(leader) => return None,
            };
            ReadIndexAnswer::from_bytes(&asked.ok()?).ok()
        }
        Leader::Nobody | Leader::Stopped => None,
    }
}

/// Tells of changes of the leader, and forgets claims when this replica stops leading.
pub(crate) async fn watch_leader(shared: Arc<Shared>) {
    let mut leaders = shared.leaders.clone();
    let mut told = None;
    let mut led = false;
    loop {
        let now = (leaders.leader_name(), leaders.metrics().current_term);
        if told.as_ref() != Some(&now) {
            let (leader, term) = now.clone();
            shared.tell(StoreEvent::LeaderChanged { leader, term });
            told = Some(now);
        }
        let leads = leaders.is_me();
        if led && !leads {
            shared.claims.clear();
        }
        led = leads;
        leaders.changed().await;
    }
}

/// Looks at links and clocks.
pub(crate) async fn judge(shared: Arc<Shared>) {
    let mut said = Said::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        pulse::judge(&shared, &mut said);
    }
}

/// How long a disk has to have little room before that counts against readiness: disks that fill
/// together are seen a second apart, and reported by a ping, and until then each seems the only one.
const LOW_FOR: Duration = Duration::from_secs(3);

/// Between two tries to hand over for the disk's sake: each holds writes up for a moment.
const BETWEEN_HAND_OVERS: Duration = Duration::from_secs(30);

/// Hands over while a peer has more room, before sled can meet a full disk, and says how much room
/// there is whenever that changes.
pub(crate) async fn watch_disk(shared: Arc<Shared>) {
    let mut space = shared.space.clone();
    let mut said = DiskRoom::Enough;
    let mut handed_over: Option<tokio::time::Instant> = None;
    let mut low_since: Option<tokio::time::Instant> = None;
    loop {
        let DiskSpace { room, free_bytes } = *space.borrow_and_update();
        if room != said {
            say_room(room, free_bytes);
            said = room;
        }
        low_since = match room {
            DiskRoom::Enough => None,
            DiskRoom::Low | DiskRoom::NearlyFull => low_since.or_else(|| Some(tokio::time::Instant::now())),
        };
        let lasts = low_since.is_some_and(|since| since.elapsed() >= LOW_FOR);
        shared.flags.low_disk.store(lasts, Ordering::Release);
        shared.decide_candidature();
        let rested = handed_over.is_none_or(|at| at.elapsed() >= BETWEEN_HAND_OVERS);
        if rested && shared.leaders.is_me() && shared.is_outdone_in_room() {
            handed_over = Some(tokio::time::Instant::now());
            handover::run(&shared).await;
        }
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, space.changed()).await {
            return;
        }
    }
}

fn say_room(room: DiskRoom, free_bytes: u64) {
    match room {
        DiskRoom::Enough => tracing::info!(free_bytes, "there is free disk space again"),
        DiskRoom::Low => tracing::error!(
            free_bytes,
            "free disk space is low: this replica does not lead and is not ready while another has more; enlarge the \
             volume"
        ),
        DiskRoom::NearlyFull => tracing::error!(
            free_bytes,
            "the disk is nearly full: a leader takes no further logins, sign-outs and expiry go on; enlarge the volume"
        ),
    }
}
