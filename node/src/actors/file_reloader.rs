//! Takes a file into use again when it changes, also when a volume swaps the link that leads to it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, WrapFuture};
use tracing::{info, warn};

use super::{Activate, Stop};

/// How often the file is looked at: one `stat`, so that a removed user is out within a moment.
const EVERY: Duration = Duration::from_millis(250);

/// Largest file read: a hundred thousand users.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Takes a file's text into use; says why it cannot.
pub type Taker = Box<dyn Fn(&str) -> Result<(), String>>;

/// Watches one file.
pub struct FileReloader {
    option: &'static str,
    path: PathBuf,
    take: Taker,
    /// What was looked at last; none where it could not be.
    seen: Option<Look>,
    first: bool,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a look at the file found.
enum Round {
    Same,
    New(Look, String),
    Failed(String),
}

impl FileReloader {
    /// Watches the file that `option` names. It is read once at the beginning too: it may have
    /// changed since the start.
    pub fn new(option: &'static str, path: PathBuf, take: Taker) -> Self {
        Self { option, path, take, seen: None, first: true }
    }

    fn note(&mut self, round: Round) {
        let (option, path) = (self.option, self.path.display());
        match round {
            Round::Same => {}
            Round::Failed(error) => {
                if self.first || self.seen.is_some() {
                    warn!(option, %path, error, "the file cannot be read: what it said before stays in use");
                }
                self.seen = None;
                self.first = false;
            }
            Round::New(look, text) => {
                match (self.take)(&text) {
                    Ok(()) if self.first => {}
                    Ok(()) => info!(option, %path, "the file has changed and is in use"),
                    Err(error) => {
                        warn!(option, %path, error, "the file is not taken: what it said before stays in use")
                    }
                }
                self.seen = Some(look);
                self.first = false;
            }
        }
    }
}

/// Reads the file if it is not as it was. One that changes meanwhile is read in the next round.
async fn look(path: PathBuf, seen: Option<Look>) -> Round {
    let read = async {
        let before = Look::of(&tokio::fs::metadata(&path).await?);
        if seen == Some(before) {
            return Ok(Round::Same);
        }
        if before.size > MAX_FILE {
            return Ok(Round::Failed(format!("it is over {MAX_FILE} bytes")));
        }
        let text = tokio::fs::read_to_string(&path).await?;
        let after = Look::of(&tokio::fs::metadata(&path).await?);
        Ok::<_, std::io::Error>(if after == before { Round::New(after, text) } else { Round::Same })
    };
    read.await.unwrap_or_else(|error| Round::Failed(error.to_string()))
}

impl Actor for FileReloader {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(Activate);
    }
}

impl Handler<Stop> for FileReloader {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

impl Handler<Activate> for FileReloader {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Activate, _: &mut Self::Context) -> Self::Result {
        let round = look(self.path.clone(), self.seen);
        AtomicResponse::new(Box::pin(round.into_actor(self).map(|round, actor, context| {
            actor.note(round);
            context.notify_later(Activate, EVERY);
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until there is something else than the same.
    async fn next(path: &std::path::Path, seen: Option<Look>) -> Round {
        loop {
            match look(path.to_owned(), seen).await {
                Round::Same => tokio::time::sleep(Duration::from_millis(5)).await,
                other => return other,
            }
        }
    }

    fn text(round: Round) -> (Option<Look>, String) {
        match round {
            Round::New(look, text) => (Some(look), text),
            Round::Same => (None, "same".to_owned()),
            Round::Failed(error) => (None, error),
        }
    }

    #[tokio::test]
    async fn a_change_in_place_and_a_swapped_link_are_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("one")).and_then(|()| std::fs::create_dir(at("two"))).expect("made");
        std::fs::write(at("one/users"), "1").and_then(|()| std::fs::write(at("two/users"), "2")).expect("written");
        std::os::unix::fs::symlink("one", at("data")).expect("linked");
        let path = at("data/users");
        let (seen, first) = text(next(&path, None).await);
        assert_eq!(first, "1");
        assert_eq!(text(look(path.clone(), seen).await).1, "same");
        std::fs::write(at("one/users"), "1 and more").expect("written");
        let (seen, changed) = text(next(&path, seen).await);
        assert_eq!(changed, "1 and more");
        std::os::unix::fs::symlink("two", at("data.new")).expect("linked");
        std::fs::rename(at("data.new"), at("data")).expect("swapped");
        let (seen, swapped) = text(next(&path, seen).await);
        assert_eq!(swapped, "2");
        std::fs::remove_file(at("data")).expect("removed");
        assert!(matches!(look(path, seen).await, Round::Failed(_)));
    }
}
