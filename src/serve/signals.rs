//! Signals of the system.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::{Ending, Reload, Server, reload};

/// Serves until a signal ends it; returns which kind of stop it asks for.
pub(super) async fn serve(server: &Server, again: Option<Reload>, handover: &Path) -> Ending {
    let listen = |kind| match signal(kind) {
        Ok(signal) => Some(signal),
        Err(error) => {
            tracing::warn!(%error, "cannot listen for a signal");
            None
        }
    };
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let mut quit = listen(SignalKind::quit());
    let mut hangup = listen(SignalKind::hangup());
    loop {
        tokio::select! {
            () = next(&mut terminate) => return Ending::Close,
            () = next(&mut interrupt) => return Ending::Close,
            () = next(&mut quit) => {
                // Blocks until the new process is there: nothing else on this thread waits for it.
                match tokio::task::block_in_place(|| server.sockets.hand_over(handover)) {
                    Ok(()) => {
                        tracing::info!("the listeners were handed over");
                        return Ending::HandedOver;
                    }
                    Err(why) => {
                        tracing::error!(why, "no new process took over the listeners; continuing");
                    }
                }
            }
            () = next(&mut hangup) => {
                if let Some(certificate) = &server.certificate {
                    certificate.reload();
                }
                server.app.keyring.reload();
                let applied = again.as_ref().map_or(Ok(()), |again| {
                    let config = again().map_err(|e| e.to_string())?;
                    reload::apply(&server.app, &config)
                });
                match applied {
                    Ok(()) => tracing::info!("the configuration was read again"),
                    Err(why) => tracing::error!(why, "the old configuration stays in use"),
                }
            }
        }
    }
}

async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
