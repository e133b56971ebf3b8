//! `server.public_url`: what clients and verifiers call this proxy.

use url::Url;

use super::super::error::{Checked, SettingFault};
use super::place::At;
use crate::issuer::IssuerSettings;
use crate::net::Class;
use crate::setting::shown;

/// The public URL is written into documents that verifiers read, so it must be safe.
pub(super) fn check(at: &At, url: &Url) -> Checked<()> {
    prefix_alone(at, url).when(url.query().is_some())?;
    if let Some(before) = before_key_set(url.path()) {
        return Err(of_a_key_set(at, url, before));
    }
    if url.scheme() == "http" && !Class::of_url(url).is_some_and(Class::is_inside) {
        let fault = at.fault("keys and tokens over plain `http:` can be replaced on the way");
        let mut safe = url.clone();
        // It cannot fail between these two.
        let _ = safe.set_scheme("https");
        return Err(fault.meant(shown(&safe)).hint("`http:` is for localhost and private names"));
    }
    Ok(())
}

/// Compares it with the paths of the key sets, which are known after it.
pub(super) fn check_paths(public: Option<&Url>, issuers: &[IssuerSettings]) -> Checked<()> {
    let at = At::root("server").key("public_url");
    let Some(url) = public else { return Ok(()) };
    let paths = issuers.iter().flat_map(|issuer| &issuer.jwks_paths);
    for path in paths.filter(|path| *path != "/") {
        if let Some(before) = url.path().strip_suffix(path.as_str()) {
            return Err(of_a_key_set(&at, url, before));
        }
    }
    Ok(())
}

/// The fault of a URL that stands before paths and has a query.
pub(super) fn prefix_alone(at: &At, url: &Url) -> SettingFault {
    let mut bare = url.clone();
    bare.set_query(None);
    at.fault("it is a prefix of paths, so it has no query").meant(shown(&bare))
}

/// What stands before the path of a key set or a discovery document, if that is the end of `path`. A proxy
/// behind a gateway may have a path, but not one of these.
fn before_key_set(path: &str) -> Option<&str> {
    if let Some((before, _)) = path.split_once("/.well-known") {
        return Some(before);
    }
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    // How much of the path belongs to the key set is unknown, so none is kept.
    matches!(last, "jwks" | "jwks.json" | "keys.json" | "openid-configuration").then_some("")
}

fn of_a_key_set(at: &At, url: &Url, before: &str) -> SettingFault {
    let mut base = url.clone();
    base.set_path(before);
    at.fault(format_args!("`{}` is the path of a document, not the address before it", url.path()))
        .meant(shown(&base))
        .hint("the proxy adds the paths")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_safe() {
        let at = At::root("server.public_url");
        let ok = [
            "https://a.example",
            "http://localhost:8080",
            "http://10.1.2.3",
            "http://proxy",
            "https://a.example/login",
            "https://a.example/jwks-proxy",
        ];
        for url in ok {
            assert!(check(&at, &Url::parse(url).unwrap()).is_ok(), "{url}");
        }
        for (url, meant) in [
            ("http://a.example", "https://a.example"),
            ("http://a.example:8080/b", "https://a.example:8080/b"),
            ("https://a.example/?x", "https://a.example"),
            ("http://8.8.8.8", "https://8.8.8.8"),
            ("http://notlocalhost.com", "https://notlocalhost.com"),
            ("http://xlocal.example", "https://xlocal.example"),
            ("https://a.example/api/auth/jwks", "https://a.example"),
            ("https://a.example/jwks.json/", "https://a.example"),
            ("https://a.example/b/.well-known/jwks.json", "https://a.example/b"),
            ("https://a.example/.well-known/openid-configuration", "https://a.example"),
        ] {
            let fault = check(&at, &Url::parse(url).unwrap()).unwrap_err();
            assert_eq!(fault.invalid.meant.as_deref(), Some(meant), "{url}");
        }
    }
}
