//! Takes files into use again when one of them changes, also when a volume swaps the link that leads to them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, WrapFuture};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{Activate, Stop};

/// How often the file is looked at: one `stat`, so that a removed user is out within a moment.
const EVERY: Duration = Duration::from_millis(250);

/// Largest file read: a hundred thousand users.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Takes the files' texts into use together; says why it cannot.
pub type Taker<const N: usize> = Box<dyn Fn([&str; N]) -> Result<(), String>>;

/// Watches the files that make sense together only, such as a certificate and its key.
pub struct FileReloader<const N: usize> {
    option: &'static str,
    paths: [PathBuf; N],
    take: Taker<N>,
    /// What was looked at last; none where it could not be.
    seen: Option<[Look; N]>,
    first: bool,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    async fn at<const N: usize>(paths: &[PathBuf; N]) -> std::io::Result<[Self; N]> {
        let mut looks = [Self::default(); N];
        for (look, path) in looks.iter_mut().zip(paths) {
            *look = Self::of(&tokio::fs::metadata(path).await?);
        }
        Ok(looks)
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a look at the files found.
enum Round<const N: usize> {
    Same,
    New([Look; N], [Text; N]),
    Failed(String),
}

/// Wiped when dropped, as it may be a key.
type Text = Zeroizing<String>;

impl<const N: usize> FileReloader<N> {
    /// Watches the files that `option` names, alone or with another one. They are read once at the beginning too: they
    /// may have changed since the start.
    pub fn new(option: &'static str, paths: [PathBuf; N], take: Taker<N>) -> Self {
        Self { option, paths, take, seen: None, first: true }
    }

    fn note(&mut self, round: Round<N>) {
        let (option, path) = (self.option, self.paths[0].display());
        match round {
            Round::Same => {}
            Round::Failed(error) => {
                if self.first || self.seen.is_some() {
                    warn!(option, %path, error, "the file cannot be read: what it said before stays in use");
                }
                self.seen = None;
                self.first = false;
            }
            Round::New(looks, texts) => {
                match (self.take)(texts.each_ref().map(|text| text.as_str())) {
                    Ok(()) if self.first => {}
                    Ok(()) => info!(option, %path, "the file has changed and is in use"),
                    Err(error) => {
                        warn!(option, %path, error, "the file is not taken: what it said before stays in use")
                    }
                }
                self.seen = Some(looks);
                self.first = false;
            }
        }
    }
}

/// Reads the files if one is not as it was. What changes meanwhile is read in the next round.
async fn look<const N: usize>(paths: [PathBuf; N], seen: Option<[Look; N]>) -> Round<N> {
    let read = async {
        let before = Look::at(&paths).await?;
        if seen == Some(before) {
            return Ok(Round::Same);
        }
        if before.iter().any(|look| look.size > MAX_FILE) {
            return Ok(Round::Failed(format!("it is over {MAX_FILE} bytes")));
        }
        let mut texts = std::array::from_fn(|_| Text::default());
        for (text, path) in texts.iter_mut().zip(&paths) {
            *text = Zeroizing::new(tokio::fs::read_to_string(path).await?);
        }
        let after = Look::at(&paths).await?;
        Ok::<_, std::io::Error>(if after == before { Round::New(after, texts) } else { Round::Same })
    };
    read.await.unwrap_or_else(|error| Round::Failed(error.to_string()))
}

impl<const N: usize> Actor for FileReloader<N> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(Activate);
    }
}

impl<const N: usize> Handler<Stop> for FileReloader<N> {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

impl<const N: usize> Handler<Activate> for FileReloader<N> {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Activate, _: &mut Self::Context) -> Self::Result {
        let round = look(self.paths.clone(), self.seen);
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
    async fn next(path: &std::path::Path, seen: Option<[Look; 1]>) -> Round<1> {
        loop {
            let round = look([path.to_owned()], seen).await;
            if !matches!(round, Round::Same) {
                return round;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn text(round: Round<1>) -> (Option<[Look; 1]>, String) {
        match round {
            Round::New(looks, [text]) => (Some(looks), text.to_string()),
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
        assert_eq!(text(look([path.clone()], seen).await).1, "same");
        std::fs::write(at("one/users"), "1 and more").expect("written");
        let (seen, changed) = text(next(&path, seen).await);
        assert_eq!(changed, "1 and more");
        std::os::unix::fs::symlink("two", at("data.new")).expect("linked");
        std::fs::rename(at("data.new"), at("data")).expect("swapped");
        let (seen, swapped) = text(next(&path, seen).await);
        assert_eq!(swapped, "2");
        std::fs::remove_file(at("data")).expect("removed");
        assert!(matches!(look([path], seen).await, Round::Failed(_)));
    }
}
