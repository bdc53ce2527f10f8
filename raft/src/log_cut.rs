//! Cuts the log: by a snapshot when it has grown and some time has passed, and whatever the time
//! when it takes much of the space that is free.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::time::{Boottime, Ttl};

use crate::config::SnapshotLimits;
use crate::limits::{LOG_PART_OF_FREE, LOW_DISK_BYTES, SMALLEST_CUT_BYTES};
use crate::log_store::LogStore;
use crate::shared::Shared;

/// How often the log's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why a cut is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The log has grown, and the last snapshot is some time ago.
    Grown,
    /// The disk is short of space for it.
    Crowded,
}

/// What one look sees.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Bytes appended since the last cut.
    grown: u64,
    /// Time since then.
    passed: Ttl,
    /// Bytes of the whole log.
    stored: u64,
    /// Bytes free beyond the reserve.
    free: u64,
}

fn due(seen: Seen, limits: SnapshotLimits) -> Option<Due> {
    let room = seen.free.saturating_sub(LOW_DISK_BYTES) / LOG_PART_OF_FREE;
    if seen.stored > room && seen.grown >= SMALLEST_CUT_BYTES {
        return Some(Due::Crowded);
    }
    let grown = seen.grown >= limits.log_bytes && seen.passed >= limits.min_interval;
    grown.then_some(Due::Grown)
}

/// A snapshot that was asked for.
#[derive(Clone, Copy)]
struct Asked {
    /// It has to include this entry.
    index: u64,
    why: Due,
}

/// Looks for ever.
pub(crate) async fn run(shared: Arc<Shared>, log: LogStore) {
    let (mut at_bytes, mut at_time) = (log.appended_bytes(), shared.clock.boottime());
    // What an earlier process left: on a short disk it is cut at once.
    let mut carried = log.stored_bytes();
    let mut asked: Option<Asked> = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(waiting) = asked {
            match follow(&shared, waiting).await {
                Some(true) => asked = None,
                Some(false) => {}
                None => return,
            }
            continue;
        }
        let seen = look(&shared, &log, (at_bytes, carried), at_time);
        let Some(why) = due(seen, shared.config.snapshot) else { continue };
        tracing::info!(log_bytes = seen.stored, free_bytes = seen.free, ?why, "cutting the log");
        (at_bytes, carried, at_time) = (log.appended_bytes(), 0, shared.clock.boottime());
        asked = Some(Asked { index: shared.index.applied().get(), why });
        if shared.raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

fn look(shared: &Shared, log: &LogStore, (at_bytes, carried): (u64, u64), at_time: Boottime) -> Seen {
    Seen {
        grown: carried + log.appended_bytes().saturating_sub(at_bytes),
        passed: shared.clock.boottime().since(at_time),
        stored: log.stored_bytes(),
        free: shared.space.borrow().free_bytes,
    }
}

/// Whether the snapshot is there; none once the core has stopped. openraft drops a request while a
/// snapshot is being built, so it is made again until there is one that goes far enough.
async fn follow(shared: &Shared, asked: Asked) -> Option<bool> {
    let built = shared.leaders.metrics().snapshot.map_or(0, |last| last.index);
    if built < asked.index {
        shared.raft.trigger().snapshot().await.ok()?;
        return Some(false);
    }
    // openraft itself keeps some entries behind a snapshot, for followers that were away briefly;
    // on a short disk they get the snapshot.
    if asked.why == Due::Crowded {
        shared.raft.trigger().purge_log(built).await.ok()?;
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn why(grown: u64, passed: u64, stored: u64, free: u64) -> Option<Due> {
        let seen = Seen { grown, passed: Ttl::from_secs(passed), stored, free };
        due(seen, SnapshotLimits { log_bytes: 64 * MIB, min_interval: Ttl::from_secs(600) })
    }

    #[test]
    fn the_log_is_cut_once_it_is_over_a_quarter_of_the_free_space_whatever_the_time() {
        let free = LOW_DISK_BYTES + LOG_PART_OF_FREE * 10 * MIB;
        assert_eq!(why(10 * MIB, 0, 10 * MIB, free), None);
        assert_eq!(why(10 * MIB, 0, 10 * MIB + 1, free), Some(Due::Crowded));
        assert_eq!(why(2 * MIB, 0, 10 * MIB + 1, free), Some(Due::Crowded), "the whole log counts");
        for free in (0..4096).map(|mib| mib * MIB) {
            let log = (free / 4 + 1).max(SMALLEST_CUT_BYTES);
            assert_eq!(why(log, 0, log, free), Some(Due::Crowded), "over a quarter of {free} bytes");
        }
        assert_eq!(why(SMALLEST_CUT_BYTES, 0, 2 * MIB, 0), Some(Due::Crowded));
        assert_eq!(why(SMALLEST_CUT_BYTES - 1, 0, 2 * MIB, 0), None, "there would be next to nothing to cut");
    }

    #[test]
    fn on_a_roomy_disk_growth_and_time_both_count() {
        let roomy = 1 << 40;
        assert_eq!(why(64 * MIB, 599, 64 * MIB, roomy), None);
        assert_eq!(why(63 * MIB, 600, 63 * MIB, roomy), None);
        assert_eq!(why(64 * MIB, 600, 64 * MIB, roomy), Some(Due::Grown));
    }
}
