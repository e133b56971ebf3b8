//! Threads for signatures, apart from the threads that move bytes: a queue with a bound, so that a
//! flood of new tokens costs those who send them and nobody else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lower than the byte-moving threads: a key set read never waits for a signature.
const NICE: i32 = 5;

type Job = Box<dyn FnOnce() + Send>;

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
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Full> {
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
    loop {
        let job = {
            let mut jobs = queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(job) = jobs.pop_front() {
                    break job;
                }
                if queue.stop.load(Ordering::Acquire) {
                    return;
                }
                jobs = queue.ready.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // A job that panics loses its reply channel, which its caller sees; the thread goes on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn over_the_bound_a_job_is_refused_and_the_queued_ones_still_run() {
        let pool = Pool::new(1, 2).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let (started, wait) = mpsc::channel();
        pool.run(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
        })
        .unwrap();
        wait.recv().unwrap();
        let (done, results) = mpsc::channel();
        for i in 0..2 {
            let done = done.clone();
            pool.run(move || done.send(i).unwrap()).unwrap();
        }
        assert_eq!(pool.run(|| ()), Err(Full));
        assert_eq!(pool.depth(), 2);
        release.send(()).unwrap();
        assert_eq!((results.recv(), results.recv()), (Ok(0), Ok(1)));
    }

    #[test]
    fn a_panic_does_not_cost_the_thread() {
        let pool = Pool::new(1, 4).unwrap();
        pool.run(|| std::panic::resume_unwind(Box::new(()))).unwrap();
        let (done, result) = mpsc::channel();
        pool.run(move || done.send(7).unwrap()).unwrap();
        assert_eq!(result.recv(), Ok(7));
    }
}
