//! Writes log lines: a bounded queue, and a thread that empties it.
//!
//! A reader that stops reading fills its pipe, and a write to a full pipe blocks. Here only the
//! thread blocks. A line is lost and counted if the queue is full. When the reader continues, a
//! line says how many were lost.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Maximum number of waiting lines: a few hundred bytes each, so one or two mebibytes in a full
/// queue.
const QUEUE: usize = 4096;
/// The thread writes up to this many bytes at once.
const BATCH: usize = 16 * 1024;
/// How long the thread collects lines before it looks again. Otherwise each request would wake the
/// thread.
const GATHER: Duration = Duration::from_millis(5);
/// How long a stop waits for the reader, in steps of [`GATHER`]: a second.
const STOP_STEPS: u32 = 200;

/// Counters of lines.
#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    /// Written, or refused by the system.
    done: AtomicU64,
    refused: AtomicU64,
    full: OnceLock<ErrorCounter>,
}

impl Counts {
    /// Lines that found the queue full.
    fn dropped(&self) -> u64 {
        self.full.get().map_or(0, |full| full.dropped_lines() as u64)
    }

    fn lost(&self) -> u64 {
        self.dropped() + self.refused.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> u64 {
        let gone = self.dropped() + self.done.load(Ordering::Relaxed);
        self.queued.load(Ordering::Relaxed).saturating_sub(gone)
    }
}

/// The counters of the process's log.
static COUNTS: OnceLock<Arc<Counts>> = OnceLock::new();

/// Lost log lines since the process started.
pub fn lost_lines() -> u64 {
    COUNTS.get().map_or(0, |counts| counts.lost())
}

/// Standard error behind a queue. Keep the guard until the end of the process.
pub(super) fn stderr() -> (Queue, Guard) {
    // Not through `std`'s lock: other writers to standard error must not wait for our thread.
    let own = io::stderr().as_fd().try_clone_to_owned();
    let out: Box<dyn Write + Send> = match own {
        Ok(own) => Box::new(File::from(own)),
        Err(_) => Box::new(io::stderr()),
    };
    let (queue, guard) = queued(out);
    let _ = COUNTS.set(queue.counts.clone());
    (queue, guard)
}

pub(super) fn queued(out: impl Write + Send + 'static) -> (Queue, Guard) {
    let counts = Arc::new(Counts::default());
    let writer = Writer { out, batch: Vec::new(), lines: 0, counts: counts.clone(), reported: 0 };
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE);
    let (lines, worker) = builder.thread_name("log").finish(writer);
    let _ = counts.full.set(lines.error_counter());
    (Queue { lines, counts: counts.clone() }, Guard { worker: Some(worker), counts })
}

/// The formatter writes to a clone of this for each line.
#[derive(Clone)]
pub(super) struct Queue {
    lines: NonBlocking,
    counts: Arc<Counts>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        self.lines.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's end of the queue. It never returns an error: nobody could handle it.
struct Writer<W> {
    out: W,
    batch: Vec<u8>,
    lines: u64,
    counts: Arc<Counts>,
    /// Lost lines that were already reported.
    reported: u64,
}

impl<W: Write> Writer<W> {
    fn write_out(&mut self) {
        if self.lines == 0 {
            return;
        }
        if self.out.write_all(&self.batch).is_err() {
            self.counts.refused.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.counts.done.fetch_add(self.lines, Ordering::Relaxed);
        self.lines = 0;
        self.batch.clear();
        self.batch.shrink_to(BATCH);
    }

    fn report_lost(&mut self) {
        let lost = self.counts.lost();
        // The report goes through the queue too, which may be full again. Then it is sent after the
        // queue was written.
        if lost > self.reported && self.counts.waiting() < QUEUE as u64 / 2 {
            tracing::warn!(
                lines = lost - self.reported,
                "log lines were lost: the reader of the log is too slow"
            );
            self.reported = lost;
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.batch.len() + line.len() > BATCH {
            self.write_out();
        }
        self.batch.extend_from_slice(line);
        self.lines += 1;
        Ok(line.len())
    }

    /// Called when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        self.report_lost();
        std::thread::sleep(GATHER);
        Ok(())
    }
}

/// Writes the waiting lines when it is dropped, while somebody reads.
#[must_use = "lines are lost when it is dropped early"]
#[derive(Debug)]
pub struct Guard {
    worker: Option<WorkerGuard>,
    counts: Arc<Counts>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for _ in 0..STOP_STEPS {
            if self.counts.waiting() == 0 {
                // The thread has nothing to do and ends at once.
                self.worker = None;
                return;
            }
            std::thread::sleep(GATHER);
        }
        // If the thread were told to stop with a full queue, it would print to standard output,
        // which may be the same pipe. It ends with the process.
        std::mem::forget(self.worker.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Waits for permission before each write.
    struct Gated {
        leave: mpsc::Receiver<()>,
        wrote: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // There will be no more permissions: like a pipe whose reader has closed it.
            self.leave.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.wrote.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>, Queue, Guard) {
        let ((give, leave), wrote) = (mpsc::channel(), Arc::default());
        let (queue, guard) = queued(Gated { leave, wrote: Arc::clone(&wrote) });
        (give, wrote, queue, guard)
    }

    fn eventually(what: &str, so: impl Fn() -> bool) {
        for _ in 0..TIMEOUT.as_millis() / GATHER.as_millis() {
            if so() {
                return;
            }
            std::thread::sleep(GATHER);
        }
        panic!("{what} did not come");
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_they_are_counted() {
        let (give, wrote, queue, guard) = gated();
        let more = QUEUE + 5 * BATCH;
        for _ in 0..more {
            queue.clone().write_all(b"x\n").unwrap();
        }
        let lost = queue.counts.lost();
        assert!(lost > 0 && lost < more as u64, "{lost}");
        assert_eq!(queue.counts.waiting() + lost, more as u64);
        for _ in 0..more {
            give.send(()).unwrap();
        }
        eventually("the rest", || queue.counts.waiting() == 0);
        assert_eq!(wrote.lock().unwrap().len() as u64, 2 * (more as u64 - lost));
        drop(guard);
    }

    #[test]
    fn a_reader_that_is_gone_costs_lines_and_a_stop_does_not_wait_for_it() {
        let (give, wrote, queue, guard) = gated();
        drop(give);
        queue.clone().write_all(b"x\n").unwrap();
        drop(guard);
        assert_eq!((queue.counts.lost(), queue.counts.waiting()), (1, 0));
        assert!(wrote.lock().unwrap().is_empty());
    }

    #[test]
    fn a_stop_writes_what_waits() {
        let (give, wrote, queue, guard) = gated();
        for _ in 0..100 {
            queue.clone().write_all(b"line\n").unwrap();
            give.send(()).unwrap();
        }
        drop(guard);
        assert_eq!(wrote.lock().unwrap().len(), 500);
        assert_eq!(queue.counts.lost(), 0);
    }

    #[test]
    fn a_stop_gives_up_a_reader_that_does_not_read() {
        let (give, wrote, queue, guard) = gated();
        for _ in 0..2 * QUEUE {
            queue.clone().write_all(b"line\n").unwrap();
        }
        drop(guard);
        assert!(queue.counts.waiting() > 0);
        assert!(wrote.lock().unwrap().is_empty());
        drop(give);
    }
}
