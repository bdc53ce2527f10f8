//! Local users: the lines of an htpasswd file, and what checking a password against them takes.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// bcrypt's own base64. The last character of a salt has bits to spare, which some writers set.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// Lowest cost that bcrypt knows.
const LEAST_COST: u32 = 4;

/// Highest cost taken: a check takes several seconds of a core, and everyone may ask for one.
const HIGHEST_COST: u32 = 16;

/// Begins what a [`LineDigest`] is made of.
const LINE_PURPOSE: &[u8] = b"htpasswd line/1";

/// A file that names no users. Reads as the end of "the file ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidHtpasswd {
    /// A line of another form.
    #[error("has no `user:hash` on line {line}")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// No line can be used.
    #[error("names no user with a bcrypt or {{SHA}} hash: make its lines with `htpasswd -B`")]
    Nobody,
}

/// The users of a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LocalUsers {
    users: BTreeMap<String, Line>,
    /// Cost of the costliest hash; 0 without bcrypt.
    costliest: u32,
    /// Lines whose hash cannot be checked, counted from 1.
    pub skipped: Vec<usize>,
}

impl fmt::Debug for LocalUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUsers").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// What the file says of one user.
#[derive(Clone, PartialEq, Eq)]
struct Line {
    hash: PasswordHash,
    digest: LineDigest,
}

/// What a session remembers of the line that let its user in: SHA-256 over name and hash. Another password, another
/// salt or cost gives another digest; the spelling of the line does not count. It does not print, as a `{SHA}` line
/// could be guessed by it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDigest([u8; 32]);

impl fmt::Debug for LineDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineDigest(***)")
    }
}

impl LineDigest {
    fn of(user: &str, hash: &PasswordHash) -> Self {
        let mut bytes = LINE_PURPOSE.to_vec();
        bytes.extend_from_slice(&(user.len() as u64).to_be_bytes());
        bytes.extend_from_slice(user.as_bytes());
        match hash {
            PasswordHash::Sha1(hash) => {
                bytes.push(0);
                bytes.extend_from_slice(hash);
            }
            PasswordHash::Bcrypt { cost, salt, hash } => {
                bytes.push(1);
                bytes.extend_from_slice(&cost.to_be_bytes());
                bytes.extend_from_slice(salt);
                bytes.extend_from_slice(hash);
            }
        }
        let mut own = [0; 32];
        own.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Self(own)
    }
}

/// What stands for a password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// `{SHA}`.
    Sha1([u8; 20]),
    /// `$2a$`, `$2b$`, `$2x$` and `$2y$`.
    Bcrypt {
        /// Binary logarithm of the rounds.
        cost: u32,
        /// The salt.
        salt: [u8; 16],
        /// The result.
        hash: [u8; 23],
    },
}

/// What a check of one password takes.
pub struct Trial {
    /// The user's hash and its line's digest; none if the file does not name the user.
    pub line: Option<(PasswordHash, LineDigest)>,
    /// Costs of the bcrypt runs to do besides, for nothing: with them every check takes as long as
    /// one of the file's costliest hash, whether the user exists or not.
    pub padding: Vec<u32>,
}

impl LocalUsers {
    /// Reads `user:hash` lines; `#` begins a comment line, and of several lines of one name the last
    /// counts. A hash of another kind is passed over and named in `skipped`. A file may have no users left.
    pub fn parse(text: &str) -> Result<Self, InvalidHtpasswd> {
        let mut read = Self::default();
        for (index, raw) in text.lines().enumerate() {
            if raw.is_empty() || raw.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let parts = raw.split_once(':').filter(|(_, hash)| !hash.contains(':'));
            let (user, hash) = parts.ok_or(InvalidHtpasswd::Line { line })?;
            match PasswordHash::parse(hash.trim()) {
                Some(hash) => {
                    let user = user.trim_start();
                    let digest = LineDigest::of(user, &hash);
                    read.users.insert(user.to_owned(), Line { hash, digest });
                }
                None => read.skipped.push(line),
            }
        }
        read.costliest = read.users.values().map(|line| line.hash.cost()).max().unwrap_or(0);
        Ok(read)
    }

    /// The same, unless there are none: a file without any user has no purpose at the start.
    pub fn some(self) -> Result<Self, InvalidHtpasswd> {
        if self.is_empty() { Err(InvalidHtpasswd::Nobody) } else { Ok(self) }
    }

    /// Whether the line that let `user` in still stands as it was.
    pub fn vouch_for(&self, user: &str, line: &LineDigest) -> bool {
        self.users.get(user).is_some_and(|now| now.digest == *line)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether a check takes long enough to be done beside the serving threads.
    pub fn is_costly(&self) -> bool {
        self.costliest > 0
    }

    /// What checking a password of that user takes.
    pub fn trial(&self, user: &str) -> Trial {
        let line = self.users.get(user).map(|line| (line.hash.clone(), line.digest));
        let own = line.as_ref().map_or(0, |(hash, _)| hash.cost());
        let padding = match (own, self.costliest) {
            (_, 0) => Vec::new(),
            (0, costliest) => vec![costliest],
            // Rounds double with each cost: a run of c besides runs of c, c+1 ... n-1 take one of n.
            (own, costliest) => (own..costliest).collect(),
        };
        Trial { line, padding }
    }
}

impl PasswordHash {
    fn parse(text: &str) -> Option<Self> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            return STANDARD.decode(encoded).ok()?.try_into().ok().map(Self::Sha1);
        }
        let rest = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let (cost, rest) = rest.split_once('$')?;
        let cost = Some(cost).filter(|cost| cost.len() == 2)?.parse().ok()?;
        if !(LEAST_COST..=HIGHEST_COST).contains(&cost) || !rest.is_ascii() || rest.len() != 53 {
            return None;
        }
        let (salt, hash) = rest.split_at(22);
        let salt = BCRYPT_BASE64.decode(salt).ok()?.try_into().ok()?;
        let hash = BCRYPT_BASE64.decode(hash).ok()?.try_into().ok()?;
        Some(Self::Bcrypt { cost, salt, hash })
    }

    fn cost(&self) -> u32 {
        match self {
            Self::Sha1(_) => 0,
            Self::Bcrypt { cost, .. } => *cost,
        }
    }

    /// Whether it stands for `password`, in constant time. `bcrypt` is the function of that name: of
    /// cost, salt and password.
    pub fn fits(&self, password: &[u8], bcrypt: impl FnOnce(u32, [u8; 16], &[u8]) -> [u8; 24]) -> bool {
        let same = match self {
            Self::Sha1(expected) => digest(&SHA1_FOR_LEGACY_USE_ONLY, password).as_ref().ct_eq(expected),
            Self::Bcrypt { cost, salt, hash } => bcrypt(*cost, *salt, password)[..hash.len()].ct_eq(hash),
        };
        same.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA_PW: &str = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=";
    const BCRYPT_PW: &str = "04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW";

    fn parse(text: &str) -> LocalUsers {
        LocalUsers::parse(text).expect("users")
    }

    fn fits(users: &LocalUsers, user: &str, password: &str) -> bool {
        let line = users.trial(user).line;
        line.is_some_and(|(hash, _)| hash.fits(password.as_bytes(), |_, _, _| [0; 24]))
    }

    #[test]
    fn lines_are_read_as_oauth2_proxy_reads_them() {
        let users = parse(&format!(
            "# note\n#c:{SHA_PW}\n\n   lead:{SHA_PW}\r\ndup:{SHA_PW}\ndup:{{SHA}}3OptnM09ILoVSfbZtd3mB0IViII=\n"
        ));
        assert!(fits(&users, "lead", "pw") && !fits(&users, "lead", "PW"));
        assert!(!fits(&users, "dup", "pw") && fits(&users, "dup", "a:b"));
        assert!(users.trial("#c").line.is_none() && users.trial("c").line.is_none());
        assert_eq!((users.len(), users.is_costly()), (2, false));
    }

    #[test]
    fn every_kind_of_bcrypt_is_taken_and_its_parts_reach_the_function() {
        for kind in ["2a", "2b", "2x", "2y"] {
            let users = parse(&format!("bob:${kind}${BCRYPT_PW}\n"));
            let (hash, _) = users.trial("bob").line.expect("bob");
            assert!(!hash.fits(b"pw", |cost, _, password| {
                assert_eq!((cost, password), (4, &b"pw"[..]));
                [0; 24]
            }));
            let PasswordHash::Bcrypt { hash: expected, .. } = hash else { panic!("bcrypt") };
            let whole = [expected.as_slice(), &[9]].concat().try_into().expect("24 bytes");
            assert!(hash.fits(b"pw", |_, _, _| whole));
        }
    }

    #[test]
    fn what_cannot_be_checked_is_skipped_or_refused() {
        let mixed = parse(&format!("a:plain\nb:{SHA_PW}\nc:$2y$31${}\n", &BCRYPT_PW[3..]));
        assert_eq!((mixed.len(), mixed.skipped.as_slice()), (1, [1, 3].as_slice()));
        for nobody in ["", "# nobody\n", "bob:password\n", "bob:$apr1$abcdefgh$9Z0Bq7oX2Ht0xkEJ1yTn5.\n", "a:{SHA}x\n"]
        {
            let read = LocalUsers::parse(nobody).expect("lines that can be read");
            assert_eq!(read.some(), Err(InvalidHtpasswd::Nobody), "{nobody}");
        }
        assert_eq!(LocalUsers::parse("bob:x:y\n"), Err(InvalidHtpasswd::Line { line: 1 }));
        assert_eq!(LocalUsers::parse(&format!("b:{SHA_PW}\neve\n")), Err(InvalidHtpasswd::Line { line: 2 }));
    }

    #[test]
    fn s_24_every_check_takes_as_long_as_the_costliest() {
        let of_cost = |cost: u32| format!("$2y${cost:02}${}", &BCRYPT_PW[3..]);
        let users = parse(&format!("a:{}\nb:{}\nc:{SHA_PW}\n", of_cost(5), of_cost(9)));
        for user in ["a", "b", "c", "nobody", ""] {
            let trial = users.trial(user);
            let own = trial.line.as_ref().map_or(0, |(hash, _)| hash.cost());
            let rounds = |cost: u32| if cost == 0 { 0 } else { 1_u64 << cost };
            let all: u64 = rounds(own) + trial.padding.iter().map(|cost| rounds(*cost)).sum::<u64>();
            assert_eq!(all, 1 << 9, "{user}");
        }
        assert!(parse(&format!("c:{SHA_PW}")).trial("nobody").padding.is_empty());
    }

    #[test]
    fn a_line_vouches_for_its_own_user_as_long_as_it_says_the_same() {
        let other_salt = BCRYPT_PW.replacen("abcd", "bbcd", 1);
        let line = |users: &LocalUsers, user: &str| users.trial(user).line.expect("a user").1;
        let before = parse(&format!("joe:{SHA_PW}\nkim:{SHA_PW}\nbob:$2y${BCRYPT_PW}\n"));
        let (joe, bob) = (line(&before, "joe"), line(&before, "bob"));
        assert!(before.vouch_for("joe", &joe) && before.vouch_for("bob", &bob));
        assert!(!before.vouch_for("kim", &joe), "one password, two people");
        for (text, joes, bobs) in [
            (format!("# moved\n\n  bob:$2b${BCRYPT_PW}\njoe:{SHA_PW} \n"), true, true),
            (format!("joe:{SHA_PW}\nbob:$2y${other_salt}\n"), true, false),
            (format!("joe:{{SHA}}3OptnM09ILoVSfbZtd3mB0IViII=\nbob:$2y$05{}\n", &BCRYPT_PW[2..]), false, false),
            (format!("joe:{SHA_PW}\njoe:{{SHA}}3OptnM09ILoVSfbZtd3mB0IViII=\nbob:plain\n"), false, false),
            ("# nobody\n".to_owned(), false, false),
        ] {
            let now = LocalUsers::parse(&text).expect("lines that can be read");
            assert_eq!((now.vouch_for("joe", &joe), now.vouch_for("bob", &bob)), (joes, bobs), "{text}");
        }
        assert!(before.vouch_for("joe", &joe), "what stands again counts again");
    }

    #[test]
    fn it_does_not_print() {
        assert_eq!(format!("{:?}", LineDigest([7; 32])), "LineDigest(***)");
        assert_eq!(format!("{:?}", parse(&format!("c:{SHA_PW}"))), "LocalUsers { users: 1, .. }");
    }
}
