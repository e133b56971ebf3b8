//! Threads for signatures, separate from the threads that move bytes. The queue is bounded, so a
//! flood of new tokens slows down only those who send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::BridgeError;
use super::stats::QueueStatus;

/// Lower priority than the byte-moving threads, so that a key set read seldom waits for a
/// signature. Not `SCHED_IDLE`: beside another program that uses the whole machine, logins would
/// stop.
#[cfg(target_os = "linux")]
const NICE: i32 = 17;

/// Results are handed over this many at once while more jobs wait. One by one, each would wake the
/// byte-moving threads, and on a shared core each side would evict the other's data from the
/// caches. A pool without further jobs hands them over at once.
const BATCH: usize = 16;

/// Gives a finished job's result to its waiter.
type Handover = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce() -> Handover + Send>;

/// Lets a byte-moving thread that waits for this core run now. Otherwise the scheduler would let a
/// signature use its whole time slice, milliseconds, before a key set is read.
pub(super) fn pause() {
    std::thread::yield_now();
}

/// Results that wait to be handed over. One waiter is woken and distributes them all. If each were
/// woken from here, the first would take the core before the second had its result.
#[derive(Default)]
struct Finished {
    handovers: Mutex<Vec<Handover>>,
    added: Notify,
}

impl Finished {
    fn add(&self, handovers: &mut Vec<Handover>) {
        if !handovers.is_empty() {
            self.handovers.lock().append(handovers);
            self.added.notify_one();
        }
    }

    fn distribute(&self) {
        let handovers = std::mem::take(&mut *self.handovers.lock());
        for hand_over in handovers {
            hand_over();
        }
    }
}

/// A fixed number of threads with a bounded queue.
pub(super) struct Pool {
    /// `None` stops the threads, once the queue is empty.
    queue: Option<Sender<Job>>,
    finished: Arc<Finished>,
    threads: Vec<JoinHandle<()>>,
    /// Requests refused because the queue was full.
    pub(super) overloaded: AtomicU64,
}

impl Pool {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn new(threads: usize, bound: usize) -> std::io::Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded(bound.max(1));
        let finished = Arc::new(Finished::default());
        let spawn = |i: usize| {
            let (jobs, finished) = (jobs.clone(), finished.clone());
            let name = format!("crypto-{i}");
            std::thread::Builder::new().name(name).spawn(move || work(&jobs, &finished))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { queue: Some(queue), finished, threads, overloaded: AtomicU64::new(0) })
    }

    /// Runs `job` on the next free thread. Await it to its end or drop it: a caller that was woken
    /// to distribute results and is never polled again keeps them from the others.
    ///
    /// # Errors
    /// [`BridgeError::Overloaded`] when the queue is full, [`BridgeError::Stopped`] when the job
    /// panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BridgeError> {
        let (reply, mut result) = oneshot::channel();
        let job = move || {
            let done = job();
            // The caller may have disconnected; then nobody needs the result.
            Box::new(move || drop(reply.send(done))) as Handover
        };
        let queue = self.queue.as_ref().ok_or(BridgeError::Stopped)?;
        if queue.try_send(Box::new(job)).is_err() {
            self.overloaded.fetch_add(1, Ordering::Relaxed);
            return Err(BridgeError::Overloaded);
        }
        loop {
            tokio::select! {
                biased;
                done = &mut result => return done.map_err(|_| BridgeError::Stopped),
                () = self.finished.added.notified() => self.finished.distribute(),
            }
        }
    }

    pub(super) fn status(&self) -> QueueStatus {
        QueueStatus {
            depth: self.queue.as_ref().map_or(0, Sender::len),
            limit: self.queue.as_ref().and_then(Sender::capacity).unwrap_or_default(),
            threads: self.threads.len(),
            overloaded: self.overloaded.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // The last owner may be dropped on one of these threads: a thread must not wait for
            // itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn work(jobs: &Receiver<Job>, finished: &Finished) {
    // On Linux this is the priority of the calling thread only (elsewhere of the whole process). If
    // it cannot be set, nothing breaks.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut handovers: Vec<Handover> = Vec::with_capacity(BATCH);
    loop {
        let next = jobs.try_recv().or_else(|_| {
            finished.add(&mut handovers);
            jobs.recv()
        });
        let Ok(job) = next else { return };
        // A job that panics drops its reply channel, and its caller sees that. The thread
        // continues.
        if let Ok(hand_over) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)) {
            handovers.push(hand_over);
        }
        if handovers.len() == BATCH {
            finished.add(&mut handovers);
        }
        pause();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A job that says when it begins, and ends when it is told to.
    fn gated(began: &mpsc::Sender<()>) -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, gate) = mpsc::channel::<()>();
        let began = began.clone();
        (release, move || {
            began.send(()).unwrap();
            gate.recv().unwrap();
        })
    }

    #[tokio::test]
    async fn over_the_bound_a_job_is_refused_and_the_queued_ones_still_run() {
        let pool = Pool::new(1, 2).unwrap();
        let (began, beginning) = mpsc::channel();
        let (release, job) = gated(&began);
        let first = pool.run(job);
        tokio::pin!(first);
        assert!(futures::poll!(&mut first).is_pending());
        beginning.recv_timeout(TIMEOUT).unwrap();
        let (second, third) = (pool.run(|| 2), pool.run(|| 3));
        tokio::pin!(second, third);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        assert_eq!(pool.run(|| 4).await, Err(BridgeError::Overloaded));
        assert_eq!(pool.status().depth, 2);
        release.send(()).unwrap();
        assert_eq!(tokio::join!(first, second, third), (Ok(()), Ok(2), Ok(3)));
    }

    #[tokio::test]
    async fn a_panic_does_not_cost_the_thread() {
        let pool = Pool::new(1, 4).unwrap();
        let panics = || std::panic::resume_unwind(Box::new(()));
        assert_eq!(pool.run::<()>(panics).await, Err(BridgeError::Stopped));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn results_come_together_while_jobs_wait_and_at_once_when_none_do() {
        let pool = Pool::new(1, 16).unwrap();
        let (began, beginning) = mpsc::channel();
        let ((release_a, a), (release_b, b)) = (gated(&began), gated(&began));
        let (a, b) = (pool.run(a), pool.run(b));
        tokio::pin!(a, b);
        assert!(futures::poll!(&mut a).is_pending());
        assert!(futures::poll!(&mut b).is_pending());
        release_a.send(()).unwrap();
        beginning.recv_timeout(TIMEOUT).unwrap();
        // The second job runs, so the first is done; its result waits for that of the second.
        beginning.recv_timeout(TIMEOUT).unwrap();
        assert!(futures::poll!(&mut a).is_pending());
        release_b.send(()).unwrap();
        assert_eq!(tokio::join!(a, b), (Ok(()), Ok(())));
    }

    #[tokio::test]
    async fn a_waiting_caller_distributes_the_results_of_others() {
        let pool = Pool::new(1, 16).unwrap();
        let (began, beginning) = mpsc::channel();
        let (release, job) = gated(&began);
        let stays = pool.run(job);
        tokio::pin!(stays);
        assert!(futures::poll!(&mut stays).is_pending());
        beginning.recv_timeout(TIMEOUT).unwrap();
        {
            let leaves = pool.run(|| ());
            tokio::pin!(leaves);
            assert!(futures::poll!(&mut leaves).is_pending());
        }
        release.send(()).unwrap();
        assert_eq!(stays.await, Ok(()));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
