//! Threads for signatures, apart from the threads that move bytes: a queue with a bound, so that a
//! flood of new tokens costs those who send them and nobody else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lower than the byte-moving threads. Not the lowest, and not `SCHED_IDLE`: beside another program
/// that takes the whole machine, logins would then stand still.
const NICE: i32 = 5;

/// Replies are handed over this many at once while more jobs wait: each one alone would wake the
/// byte-moving threads, and on a shared core both sides would run with the other's data in the
/// caches. An idle pool hands each over at once.
const TOGETHER: usize = 8;

/// Gives a finished job's result to who waits for it.
pub(super) type Reply = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce() -> Reply + Send>;

/// Lets a byte-moving thread that waits for this core have it now: the scheduler would else let a
/// signature run on for its whole time slice, milliseconds, before a key set is read.
pub(super) fn pause() {
    std::thread::yield_now();
}

struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    ready: Condvar,
    stop: AtomicBool,
    bound: usize,
}

/// A fixed number of threads and a bounded queue before them.
pub(super) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Pool {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn new(threads: usize, bound: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            jobs: Mutex::new(VecDeque::with_capacity(bound.min(1024))),
            ready: Condvar::new(),
            stop: AtomicBool::new(false),
            bound: bound.max(1),
        });
        let spawn = |i: usize| {
            let queue = queue.clone();
            std::thread::Builder::new().name(format!("crypto-{i}")).spawn(move || work(&queue))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { queue, threads })
    }

    /// Hands `job` to the next free thread.
    ///
    /// # Errors
    /// [`Full`] when as many jobs wait as may.
    pub(super) fn run(&self, job: impl FnOnce() -> Reply + Send + 'static) -> Result<(), Full> {
        let mut jobs = self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= self.queue.bound {
            return Err(Full);
        }
        jobs.push_back(Box::new(job));
        drop(jobs);
        self.queue.ready.notify_one();
        Ok(())
    }

    /// Jobs waiting now.
    pub(super) fn depth(&self) -> usize {
        self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn threads(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.stop.store(true, Ordering::Release);
        // Under the lock, so that no thread is between its check and its wait.
        drop(self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        self.queue.ready.notify_all();
        for thread in self.threads.drain(..) {
            // The last owner may be dropped on one of these threads: no thread waits for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn work(queue: &Queue) {
    // On Linux the priority is the calling thread's alone; where it cannot be set, nothing is lost.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut replies: Vec<Reply> = Vec::with_capacity(TOGETHER);
    loop {
        let job = queue.next_or(|| hand_over(&mut replies));
        let Some(job) = job else { return };
        // A job that panics loses its reply channel, which its caller sees; the thread goes on.
        if let Ok(reply) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)) {
            replies.push(reply);
        }
        if replies.len() == TOGETHER {
            hand_over(&mut replies);
        }
        pause();
    }
}

fn hand_over(replies: &mut Vec<Reply>) {
    for reply in replies.drain(..) {
        reply();
    }
}

impl Queue {
    /// The next job; `idle` is called before waiting for one. `None`: the pool stops.
    fn next_or(&self, idle: impl FnOnce()) -> Option<Job> {
        let lock = || self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = lock().pop_front();
        if waiting.is_some() {
            return waiting;
        }
        idle();
        let mut jobs = lock();
        loop {
            if let Some(job) = jobs.pop_front() {
                return Some(job);
            }
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            jobs = self.ready.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn no_reply() -> Reply {
        Box::new(|| ())
    }

    #[test]
    fn over_the_bound_a_job_is_refused_and_the_queued_ones_still_run() {
        let pool = Pool::new(1, 2).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let (started, wait) = mpsc::channel();
        pool.run(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
            no_reply()
        })
        .unwrap();
        wait.recv().unwrap();
        let (done, results) = mpsc::channel();
        for i in 0..2 {
            let done = done.clone();
            pool.run(move || Box::new(move || done.send(i).unwrap())).unwrap();
        }
        assert_eq!(pool.run(no_reply), Err(Full));
        assert_eq!(pool.depth(), 2);
        release.send(()).unwrap();
        assert_eq!((results.recv(), results.recv()), (Ok(0), Ok(1)));
    }

    #[test]
    fn a_panic_does_not_cost_the_thread() {
        let pool = Pool::new(1, 4).unwrap();
        pool.run(|| std::panic::resume_unwind(Box::new(()))).unwrap();
        let (done, result) = mpsc::channel();
        pool.run(move || Box::new(move || done.send(7).unwrap())).unwrap();
        assert_eq!(result.recv(), Ok(7));
    }

    #[test]
    fn replies_come_together_while_jobs_wait_and_at_once_when_none_do() {
        let pool = Pool::new(1, 16).unwrap();
        let (done, results) = mpsc::channel();
        let (began, beginning) = mpsc::channel();
        let gates = [0, 1].map(|i| {
            let (release, gate) = mpsc::channel::<()>();
            let (done, began) = (done.clone(), began.clone());
            pool.run(move || {
                began.send(i).unwrap();
                gate.recv().unwrap();
                Box::new(move || done.send(i).unwrap())
            })
            .unwrap();
            release
        });
        assert_eq!(beginning.recv(), Ok(0));
        gates[0].send(()).unwrap();
        assert_eq!(beginning.recv(), Ok(1));
        assert_eq!(results.try_recv(), Err(mpsc::TryRecvError::Empty));
        gates[1].send(()).unwrap();
        assert_eq!((results.recv(), results.recv()), (Ok(0), Ok(1)));
    }
}
