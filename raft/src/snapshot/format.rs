//! The bytes of a snapshot: magic, a head that says what it is, blocks of rows, and an end that
//! says how many. Every part has its own checksum; it is read in one pass with bounded memory.

use conclave_proto::wire::Versioned;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_ROW_BYTES;
use crate::rows::StateChecksum;
use crate::types::RaftSnapshotMeta;

/// First bytes of a snapshot; the last one is the version.
const MAGIC: [u8; 8] = *b"CNCSNAP\x01";

/// Rows of one block, about.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// Largest block: one row more than asked for, and lengths of many small rows.
const MAX_PART: usize = 4 * BLOCK_BYTES + MAX_ROW_BYTES;

const PART_HEAD: usize = 8;

/// The kind of a part stands in the upper byte of its length.
const KIND_HEAD: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_END: u8 = 3;

/// Why bytes are no whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// Not a snapshot, or one of a newer program.
    #[error("has an unknown format")]
    Format,
    /// A part is not what was written.
    #[error("has a wrong checksum")]
    Checksum,
    /// A part is larger than any may be.
    #[error("has an oversized part")]
    TooLarge,
    /// Parts or rows in an impossible order or shape.
    #[error("is malformed")]
    Malformed,
    /// It ends early.
    #[error("is cut short")]
    CutShort,
    /// A row of a kind that this program does not know.
    #[error("holds rows of a newer program")]
    UnknownRow,
    /// It is not the snapshot that was announced.
    #[error("is not the one that was announced")]
    OtherMeta,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) meta: RaftSnapshotMeta,
}

impl Versioned for Head {
    const VERSION: u8 = 1;
    const LIMIT: usize = MAX_ROW_BYTES;
}

#[derive(Serialize, Deserialize)]
struct End {
    checksum: StateChecksum,
}

impl Versioned for End {
    const VERSION: u8 = 1;
    const LIMIT: usize = 64;
}

/// The beginning of a snapshot.
pub(crate) fn encode_head(meta: &RaftSnapshotMeta) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(part(KIND_HEAD, &Head { meta: meta.clone() }.to_bytes()));
    bytes
}

/// One block of rows.
pub(crate) fn encode_rows(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    for (key, value) in rows {
        block.extend_from_slice(&len_u32(key));
        block.extend_from_slice(&len_u32(value));
        block.extend_from_slice(key);
        block.extend_from_slice(value);
    }
    part(KIND_ROWS, &block)
}

/// The end of a snapshot.
pub(crate) fn encode_end(checksum: StateChecksum) -> Vec<u8> {
    part(KIND_END, &End { checksum }.to_bytes())
}

fn len_u32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("rows are far smaller").to_le_bytes()
}

/// Kind and length in one number, checksum, bytes.
fn part(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PART_HEAD + bytes.len());
    let len = u32::try_from(bytes.len()).expect("a part is far smaller");
    out.extend_from_slice(&((u32::from(kind) << 24) | len).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

/// What reading a snapshot yields.
pub(crate) enum Part {
    Head(Box<RaftSnapshotMeta>),
    Rows(Vec<(Vec<u8>, Vec<u8>)>),
    End(StateChecksum),
}

/// Cuts a stream of chunks into parts. Holds at most one part and one chunk.
#[derive(Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    magic_seen: bool,
}

impl Parser {
    /// Adds bytes as they come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether everything that was pushed has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next part, if it is there whole.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>, BadSnapshot> {
        if !self.magic_seen {
            if self.buffer.len() < MAGIC.len() {
                return Ok(None);
            }
            if self.buffer[..MAGIC.len()] != MAGIC {
                return Err(BadSnapshot::Format);
            }
            self.buffer.drain(..MAGIC.len());
            self.magic_seen = true;
        }
        let Some(head) = self.buffer.first_chunk::<PART_HEAD>() else { return Ok(None) };
        let (kind_and_len, crc) = (le_u32(&head[..4]), le_u32(&head[4..]));
        let len = (kind_and_len & 0x00ff_ffff) as usize;
        if len > MAX_PART {
            return Err(BadSnapshot::TooLarge);
        }
        let Some(bytes) = self.buffer.get(PART_HEAD..PART_HEAD + len) else { return Ok(None) };
        if crc32fast::hash(bytes) != crc {
            return Err(BadSnapshot::Checksum);
        }
        let part = decode_part((kind_and_len >> 24) as u8, bytes)?;
        self.buffer.drain(..PART_HEAD + len);
        Ok(Some(part))
    }
}

fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

fn decode_part(kind: u8, bytes: &[u8]) -> Result<Part, BadSnapshot> {
    match kind {
        KIND_HEAD => {
            let head = Head::from_bytes(bytes).map_err(|_| BadSnapshot::Format)?;
            Ok(Part::Head(Box::new(head.meta)))
        }
        KIND_ROWS => decode_rows(bytes).ok_or(BadSnapshot::Malformed).map(Part::Rows),
        KIND_END => {
            let end = End::from_bytes(bytes).map_err(|_| BadSnapshot::Malformed)?;
            Ok(Part::End(end.checksum))
        }
        _ => Err(BadSnapshot::Format),
    }
}

fn decode_rows(mut bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_at_checked(le_u32(&head[..4]) as usize)?;
        let (value, rest) = rest.split_at_checked(le_u32(&head[4..]) as usize)?;
        rows.push((key.to_vec(), value.to_vec()));
        bytes = rest;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::Config;

    use super::*;

    /// Inputs in a full run; `SCALE` makes it smaller, and 0.02 is what runs where nobody says otherwise.
    const FULL: f64 = 1_000_000.0;

    fn config() -> Config {
        let scale = std::env::var("SCALE").ok().and_then(|raw| raw.parse::<f64>().ok()).unwrap_or(0.02);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cases = (FULL * scale.clamp(0.0, 1.0)).round() as u32;
        println!("{cases} of {FULL} inputs");
        Config { cases, failure_persistence: None, ..Config::default() }
    }

    fn rows() -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..3_u8).map(|byte| (vec![byte; 5], vec![byte; usize::from(byte) * 7])).collect()
    }

    /// Whole parts, the last with bytes overwritten; its checksum is made right again where asked.
    fn edited(edits: &[(Index, u8)], repaired: bool, cut: Index) -> Vec<u8> {
        let mut bytes = encode_head(&RaftSnapshotMeta::default());
        bytes.extend(encode_rows(&rows()));
        let last = bytes.len();
        bytes.extend(encode_rows(&rows()));
        let body = last + PART_HEAD..bytes.len();
        for (place, value) in edits {
            let place = if repaired { body.start + place.index(body.len()) } else { place.index(bytes.len()) };
            bytes[place] = *value;
        }
        if repaired {
            let crc = crc32fast::hash(&bytes[body]).to_le_bytes();
            bytes[last + 4..last + 8].copy_from_slice(&crc);
        }
        bytes.extend(encode_end(StateChecksum::default()));
        bytes.truncate(bytes.len() - cut.index(40));
        bytes
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn generated_inputs_are_read_or_refused(
            edits in prop::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 0..5),
            repaired in any::<bool>(), cut in any::<Index>(), chunk in 1..200_usize
        ) {
            let bytes = edited(&edits, repaired, cut);
            let mut parser = Parser::default();
            let mut read = 0;
            'all: for chunk in bytes.chunks(chunk) {
                parser.push(chunk);
                loop {
                    match parser.next_part() {
                        Ok(Some(_)) => read += 1,
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
            }
            prop_assert!(read <= 4, "no more parts than were written");
            prop_assert!(!edits.is_empty() || read >= 2, "what is whole is read");
        }
    }
}
