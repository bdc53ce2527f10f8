//! The store's directory: made and tried at start. A cluster of one that cannot write there takes a temporary one.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use conclave_proto::time::Entropy;
use conclave_raft::release_reserve;

use super::problem::ConfigError;
use super::{ClusterConfig, DataDir};
use crate::clock::SystemEntropy;

/// Only the service's own user may look in.
const MODE: u32 = 0o700;

/// Makes the directory writable or finds another. A member of a cluster refuses instead: its store
/// is a promise to the others.
pub fn prepare(cluster: &mut ClusterConfig) -> Result<(), ConfigError> {
    let wanted = cluster.data_dir.path().to_owned();
    let Err(error) = try_out(&wanted) else { return Ok(()) };
    let why = format!("cannot write to {}: {error}", wanted.display());
    if !cluster.peers.is_empty() {
        let text = format!("{why}; a member of a cluster needs a directory that lasts");
        return Err(ConfigError::single("data_dir", text));
    }
    let path =
        temporary().map_err(|error| ConfigError::single("data_dir", format!("{why}, nor a temporary one: {error}")))?;
    cluster.data_dir = DataDir::Temporary { path, wanted, why };
    Ok(())
}

fn make(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(MODE).create(path)
}

fn try_out(path: &Path) -> io::Result<()> {
    make(path)?;
    let probe = path.join(format!(".probe-{}", std::process::id()));
    let mut written = std::fs::write(&probe, b"x");
    // A full disk must not keep a replica from starting and making room.
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::StorageFull) && release_reserve(path)? {
        written = std::fs::write(&probe, b"x");
    }
    written?;
    std::fs::remove_file(&probe)
}

fn temporary() -> io::Result<PathBuf> {
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    let path = std::env::temp_dir().join(format!("conclave-{:016x}", u64::from_be_bytes(random)));
    // Not recursive: a directory that somebody else put there before must not be taken.
    std::fs::DirBuilder::new().mode(MODE).create(&path)?;
    try_out(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::super::load::from_args;
    use super::*;

    const BASE: [&str; 5] = [
        "--provider=oidc",
        "--oidc-issuer-url=https://id.test",
        "--client-id=c",
        "--client-secret=s",
        "--email-domain=*",
    ];

    fn cluster(data_dir: &Path, more: &[&str]) -> ClusterConfig {
        let data_dir = format!("--data-dir={}", data_dir.display());
        let mut args = BASE.to_vec();
        args.extend(["--cookie-secret=9f8e7d6c5b4a3928-1706f5e4d3c2b1a", &data_dir]);
        args.extend(more);
        from_args(&args).expect("valid").cluster
    }

    #[test]
    fn alone_it_takes_a_temporary_one_and_a_member_refuses() {
        let here = tempfile::tempdir().expect("a directory");
        let file = here.path().join("file");
        std::fs::write(&file, b"x").expect("written");

        let mut kept = cluster(&here.path().join("new/dir"), &[]);
        prepare(&mut kept).expect("it can be made");
        assert!(matches!(kept.data_dir, DataDir::Kept(_)));

        let mut moved = cluster(&file, &[]);
        prepare(&mut moved).expect("a temporary one");
        let DataDir::Temporary { path, wanted, .. } = &moved.data_dir else { panic!("kept") };
        assert!(path.is_dir() && *wanted == file);
        std::fs::remove_dir(path).expect("removed");

        let mut member = cluster(&file, &["--peers=a.test,b.test", "--self=a.test"]);
        let text = prepare(&mut member).expect_err("refused").to_string();
        assert!(text.contains("`data_dir`"), "{text}");
    }
}
