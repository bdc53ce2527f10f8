//! What a process and a directory take, as the kernel counts it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Failure;

/// Memory of one process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// The memory of a running process.
pub fn memory(process: u32) -> Result<Memory, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = |name| number_after(&status, name).ok_or("a process that ended has no memory");
    Ok(Memory { resident: kib("VmRSS:")? * 1024, peak: kib("VmHWM:")? * 1024 })
}

/// Bytes that a running process has sent to its disk, pages counted whole.
pub fn written(process: u32) -> Result<u64, Failure> {
    let io = fs::read_to_string(format!("/proc/{process}/io"))?;
    Ok(number_after(&io, "write_bytes:").ok_or("no write_bytes")?)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Bytes of disk that a file or a directory takes, as `du` counts them; 0 if it is not there.
pub fn disk(path: &Path) -> Result<u64, Failure> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(0) };
    let mut bytes = found.blocks() * 512;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += disk(&entry?.path())?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_written() {
        let memory = memory(std::process::id()).expect("runs");
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        let before = written(std::process::id()).expect("runs");
        let dir = crate::peers::scratch_dir().expect("a directory");
        fs::write(dir.path().join("file"), vec![1; 1 << 20]).expect("written");
        fs::File::open(dir.path().join("file")).and_then(|file| file.sync_all()).expect("synced");
        assert!(written(std::process::id()).expect("runs") >= before + (1 << 20));
        assert!(disk(dir.path()).expect("there") >= 1 << 20);
        assert_eq!(disk(&dir.path().join("nothing")).expect("not there"), 0);
    }
}
