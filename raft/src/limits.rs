//! The store's sizes: every bound that keeps sled's unsynced paths out of use, with its reason.

use conclave_proto::command::MAX_CHANGE_BYTES;

/// sled's segment size, the largest it takes: an item over a quarter of it goes to a blob file
/// that sled never syncs.
pub const SEGMENT_BYTES: usize = 16 * 1024 * 1024;

/// Largest row of any tree, key and value together.
pub const MAX_ROW_BYTES: usize = 128 * 1024;

/// sled writes a leaf as one item, and a leaf holds up to so many rows before it splits.
pub const ROWS_PER_LEAF: usize = 17;

const _: () = assert!(
    ROWS_PER_LEAF * MAX_ROW_BYTES < SEGMENT_BYTES / 4,
    "a full leaf of the largest rows must stay in sled's log: its blob files are never synced"
);

/// Most bytes of rows, of all trees together, between two syncs. sled takes sync_file_range for
/// stable, which is harmless while what lies between two real syncs is less than a segment. It
/// writes whole leaves again and again: with the largest rows up to eight times the rows' bytes, so
/// that 2 MiB of them came to nearly a segment, and this to about three quarters of one.
pub const MAX_UNSYNCED_BYTES: usize = 1280 * 1024;

const _: () = assert!(MAX_CHANGE_BYTES + MAX_ROW_BYTES < MAX_UNSYNCED_BYTES, "what one entry changes fits");

/// Most bytes of one sled batch of log or snapshot rows, so that several writers share the bound.
pub const WRITE_STEP_BYTES: usize = 512 * 1024;

const _: () = assert!(WRITE_STEP_BYTES + MAX_ROW_BYTES < MAX_UNSYNCED_BYTES);

/// What a row costs in sled's log besides its key and value.
pub const ROW_OVERHEAD_BYTES: usize = 64;

/// Most rows that a background deletion takes between two looks at the clock and the bound.
pub const CLEAN_STEP_ROWS: usize = 64;

/// Most bytes of entries that one read of the log for replication returns.
pub const MAX_LOG_READ_BYTES: usize = 1024 * 1024;

/// sled's page cache by default: less makes logins dearer once the rows of all sessions are more,
/// and saves little, as sled holds more than it is told. Each of the 256 shards of its cache evicts
/// at every 64th access alone, so up to 16,000 pages lie in memory beside this, whatever it is.
pub const DEFAULT_CACHE_BYTES: u64 = 128 * 1024 * 1024;

/// Size of the reserve: a file of real blocks that is given up when the disk is full, so that the
/// store can be opened, dead sessions removed and the log cut. Two segments of sled's log.
pub const RESERVE_BYTES: u64 = 2 * SEGMENT_BYTES as u64;

/// Below so many free bytes a start gives the reserve up: opening the store writes up to a segment.
pub const FULL_DISK_BYTES: u64 = SEGMENT_BYTES as u64;

/// Below so many bytes beyond the reserve, no further session is taken: what is left is for what
/// ends sessions and for the log of what was proposed before.
pub const NEARLY_FULL_BYTES: u64 = 20 * 1024 * 1024;

/// From so many on sessions are taken again.
pub const NOT_NEARLY_FULL_BYTES: u64 = 28 * 1024 * 1024;

/// Below so many bytes beyond the reserve a replica hands over and goes unready, where another has
/// more: before logins are refused, and early enough that sled itself never meets a full disk.
pub const LOW_DISK_BYTES: u64 = 32 * 1024 * 1024;

/// From so many bytes on the disk counts as roomy again; above the low mark, so that the
/// replica does not flap.
pub const ROOMY_DISK_BYTES: u64 = 36 * 1024 * 1024;

const _: () = assert!(FULL_DISK_BYTES < RESERVE_BYTES, "a reserve given up is more than a start needs");
const _: () = assert!(NEARLY_FULL_BYTES < NOT_NEARLY_FULL_BYTES && NOT_NEARLY_FULL_BYTES < LOW_DISK_BYTES);
const _: () = assert!(LOW_DISK_BYTES < ROOMY_DISK_BYTES);

/// The log is cut once it is more than this part of the space that is free before the disk counts as
/// low, and so at the latest at a quarter of what is free: the store's file keeps for good what a
/// long log once made it take, and the snapshot that lets the log be cut takes room too.
pub const LOG_PART_OF_FREE: u64 = 8;

/// Less new log than this is not worth a snapshot, however short the disk is.
pub const SMALLEST_CUT_BYTES: u64 = 1024 * 1024;

/// Most bytes of old rows that a running snapshot may keep in memory; beyond it apply waits for
/// the snapshot.
pub const MAX_OVERLAY_BYTES: usize = 64 * 1024 * 1024;
