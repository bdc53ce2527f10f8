//! The log file (`logging_filename`): rotated by size, old ones compressed and removed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use conclave_proto::time::{Clock, Timestamp, Ttl};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::stamp;
use crate::clock::SystemClock;
use crate::config::LogFileConfig;

/// Only who runs the service may read its log.
const MODE: u32 = 0o600;

/// An open log file.
pub struct LogFile {
    config: LogFileConfig,
    local_time: bool,
    file: File,
    size: usize,
}

impl LogFile {
    /// Opens it; what is in it stays.
    pub fn open(config: LogFileConfig, local_time: bool) -> io::Result<Self> {
        let file = opened(&config.path)?;
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        Ok(Self { config, local_time, file, size })
    }

    /// Whether so many bytes more are too many. An empty file takes any line.
    pub(super) fn is_full(&self, more: usize) -> bool {
        self.size > 0 && self.size.saturating_add(more) > self.config.max_bytes
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size = self.size.saturating_add(bytes.len());
        self.file.write_all(bytes)
    }

    /// Moves the file aside and begins a new one. If that cannot be done the old one goes on.
    pub(super) fn rotate(&mut self) {
        let now = SystemClock.now();
        let backup = self.config.backup_path(&stamp::file(now, self.local_time));
        let begun = fs::rename(&self.config.path, backup).and_then(|()| opened(&self.config.path));
        let Ok(file) = begun else { return };
        (self.file, self.size) = (file, 0);
        let config = self.config.clone();
        // Compressing takes seconds, in which lines would pile up.
        let cleaner = std::thread::Builder::new().name("conclave-log-files".to_owned());
        let _ = cleaner.spawn(move || clean(&config, now));
    }
}

fn opened(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(MODE).open(path)
}

/// Removes and compresses what was rotated away. A file that cannot be dealt with is left to the next time.
fn clean(config: &LogFileConfig, now: Timestamp) {
    let backups = config.backups();
    let kept = if config.max_backups == 0 { backups.len() } else { config.max_backups };
    for (newer, path) in backups.iter().rev().enumerate() {
        if newer >= kept || is_older(path, config.max_age, now) {
            let _ = fs::remove_file(path);
        } else if config.compress && path.extension() != Some(OsStr::new("gz")) {
            let _ = compress(path);
        }
    }
}

fn is_older(path: &Path, age: Option<Ttl>, now: Timestamp) -> bool {
    let (Some(age), Ok(modified)) = (age, path.metadata().and_then(|meta| meta.modified())) else { return false };
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since_epoch + age.as_duration() < std::time::Duration::from_millis(now.as_millis())
}

fn compress(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let packed = PathBuf::from(name);
    let part = packed.with_extension("part");
    let target = OpenOptions::new().create(true).truncate(true).write(true).mode(MODE).open(&part)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(part, packed)?;
    fs::remove_file(path)
}

impl LogFileConfig {
    fn backup_path(&self, time: &str) -> PathBuf {
        let (stem, ending) = self.name_parts();
        self.path.with_file_name(format!("{stem}-{time}{ending}"))
    }

    /// What was rotated away, the oldest first.
    fn backups(&self) -> Vec<PathBuf> {
        let (stem, ending) = self.name_parts();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = names
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let rest = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-')).unwrap_or("");
                let time = rest.strip_suffix(".gz").unwrap_or(rest).strip_suffix(ending.as_str());
                time.is_some_and(|time| chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H-%M-%S%.3f").is_ok())
            })
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    }

    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let ending = self.path.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
        (text(self.path.file_stem()), ending.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn config(dir: &Path) -> LogFileConfig {
        LogFileConfig {
            path: dir.join("access.log"),
            max_bytes: 10,
            max_age: Some(Ttl::from_secs(3600)),
            max_backups: 2,
            compress: false,
        }
    }

    #[test]
    fn a_full_file_is_moved_aside_and_old_ones_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        fs::write(&config.path, "12345").expect("an earlier file");
        let mut file = LogFile::open(config.clone(), false).expect("opens");
        assert!(!file.is_full(5) && file.is_full(6));
        file.rotate();
        assert!(!file.is_full(100), "an empty file takes any line");
        file.write(b"new\n").expect("writes");
        assert_eq!(fs::read(&config.path).expect("read"), b"new\n");

        for time in ["2026-01-02T03-04-05.000", "2026-01-02T03-04-06.000", "2026-01-02T03-04-07.000"] {
            fs::write(config.backup_path(time), time).expect("a backup");
        }
        fs::write(dir.path().join("access-notes.log"), "somebody's").expect("another file");
        for backup in config.backups().iter().filter(|path| !path.to_string_lossy().contains("2026-01-02T03")) {
            fs::remove_file(backup).expect("the one of the rotation above");
        }
        let config = LogFileConfig { compress: true, ..config };
        clean(&config, SystemClock.now());
        let names: Vec<String> = config
            .backups()
            .iter()
            .map(|path| path.file_name().expect("named").to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["access-2026-01-02T03-04-06.000.log.gz", "access-2026-01-02T03-04-07.000.log.gz"]);
        let mut text = String::new();
        let packed = File::open(&config.backups()[0]).expect("opens");
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("unpacks");
        assert_eq!(text, "2026-01-02T03-04-06.000");
        clean(&config, Timestamp::from_millis(SystemClock.now().as_millis() + 7_200_000));
        assert_eq!(config.backups().len(), 0, "too old");
        assert!(dir.path().join("access-notes.log").exists(), "not ours");
    }
}
