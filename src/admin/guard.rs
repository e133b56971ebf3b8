//! Which requests of a browser the admin listener answers. It has no password, so a page on the internet
//! must not be able to reach it through the operator's browser.
//!
//! - DNS rebinding: the attacker points a name at our address, and the browser then treats our answers as
//!   that site's own. `Host` still names the attacker's site. So we answer only to hosts that no attacker
//!   can own: addresses, names without a dot, `localhost`, and those configured.
//! - Cross-site requests: no CORS header is ever sent, so the answers stay unreadable. The one `POST`
//!   changes nothing, and needs a media type that a form cannot send.

use std::net::IpAddr;

/// Whether a request with this `Host` (or `:authority`) may be answered. `configured` are names
/// given by the operator, without port.
pub fn admits_host(host: Option<&str>, configured: &[String]) -> bool {
    let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else { return false };
    let name = without_port(host).trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    // A name without a dot is resolved by search lists, containers and `/etc/hosts`, not by a DNS zone
    // that an attacker can register.
    address.parse::<IpAddr>().is_ok()
        || (!name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))
        || name.ends_with(".localhost")
        || configured.iter().any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(&name))
}

/// False if the browser says that another site started this request (Fetch Metadata, `Sec-Fetch-Site`).
/// Other programs do not send the header, and pass.
pub fn same_site(sec_fetch_site: Option<&str>) -> bool {
    matches!(sec_fetch_site, None | Some("same-origin" | "none"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // `[::1]:9090` and `name:9090`, but not the bare `::1`.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attackers_name_is_not_answered() {
        let configured = ["status.example.com".to_owned()];
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.nip.io",
            "localhost.evil.example",
            "evil.example.",
            "user@evil.example",
            "127.0.0.1@evil.example",
            "status.example.com.evil.example",
            "",
            ".",
            "a b",
            "a,b",
            "é",
        ] {
            assert!(!admits_host(Some(host), &configured), "{host}");
        }
        assert!(!admits_host(None, &configured));
    }

    #[test]
    fn the_operators_ways_are() {
        let configured = ["status.example.com".to_owned()];
        for host in [
            "127.0.0.1:9090",
            "[::1]:9090",
            "::1",
            "10.2.3.4",
            "localhost",
            "LOCALHOST:9090",
            "admin.localhost:9090",
            "countersign:9090",
            "Status.Example.com:443",
            "status.example.com.",
        ] {
            assert!(admits_host(Some(host), &configured), "{host}");
        }
    }

    #[test]
    fn another_site_cannot_start_a_request() {
        assert!(same_site(None) && same_site(Some("same-origin")) && same_site(Some("none")));
        assert!(!same_site(Some("cross-site")) && !same_site(Some("same-site")));
    }
}
