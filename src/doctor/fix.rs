//! Fixes for a cause: short sentences that name the setting and its file, the most useful first.

use super::finding::{BY_THE_RFCS, Case, Finding, Level, OIDC, Place, Setup};
use super::{Cause, ours};
use crate::verifier::explain::{HEADER, text_member};

const EXCHANGE: &str = "countersign the token: send it to POST /_countersign/token of the proxy in your \
    `fetchAccessToken`, or log in through the proxy";
const SAME_ANSWER: &str =
    "look at what the address answers: countersign finds no key set in it either";
const TOKEN_CHANGED: &str =
    "the token is of another server or stage, or was changed or cut when copied";
const OTHER_STAGE: &str = "compare the `kid`s: the token is of another server or stage, or the key was \
    changed after the set was cached (Convex keeps a set as long as its Cache-Control says)";
const CLOCK_AHEAD: &str = "set the clock of the auth server: it is ahead";
const MILLISECONDS: &str = "set `milliseconds = true` under [issuer.claims] in countersign.toml if the \
    times are in milliseconds";
const OPAQUE: &str = "give a signed token (three parts): an opaque or encrypted one cannot be used";
const OPEN_ADDRESS: &str =
    "open the address without a login: it must answer 200 with JSON, for anybody";
const USE_CUSTOM_JWT: &str =
    "use a `customJwt` provider: it reads no discovery document, only the key set";

/// A finding with its causes and their fixes.
pub(super) fn finding(
    about: &'static str,
    level: Level,
    title: impl Into<String>,
    causes: Vec<Cause>,
    case: &Case,
) -> Finding {
    let fixes = fixes(about, &causes, case);
    Finding { causes, fixes, ..Finding::new(about, level, title) }
}

/// The fixes for the causes of one finding, each once.
fn fixes(about: &str, causes: &[Cause], case: &Case) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for cause in causes {
        let lines = match (transport(cause), about) {
            (Some(line), _) => vec![line.to_owned()],
            (None, BY_THE_RFCS) => generic(cause, case).into_iter().collect(),
            (None, _) => fix(about, cause, case).into_iter().map(str::to_owned).collect(),
        };
        for line in lines {
            if !out.contains(&line) {
                out.push(line);
            }
        }
    }
    out
}

/// The advice to put the proxy in front, if it can read the issuer's answers.
fn in_front(case: &Case) -> &'static str {
    match (case.place, case.ours.read.is_ok(), &case.ours.setup) {
        (Place::Countersign, ..) => {
            "this is a countersign proxy already: look at its status page (admin listener), which says \
             what it cannot read from the auth server behind it"
        }
        (_, true, Setup::Issuer { .. }) => {
            "put countersign in front of the auth server, with an `[[issuer]]` in its configuration"
        }
        (_, true, _) => "put countersign in front of the auth server",
        (_, false, _) => SAME_ANSWER,
    }
}

fn in_front_of_oidc(case: &Case) -> &'static str {
    match case.place {
        Place::Countersign => {
            "let the proxy serve the discovery document itself: set `output_issuer` of the [[issuer]] \
             in its countersign.toml to this address; or use a `customJwt` provider"
        }
        _ => in_front(case),
    }
}

fn fix(about: &str, cause: &Cause, case: &Case) -> Vec<&'static str> {
    let (in_token, oidc) = (in_token(cause), about == OIDC);
    let refusal = ours::refusal(case);
    let refused =
        || refusal.iter().filter_map(|cause| before_countersigning(cause, case)).collect();
    let line = match cause.code {
        "status" => status(cause, oidc, case),
        "html" if oidc && case.place == Place::Countersign => in_front_of_oidc(case),
        "html" | "empty" => {
            "give the address of the auth server's API: this one answers a web page"
        }
        "audience" => "set `applicationID` in auth.config.ts to the token's `aud`",
        "aud_missing" if oidc => {
            "an OIDC provider needs an `aud`: use a `customJwt` provider without `applicationID`, or \
             let the auth server set one"
        }
        "aud_missing" => {
            "leave `applicationID` out of auth.config.ts (then any token of this issuer is accepted), or \
             let the auth server set an `aud`"
        }
        "issuer" | "domain" if oidc => "set `domain` in auth.config.ts to the token's `iss`",
        "issuer" | "domain" => "set `issuer` in auth.config.ts to the token's `iss`",
        "issuer_mismatch" => {
            "use a `customJwt` provider, for which a slash at the end does not count: an OIDC provider \
             compares byte by byte"
        }
        "issuer_url" => "use a `customJwt` provider: it adds `https://` to such an `iss`",
        "issuer_missing" | "jwks_uri" | "jwks_uri_missing" | "discovery_member" | "discovery" => {
            match case.jwks.as_ref().is_ok_and(|answer| answer.status == 200) {
                true => USE_CUSTOM_JWT,
                false => {
                    "find out where the key set is, and give that address: `countersign doctor \
                     https://…/jwks --issuer https://…`"
                }
            }
        }
        "expired" => "get a fresh token and ask again",
        "not_yet" => CLOCK_AHEAD,
        "exp_range" => MILLISECONDS,
        "kid_unknown" | "alg" if case.place == Place::Countersign && !is_hmac(case) => EXCHANGE,
        "kid_unknown" if is_hmac(case) => return refused(),
        "kid_unknown" => OTHER_STAGE,
        "signature" => TOKEN_CHANGED,
        "claim_missing" if cause.place == "claims.sub" => "let the auth server set `sub`",
        "format" => OPAQUE,
        "iss_missing" => "let the auth server set `iss`",
        "refetch" | "vary" | "set_cookie" | "stale" | "heuristic" => {
            "let the server send `Cache-Control: public, max-age=300` and no cookie, as countersign does"
        }
        "no_usable_key" if oidc => in_front_of_oidc(case),
        // A proxy refuses this token too, so it is no advice.
        _ if in_token && refusal.as_ref().is_some_and(|cause| is_permanent(cause, case)) => {
            return refused();
        }
        _ if in_token && case.place != Place::Countersign && case.ours.read.is_ok() => {
            return vec![in_front(case), EXCHANGE];
        }
        _ if in_token => EXCHANGE,
        _ if oidc => in_front_of_oidc(case),
        _ => in_front(case),
    };
    vec![line]
}

/// Whether the cause is in the token itself.
fn in_token(cause: &Cause) -> bool {
    let places = ["claims", "header", "signature", "token"];
    places.iter().any(|place| cause.place.starts_with(place))
}

/// Whether the token stays refused, however the proxy is configured.
fn is_permanent(refusal: &Cause, case: &Case) -> bool {
    let configured = ["aud_missing", "sender_constrained"].contains(&refusal.code);
    !configured && before_countersigning(refusal, case).is_some()
}

/// Whether the token has an HMAC, whose key no set publishes.
fn is_hmac(case: &Case) -> bool {
    let alg = case.question.token.as_deref().and_then(|token| text_member(token, HEADER, "alg"));
    alg.is_some_and(|alg| alg.starts_with("HS"))
}

/// What to change so that countersign accepts the token. `None` where another finding says it, and for a
/// countersign proxy where its configuration may say otherwise.
pub(super) fn before_countersigning(cause: &Cause, case: &Case) -> Option<&'static str> {
    Some(match cause.code {
        _ if ours::is_damage(cause) => "copy the token again, all of it",
        "format" | "nested" => OPAQUE,
        "alg" if is_hmac(case) => {
            "let the auth server sign with RS256 or ES256: the key of an HMAC is a secret, in no key set. Or \
             give countersign the secret: `secret_file` of the [[issuer]]"
        }
        "nbf" | "iat_future" => CLOCK_AHEAD,
        "exp_missing" => "let the auth server set `exp`: a token without an end is refused",
        "exp_range" => MILLISECONDS,
        "sub_missing" => "let the auth server set `sub`",
        "iss_missing" => "let the auth server set `iss`",
        "sig_format" => "let the auth server write the signature as `r || s` (RFC 7518)",
        _ if case.place == Place::Countersign => return None,
        "signature" => TOKEN_CHANGED,
        "kid_unknown" => OTHER_STAGE,
        "aud_missing" => {
            "let the auth server set an `aud`, or set `audience_when_missing` of the [[issuer]] in \
             countersign.toml: countersign takes no token without one otherwise"
        }
        "sender_constrained" => {
            "set `accept_sender_constrained = true` of the [[issuer]] in countersign.toml, if it may \
             become a bearer token"
        }
        _ => return None,
    })
}

/// Fixes for faults below HTTP, which are the same for every verifier.
fn transport(cause: &Cause) -> Option<&'static str> {
    let why = cause.text.to_ascii_lowercase();
    let plain = ["connect", "tls", "broken"].contains(&cause.code)
        && (why.contains("invalidcontenttype") || why.contains("corrupt message"));
    Some(match cause.code {
        _ if plain => "write the address with `http://`: there is no TLS at this port",
        "dns" => "check the spelling of the host: no name server knows it",
        "connect" if why.contains("refused") => {
            "nothing listens there: is the server up, are host and port right?"
        }
        "connect" => {
            "the host cannot be reached: is it up, and does its firewall let the port through?"
        }
        "timeout" => {
            "ask again in a minute (a small host may have been asleep); if it stays so, look at its \
             firewall, which may drop what comes from outside, and at its load"
        }
        "tls" if why.contains("unknownissuer") => {
            "get a certificate of a public authority (Let's Encrypt), or send the intermediate \
             certificates too: this chain leads to none that verifiers know"
        }
        "tls" if why.contains("expired") => "renew the certificate: it has run out",
        "tls" if why.contains("not valid for") || why.contains("notvalidforname") => {
            "use the host name that the certificate is for, or get one for this name"
        }
        "tls" => "look at the TLS of the server: `openssl s_client -connect HOST:443`",
        "private_address" => {
            "if you meant it, say so with `--allow-private`: the document or a redirect leads into a \
             private network, where a verifier cannot follow either"
        }
        "redirects" | "redirect_location" => "give the address that the redirects should end at",
        "too_large" | "broken" | "encoding" => {
            "fetch the address with `curl -i` and look at what comes: the answer cannot be read whole"
        }
        _ => return None,
    })
}

fn status(cause: &Cause, oidc: bool, case: &Case) -> &'static str {
    // The number in the text is the status.
    let status = cause.text.split([' ', ';']).find_map(|word| word.parse::<u16>().ok());
    match status.unwrap_or(0) {
        401 | 403 => "let the address through without a login: key set and discovery are public",
        404 | 405 | 410 if oidc => USE_CUSTOM_JWT,
        404 | 405 | 410 => {
            "is the key set elsewhere? Give its whole address: `countersign doctor https://…/jwks \
             --issuer https://…`, where --issuer is the `iss` of the tokens"
        }
        429 => "try again later: the server limits requests",
        500..=599 if case.place == Place::Countersign => {
            "the proxy has no key set yet: `curl http://127.0.0.1:9090/readyz` on its machine says why"
        }
        500..=599 => "look at the log of the auth server: it fails itself",
        _ => OPEN_ADDRESS,
    }
}

/// The fix for a verifier whose settings we do not know.
fn generic(cause: &Cause, case: &Case) -> Option<String> {
    let line = match cause.code {
        "status" if case.place == Place::Countersign => status(cause, false, case),
        "status" | "html" | "empty" => OPEN_ADDRESS,
        "audience" => "set the verifier's audience to what `aud` is",
        "issuer" | "issuer_unknown" => "set the verifier's issuer to what `iss` is, to the letter",
        "expired" => "get a fresh token and ask again",
        "kid_unknown" => "was the key changed? or the token is of another issuer",
        "signature" => "the token is of another issuer or stage, or was changed or cut when copied",
        _ if in_token(cause) => before_countersigning(cause, case)?,
        _ if case.place == Place::Countersign || case.ours.read.is_err() => in_front(case),
        _ => {
            return Some(format!(
                "put countersign in front with `--profile {}` and have the verifier read its \
                 /.well-known/jwks.json",
                case.question.profile.name
            ));
        }
    };
    Some(line.to_owned())
}
