//! Where log lines go: a bounded queue, and one thread that writes. Who logs never waits for a slow
//! disk or pipe; what does not fit is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::file::LogFile;

/// Most lines that wait: a second's worth of a busy replica.
const MAX_LINES: usize = 16 * 1024;

/// Most bytes that wait, however long the lines are.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Request lines are dropped beyond this, so that a flood of requests leaves room for what happened.
const MAX_REQUEST_BYTES: usize = MAX_BYTES / 4 * 3;

/// See [`MAX_REQUEST_BYTES`].
const MAX_REQUEST_LINES: usize = MAX_LINES / 4 * 3;

/// Lines are written together up to so many bytes: one system call for a few hundred of them.
const BATCH_BYTES: usize = 64 * 1024;

/// How long an error line, or the end of the process, waits until it is written.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Which of the two standard streams a line is for. A log file takes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

enum Entry {
    Line(Stream, String),
    Flush(SyncSender<()>),
}

struct Queue {
    entries: SyncSender<Entry>,
    lines: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// A handle on the output. Cloning it is cheap.
#[derive(Clone)]
pub struct Lines(Option<Arc<Queue>>);

impl Lines {
    /// Goes nowhere.
    pub const fn nowhere() -> Self {
        Self(None)
    }

    /// Starts the writing thread: to the file if there is one, otherwise to the standard streams.
    pub fn start(file: Option<LogFile>) -> io::Result<Self> {
        let sink = file.map_or(Sink::Streams, |file| Sink::File(Box::new(file)));
        Self::start_on(sink).map(|(lines, _)| lines)
    }

    fn start_on(sink: Sink) -> io::Result<(Self, JoinHandle<()>)> {
        let (entries, receiver) = sync_channel(MAX_LINES);
        let counts = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let queue = Arc::new(Queue { entries, lines: counts.0, bytes: counts.1, dropped: counts.2 });
        let weak = Arc::downgrade(&queue);
        let thread = std::thread::Builder::new().name("conclave-logs".to_owned()).spawn(move || {
            let mut writer = Writer { sink, pending: Vec::with_capacity(BATCH_BYTES), stream: Stream::Out };
            writer.run(&receiver, &|bytes| {
                if let Some(queue) = weak.upgrade() {
                    queue.lines.fetch_sub(1, Ordering::Relaxed);
                    queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
            });
        })?;
        Ok((Self(Some(queue)), thread))
    }

    /// Hands over a request line, its end of line included. The first to be dropped.
    pub fn offer(&self, line: String) {
        self.send(Stream::Out, line, MAX_REQUEST_LINES, MAX_REQUEST_BYTES);
    }

    /// Hands over any other line, its end of line included.
    pub fn put(&self, stream: Stream, line: String) {
        self.send(stream, line, MAX_LINES, MAX_BYTES);
    }

    fn send(&self, stream: Stream, line: String, most_lines: usize, most_bytes: usize) {
        let Some(queue) = &self.0 else { return };
        let length = line.len();
        let lines = queue.lines.fetch_add(1, Ordering::Relaxed);
        let bytes = queue.bytes.fetch_add(length, Ordering::Relaxed);
        let room = lines < most_lines && bytes + length <= most_bytes;
        if !room || queue.entries.try_send(Entry::Line(stream, line)).is_err() {
            queue.lines.fetch_sub(1, Ordering::Relaxed);
            queue.bytes.fetch_sub(length, Ordering::Relaxed);
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything handed over so far is written; not for ever.
    pub fn flush(&self) {
        let Some(queue) = &self.0 else { return };
        let (done, written) = sync_channel(1);
        if queue.entries.try_send(Entry::Flush(done)).is_ok() {
            // Past the deadline the reader of the log is at fault, and nothing more can be done.
            let _ = written.recv_timeout(FLUSH_WITHIN);
        }
    }

    /// Lines dropped since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.dropped.swap(0, Ordering::Relaxed))
    }
}

/// Sees what is written, in tests.
#[cfg(test)]
type Probe = Box<dyn FnMut(Stream, &[u8]) + Send>;

enum Sink {
    Streams,
    File(Box<LogFile>),
    #[cfg(test)]
    Probe(Probe),
}

struct Writer {
    sink: Sink,
    pending: Vec<u8>,
    stream: Stream,
}

impl Writer {
    fn run(&mut self, entries: &Receiver<Entry>, taken: &dyn Fn(usize)) {
        while let Ok(first) = entries.recv() {
            let mut next = Some(first);
            while let Some(entry) = next {
                match entry {
                    Entry::Line(stream, line) => {
                        self.push(stream, line.as_bytes());
                        taken(line.len());
                    }
                    Entry::Flush(done) => {
                        self.write();
                        // Who asked may have stopped waiting.
                        let _ = done.try_send(());
                    }
                }
                next = entries.try_recv().ok();
            }
            self.write();
        }
    }

    fn push(&mut self, stream: Stream, line: &[u8]) {
        let full = self.pending.len() + line.len() > BATCH_BYTES;
        let rotates = match &self.sink {
            Sink::File(file) => file.is_full(self.pending.len() + line.len()),
            Sink::Streams => false,
            #[cfg(test)]
            Sink::Probe(_) => false,
        };
        if full || rotates || stream != self.stream {
            self.write();
        }
        self.stream = stream;
        if let (true, Sink::File(file)) = (rotates, &mut self.sink) {
            file.rotate();
        }
        self.pending.extend_from_slice(line);
    }

    /// What cannot be written is lost: there is no place left to say so.
    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let _ = match &mut self.sink {
            Sink::File(file) => file.write(&self.pending),
            Sink::Streams => match self.stream {
                Stream::Out => io::stdout().write_all(&self.pending).and_then(|()| io::stdout().flush()),
                Stream::Err => io::stderr().write_all(&self.pending),
            },
            #[cfg(test)]
            Sink::Probe(probe) => {
                probe(self.stream, &self.pending);
                Ok(())
            }
        };
        self.pending.clear();
    }
}

/// Takes the lines of `tracing`.
pub(super) struct Events {
    /// Where they go.
    pub lines: Lines,
    /// Errors go where the rest goes (`errors_to_info_log`).
    pub errors_to_out: bool,
}

/// One line of `tracing`, which hands it over whole.
pub(super) struct EventWriter<'e> {
    events: &'e Events,
    is_error: bool,
}

impl<'e> MakeWriter<'e> for Events {
    type Writer = EventWriter<'e>;

    fn make_writer(&'e self) -> Self::Writer {
        EventWriter { events: self, is_error: false }
    }

    fn make_writer_for(&'e self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        EventWriter { events: self, is_error: *meta.level() == tracing::Level::ERROR }
    }
}

impl Write for EventWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Events { lines, errors_to_out } = self.events;
        let stream = if self.is_error && !errors_to_out { Stream::Err } else { Stream::Out };
        lines.put(stream, String::from_utf8_lossy(line).into_owned());
        if self.is_error {
            // The process may be about to end because of it.
            lines.flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn lines_come_out_in_order_and_on_their_stream() {
        let (seen, written) = channel();
        let probe = move |stream, bytes: &[u8]| seen.send((stream, bytes.to_vec())).expect("read to the end");
        let (lines, thread) = Lines::start_on(Sink::Probe(Box::new(probe))).expect("a thread");
        lines.put(Stream::Out, "a\n".to_owned());
        lines.offer("b\n".to_owned());
        lines.put(Stream::Err, "c\n".to_owned());
        lines.flush();
        drop(lines);
        thread.join().expect("ends with its last handle");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for (stream, bytes) in written {
            if stream == Stream::Out { out.extend(bytes) } else { err.extend(bytes) }
        }
        assert_eq!((out.as_slice(), err.as_slice()), (b"a\nb\n".as_slice(), b"c\n".as_slice()));
    }

    #[test]
    fn a_stuck_output_stops_nobody_and_request_lines_go_first() {
        let (release, stuck) = channel::<()>();
        let (entered, writing) = channel();
        let probe = move |_, _: &[u8]| {
            let _ = entered.send(());
            let _ = stuck.recv();
        };
        let (lines, thread) = Lines::start_on(Sink::Probe(Box::new(probe))).expect("a thread");
        lines.offer("first\n".to_owned());
        writing.recv().expect("the thread writes");
        for _ in 0..MAX_LINES {
            lines.offer("request\n".to_owned());
        }
        assert!(lines.take_dropped() > 0, "there is no room for all of them");
        for _ in 0..1000 {
            lines.put(Stream::Out, "audit\n".to_owned());
        }
        assert_eq!(lines.take_dropped(), 0, "room is kept for what happened");
        lines.put(Stream::Out, "x".repeat(MAX_BYTES));
        assert_eq!(lines.take_dropped(), 1, "bytes are bounded as well");
        drop(release);
        drop(lines);
        thread.join().expect("ends");
    }
}
