//! What to do about a cause. The lines name settings of `auth.config.ts` and `countersign.toml`.

use super::Cause;
use super::finding::{BY_THE_RFCS, Finding};

const IN_FRONT: &str = "put countersign in front, it serves the set corrected: `jwks` in auth.config.ts \
    becomes \"https://<countersign>/.well-known/jwks.json\"";
const DOMAIN_IN_FRONT: &str = "put countersign in front, `domain` in auth.config.ts becomes \
    \"https://<countersign>\"; or use a `customJwt` provider";
const IN_FRONT_OF_ANY: &str = "put countersign in front with `--profile standard` and have the verifier \
    read https://<countersign>/.well-known/jwks.json: it serves the set corrected";
const EXCHANGE: &str = "countersign the token: in `fetchToken` send it to POST /_countersign/token, or \
    let [[tokens]] in countersign.toml rewrite the issuer's answers";

/// One line a kind of cause, each once.
pub(super) fn fixes(about: &str, causes: &[Cause]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for cause in causes {
        for line in fix(about, cause) {
            if !out.contains(&line) {
                out.push(line);
            }
        }
    }
    out
}

fn fix(about: &str, cause: &Cause) -> Vec<String> {
    if about == BY_THE_RFCS {
        return generic(cause);
    }
    let in_token = cause.place.starts_with("claims") || cause.place.starts_with("header");
    let line = match cause.code {
        "fetch" if cause.text.contains("dns error") => "is the name spelt right? Nobody knows it",
        "fetch" if cause.text.contains("refused") => {
            "nothing listens there: is the server up, are host and port right?"
        }
        "fetch" if cause.text.contains("InvalidContentType") => {
            "there is no TLS at this address: write it with `http://`"
        }
        "status" if cause.text.contains("answers 404") && about == "OIDC" => {
            "use a `customJwt` provider, it reads no discovery document; or put countersign in front"
        }
        "status" if cause.text.contains("answers 404") => {
            "is the key set elsewhere? Give its whole address instead: `countersign doctor \
             https://…/jwks --issuer https://…`; what its tokens call `iss` goes to --issuer"
        }
        "status" | "fetch" | "html" | "empty" => {
            "open the address without a login: it must answer 200 with JSON, for anybody"
        }
        "audience" => "set `applicationID` in auth.config.ts to what `aud` is, or leave it out",
        "issuer" | "domain" => {
            "set `issuer` (`domain` for OIDC) in auth.config.ts to what `iss` is, to the letter"
        }
        "issuer_mismatch" => {
            "OIDC compares byte by byte, slash at the end included: set `output_issuer` of \
             [[issuer]] in countersign.toml, or use `customJwt`"
        }
        "issuer_url" => "use a `customJwt` provider: it adds `https://` to such an `iss`",
        "issuer_missing" | "jwks_uri" | "discovery_member" => {
            "use a `customJwt` provider, it reads no discovery document; or let countersign rewrite it"
        }
        "expired" => "get a fresh token; compare the clocks of both machines",
        "not_yet" => "set the issuer's clock",
        "exp_range" => {
            "times are in seconds; for milliseconds set `milliseconds = true` under claims of \
             [[issuer]] in countersign.toml"
        }
        "kid_unknown" => {
            "was the key changed? The verifier keeps the old set as long as Cache-Control says and \
             asks for no new one; or the token is of another issuer"
        }
        "signature" => "the token is of another issuer or stage, or was changed on the way",
        "claim_missing" if cause.place == "claims.sub" => "the issuer must set `sub`",
        "format" => "a signed token is needed, not an opaque or encrypted one",
        "refetch" | "vary" | "set_cookie" | "stale" | "heuristic" => {
            "countersign serves the set with `Cache-Control: public, max-age=300` and nothing else"
        }
        "no_usable_key" if about == "OIDC" => {
            return vec![DOMAIN_IN_FRONT.to_owned(), EXCHANGE.to_owned()];
        }
        "no_usable_key" => {
            return vec![IN_FRONT.to_owned(), EXCHANGE.to_owned()];
        }
        _ if in_token || about == "headers" => EXCHANGE,
        _ if about == "OIDC" => DOMAIN_IN_FRONT,
        _ => IN_FRONT,
    };
    vec![line.to_owned()]
}

/// Nothing countersign does helps against an answer it cannot read either.
pub(super) fn without_countersign(finding: &mut Finding) {
    let before = finding.fixes.len();
    finding.fixes.retain(|fix| !fix.starts_with("put countersign in front"));
    if finding.fixes.is_empty() && before > 0 {
        let look = "look at what the address answers: countersign finds no key set in it either";
        finding.fixes.push(look.to_owned());
    }
}

/// For a verifier whose settings nobody here knows.
fn generic(cause: &Cause) -> Vec<String> {
    let in_token = ["claims", "header", "signature", "token"];
    let in_token = in_token.iter().any(|place| cause.place.starts_with(place));
    let line = match cause.code {
        "status" | "fetch" | "html" | "empty" => {
            "open the address without a login: it must answer 200 with JSON, for anybody"
        }
        "audience" => "set the verifier's audience to what `aud` is",
        "issuer" | "issuer_unknown" => "set the verifier's issuer to what `iss` is, to the letter",
        "expired" => "get a fresh token; compare the clocks of both machines",
        "kid_unknown" => "was the key changed? or the token is of another issuer",
        "signature" => "the token is of another issuer or stage, or was changed on the way",
        _ if in_token => return Vec::new(),
        _ => IN_FRONT_OF_ANY,
    };
    vec![line.to_owned()]
}
