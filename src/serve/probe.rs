//! Asks a failing auth server whether it answers again. A proxy that is not ready gets no requests,
//! so without this it would never be ready again.

use std::time::Duration;

use http::header;
use pingora::http::RequestHeader;
use tokio::sync::watch;

use super::assemble::App;
use crate::proxy::http::call;
use crate::proxy::http::memory::BodyMemory;

const INTERVAL: Duration = Duration::from_secs(5);
/// Maximum bytes of an answer; any answer is good.
const LIMIT: usize = 64 * 1024;

/// Runs until told to stop; sends nothing while requests get answers.
pub(super) async fn run(app: &App, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if app.state.health.failing() && answers(app).await == Some(true) {
            app.state.health.answered(app.state.clock.now());
        }
    }
}

async fn answers(app: &App) -> Option<bool> {
    let upstream = app.state.upstream.as_ref()?;
    let path = format!("{}/", upstream.base_path());
    let mut header = RequestHeader::build("GET", path.as_bytes(), Some(2)).ok()?;
    let host = upstream.host_header().unwrap_or_else(|| upstream.authority());
    header.insert_header(header::HOST, host).ok()?;
    header.insert_header(header::ACCEPT_ENCODING, "identity").ok()?;
    // Not of the requests' budget: while it is used up, a server that answers again must be seen.
    let mut share = BodyMemory::new(BodyMemory::least(LIMIT)).share();
    Some(call::ask(&header, LIMIT, upstream, &mut share).await.is_ok())
}
