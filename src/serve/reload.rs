//! A new configuration for a running server: issuers, token places and profile; all or nothing.

use std::sync::Arc;

use super::assemble::App;
use crate::config::Config;

/// Applies issuers, token places and profile of `config`. A difference that needs a restart
/// (listeners, upstream, signing) is logged and not applied.
///
/// # Errors
/// The reason, as text; then nothing was changed.
pub(super) fn apply(app: &Arc<App>, config: &Config) -> Result<(), String> {
    let old = app.config.load_full();
    if config.server.listen != old.server.listen
        || config.admin != old.admin
        || config.server.tls != old.server.tls
        || config.upstream.as_ref().map(|u| &u.url) != old.upstream.as_ref().map(|u| &u.url)
        || config.data_dir != old.data_dir
        || config.otel.endpoint != old.otel.endpoint
    {
        tracing::warn!("listeners, upstream, data directory and otel change only after a restart");
    }
    // Discovery checks a discovered issuer by itself.
    let learns = app.discovery.is_some();
    if learns != config.discover {
        return Err("issuers cannot change from configured to discovered or back".to_owned());
    }
    if !learns {
        // The only step that can fail is first.
        app.issuers.reload(config.issuers.clone()).map_err(|e| e.to_string())?;
        app.state.routes.store(Arc::new(config.routes(config.tokens.clone())));
    }
    app.state.publisher.set_profile(config.profile.clone());
    app.state.bridge.reload(config.profile.clone());
    app.config.store(Arc::new(config.clone()));
    Ok(())
}
