//! Only in builds for tests: a copy of the process's log in a file, at every level and before
//! scrubbing. `scripts/test` lets the whole suite write into one folder and searches it, so that
//! the scrubber is not the only check. A release does not contain this.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::Filter;
use crate::env::{Env as _, ProcessEnv};

/// The folder; if unset, nothing is copied.
const FOLDER: &str = "COUNTERSIGN_TEST_LOGS";

pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file()?);
    Some(lines.with_filter(Filter::at(LevelFilter::TRACE).0))
}

fn file() -> Option<Arc<File>> {
    static OPENED: OnceLock<Option<Arc<File>>> = OnceLock::new();
    let open = || {
        let folder = ProcessEnv.var(FOLDER).filter(|folder| !folder.is_empty())?;
        let file = Path::new(&folder).join(format!("{}.log", std::process::id()));
        OpenOptions::new().create(true).append(true).open(file).ok().map(Arc::new)
    };
    OPENED.get_or_init(open).clone()
}

/// Copies a line that is not written through tracing.
pub(super) fn line(line: &str) {
    if let Some(mut file) = file().as_deref() {
        let _ = file.write_all(line.as_bytes());
    }
}

/// For a server inside a test, where nobody installs a logger.
pub fn start() {
    if let Some(layer) = layer() {
        #[cfg(feature = "otel")]
        let layer = layer.and_then(crate::otel::layer());
        // Another server in this process may have installed it first.
        let _ = tracing_subscriber::registry().with(layer).try_init();
    }
}
