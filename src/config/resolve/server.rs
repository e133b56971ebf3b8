//! `[server]`.

use std::path::Path;

use url::Url;

use super::super::error::Checked;
use super::place::At;
use crate::proxy::http::memory::BodyMemory;
use crate::proxy::settings::ServerSettings;

/// Everything but `exchange`, which needs the issuers.
pub(super) fn resolve(
    mut server: ServerSettings,
    threads: Option<usize>,
    base: &Path,
) -> Checked<ServerSettings> {
    let at = At::root("server");
    if let Some(url) = &server.public_url {
        super::public_url::check(&at.key("public_url"), url)?;
    }
    server.threads = threads.or(server.threads);
    at.between("threads", server.threads(), 1, 1024)?;
    at.between("max_age", server.max_age as usize, 1, 7 * 86_400)?;
    if let Some(tls) = &mut server.tls {
        tls.cert = base.join(&tls.cert);
        tls.key = base.join(&tls.key);
    }
    let limits = &server.limits;
    let at = at.key("limits");
    at.between("header", limits.header, 1024, 1024 * 1024)?;
    at.between("body", limits.body, 1024, 64 * 1024 * 1024)?;
    at.between("answer", limits.answer, 1024, 64 * 1024 * 1024)?;
    // Enough for the largest request and the largest answer together.
    let least = BodyMemory::least(limits.body + limits.answer);
    at.between("body_memory", limits.body_memory, least, 1 << 40)?;
    at.between("connections", limits.connections, 1, 10_000_000)?;
    Ok(server)
}

/// If the upstream were this proxy, a request would loop until every connection is in use.
///
/// # Errors
/// A fault where the upstream is this proxy.
pub(super) fn not_ourselves(upstream: &Url, server: &ServerSettings) -> Checked<()> {
    let fault = |why: String| {
        let hint = "name the auth server itself, as it is reached from this machine";
        At::root("upstream").key("url").fault(why).hint(hint)
    };
    let listen = &server.listen;
    fault(format!("{upstream} is where this proxy itself listens ({listen})"))
        .when(listen.is_at(upstream))?;
    let is_public = server.public_url.as_ref().is_some_and(|public| is_below(upstream, public));
    fault(format!("{upstream} is this proxy's own `public_url`")).when(is_public)
}

/// Whether `url` is `base`, or a path below it.
fn is_below(url: &Url, base: &Url) -> bool {
    let (path, prefix) = (url.path().trim_end_matches('/'), base.path().trim_end_matches('/'));
    let rest = path.strip_prefix(prefix);
    url.origin() == base.origin()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_by_whole_segments() {
        let below =
            |url: &str, base: &str| is_below(&Url::parse(url).unwrap(), &Url::parse(base).unwrap());
        assert!(below("https://a.example/", "https://a.example"));
        assert!(below("https://A.example:443/oidc", "https://a.example"));
        assert!(below("https://a.example/login/x", "https://a.example/login/"));
        // A gateway may route two servers under one name by their paths.
        assert!(!below("https://a.example/oidc", "https://a.example/login"));
        assert!(!below("https://a.example/login2", "https://a.example/login"));
        assert!(!below("http://a.example/", "https://a.example"));
        assert!(!below("https://b.example/", "https://a.example"));
    }
}
