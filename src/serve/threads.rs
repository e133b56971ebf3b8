//! The threads that move bytes. A single thread needs no scheduler that lets threads steal work:
//! each wake-up would cost more.
//!
//! Pingora has such a runtime (`Runtime::new_no_steal`). It finds its handle by the thread's
//! number, and numbers are reused: in a process that starts a second server, tasks would go to the
//! threads of the first.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Threads with an async runtime.
pub(super) enum Threads {
    One { handle: Handle, stop: oneshot::Sender<Duration>, thread: JoinHandle<()> },
    Many(Runtime),
}

impl Threads {
    /// # Errors
    /// When the system refuses a thread or its event queue.
    pub(super) fn new(name: &'static str, count: usize) -> io::Result<Self> {
        if count > 1 {
            return many(name, count).map(Self::Many);
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let timeout = runtime.block_on(stopped).unwrap_or_default();
            runtime.shutdown_timeout(timeout);
        })?;
        Ok(Self::One { handle, stop, thread })
    }

    pub(super) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Self::One { handle, .. } => handle.spawn(future),
            Self::Many(runtime) => runtime.spawn(future),
        }
    }

    /// Ends the threads. Running tasks are dropped; a blocking call is awaited this long.
    pub(super) fn shutdown(self, timeout: Duration) {
        match self {
            Self::One { stop, thread, .. } => {
                let _ = stop.send(timeout);
                let _ = thread.join();
            }
            Self::Many(runtime) => runtime.shutdown_timeout(timeout),
        }
    }
}

/// A runtime whose threads share their work.
pub(super) fn many(name: &'static str, count: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build()
}
