//! Explains why a token is refused: its header and claims, compared with what was expected.

use super::super::RefusalReason;
use super::super::convex::same_issuer;
use super::{Cause, document, key};
use crate::jose::base64url;
use crate::jose::standard_claims;
use crate::jose::tree::Json;

/// The most `kid`s named in one sentence.
const MAX_KIDS: usize = 5;

/// A token and the set that should verify it, decoded without verification.
pub(super) struct View<'a> {
    parts: usize,
    header: Option<Json>,
    claims: Option<Json>,
    keys: Vec<Json>,
    /// The algorithms that the provider accepts.
    algorithms: &'a [&'a str],
}

/// A string of the token's header or claims, not verified.
pub fn text_member(token: &str, part: usize, name: &str) -> Option<String> {
    section(token, part)?.get(name)?.text().map(str::to_owned)
}

/// The part of [`section`] with the header.
pub const HEADER: usize = 0;
/// The part of [`section`] with the claims.
pub const CLAIMS: usize = 1;

/// Header or claims of a token, not verified.
pub fn section(token: &str, part: usize) -> Option<Json> {
    let bytes = base64url::decode(token.split('.').nth(part)?).ok()?;
    Json::parse(&bytes).ok()
}

impl<'a> View<'a> {
    pub(super) fn of(token: &str, set: &'a [u8], algorithms: &'a [&'a str]) -> Self {
        Self {
            parts: token.split('.').count(),
            header: section(token, HEADER).filter(Json::is_object),
            claims: section(token, CLAIMS).filter(Json::is_object),
            keys: document::entries(set).unwrap_or_default(),
            algorithms,
        }
    }

    fn header(&self, name: &str) -> Option<&Json> {
        self.header.as_ref()?.present(name)
    }

    fn header_text(&self, name: &str) -> Option<&str> {
        self.header(name)?.text()
    }

    fn claim(&self, name: &str) -> Option<&Json> {
        self.claims.as_ref()?.present(name)
    }

    fn claim_text(&self, name: &str) -> Option<&str> {
        self.claim(name)?.text()
    }

    fn claim_seconds(&self, name: &str) -> Option<i64> {
        self.claim(name)?.seconds()
    }

    /// `issuer` and `audience` are those of the provider.
    pub(super) fn causes(
        &self,
        reason: &RefusalReason,
        detail: &str,
        issuer: &str,
        audience: Option<&str>,
    ) -> Vec<Cause> {
        let kid = self.header_text("kid").unwrap_or("none");
        let cause = match reason {
            RefusalReason::Provider => return self.provider(issuer, audience, detail),
            RefusalReason::Payload | RefusalReason::IdToken => return self.payload(detail),
            RefusalReason::Token => self.form(detail),
            RefusalReason::IssuerMissing => {
                Cause::new("iss_missing", "claims.iss", "the token has no `iss`")
            }
            RefusalReason::IssuerUrl => {
                let iss = self.claim_text("iss").unwrap_or(issuer);
                let text = format!(
                    "`iss` is {iss}; it must be an absolute URL, for the discovery document is found by it"
                );
                Cause::new("issuer_url", "claims.iss", text)
            }
            RefusalReason::TimeRange => {
                let out_of_range = |name: &&str| {
                    let at = self.claim_seconds(name);
                    at.is_some_and(|at| at.unsigned_abs() > 100_000_000_000)
                };
                let name = ["exp", "iat", "nbf"].into_iter().find(out_of_range).unwrap_or("exp");
                let text = format!("`{name}` is not in seconds (RFC 7519 §2)");
                Cause::new("exp_range", &format!("claims.{name}"), text)
            }
            RefusalReason::KidMissing => {
                Cause::new("kid_missing", "header.kid", "the token's header has no `kid`")
            }
            RefusalReason::KidUnknown => self.kid_unknown(),
            RefusalReason::KidAmbiguous => {
                let text =
                    format!("several keys fit (the token's `kid`: {kid}), and it takes none");
                Cause::new("kid_ambiguous", "header.kid", text)
            }
            RefusalReason::Algorithm => self.algorithm(kid),
            RefusalReason::Key => self.key(detail),
            RefusalReason::Signature => {
                let text = format!("the signature was not made by the key `{kid}` of this set");
                Cause::new("signature", "signature", text)
            }
            RefusalReason::Expired => Cause::new("expired", "claims.exp", "the token has expired"),
            RefusalReason::NotYet => {
                let nbf_is_later = self.claim_seconds("nbf") > self.claim_seconds("iat");
                let name = if nbf_is_later { "nbf" } else { "iat" };
                let text = format!("`{name}` lies in the future");
                Cause::new("not_yet", &format!("claims.{name}"), text)
            }
            RefusalReason::ClaimMissing(name) => missing_claim(name),
            RefusalReason::Audience => {
                let aud = self.claim("aud").map_or_else(|| "missing".to_owned(), Json::to_string);
                let text = format!("`aud` is {aud}; exactly one audience is accepted");
                Cause::new("aud_many", "claims.aud", text)
            }
            RefusalReason::Header => self.unsupported(detail),
            _ => Cause::new("other", "token", detail),
        };
        vec![cause]
    }

    fn provider(&self, issuer: &str, audience: Option<&str>, detail: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        let iss = self.claim_text("iss").unwrap_or_default();
        if !same_issuer(iss, issuer) {
            let text = format!("the token's `iss` is {iss}, the provider's {issuer}");
            causes.push(Cause::new("issuer", "claims.iss", text));
        }
        match (audience, self.claim("aud")) {
            (None, _) => {}
            (Some(_), None) => {
                let text = "the token has no `aud`, and the provider has an `applicationID`";
                causes.push(Cause::new("aud_missing", "claims.aud", text));
            }
            (Some(wanted), Some(aud)) => {
                let audiences = match aud {
                    Json::Array(list) => list.as_slice(),
                    one => std::slice::from_ref(one),
                };
                if !audiences.iter().any(|one| one.text() == Some(wanted)) {
                    let text = format!("the token's `aud` is {aud}, the provider's {wanted}");
                    causes.push(Cause::new("audience", "claims.aud", text));
                }
            }
        }
        if causes.is_empty() {
            causes.push(Cause::new("other", "token", detail));
        }
        causes
    }

    /// The claims cannot be read, or are not the claims of an ID token.
    fn payload(&self, detail: &str) -> Vec<Cause> {
        let Some(claims) = &self.claims else { return vec![self.form(detail)] };
        let mistyped =
            |name: &str, text: String| Cause::new("claim_type", &format!("claims.{name}"), text);
        let twice = |name: &&str| mistyped(name, format!("`{name}` occurs twice"));
        let mut causes: Vec<_> = claims.duplicates().iter().map(twice).collect();
        for (name, value) in claims.members().iter().filter(|(_, value)| !value.is_null()) {
            let is_text = value.text().is_some();
            let wanted = match &**name {
                "iss" | "sub" | "jti" => (!is_text).then_some("a string"),
                "aud" if is_text || value.texts().is_some() => None,
                "aud" => Some("a string or a list of strings"),
                "exp" | "nbf" | "iat" if value.seconds().is_some() => None,
                "exp" | "nbf" | "iat" => Some("a number of seconds"),
                name => standard_claims::mistyped(name, value),
            };
            if let Some(wanted) = wanted {
                causes.push(mistyped(name, format!("`{name}` is {}, not {wanted}", value.kind())));
            }
        }
        if causes.is_empty() {
            for name in ["iss", "sub", "aud", "exp", "iat"] {
                match claims.get(name) {
                    Some(Json::Null) => causes.push(mistyped(name, format!("`{name}` is null"))),
                    None if detail.contains(name) => causes.push(missing_claim(name)),
                    _ => {}
                }
            }
        }
        if causes.is_empty() {
            // If the crate rejects a claim for another reason, its message names the claim.
            let is_named = |name: &str| {
                let base = name.split('#').next().unwrap_or(name);
                detail.contains(&format!("`{base}`"))
            };
            let found = claims.members().iter().find(|(name, _)| is_named(name));
            causes.push(match found {
                Some((name, _)) => mistyped(name, detail.to_owned()),
                None => self.form(detail),
            });
        }
        causes
    }

    fn form(&self, detail: &str) -> Cause {
        if self.parts != 3 {
            let text = format!("the token has {} parts, not three", self.parts);
            Cause::new("format", "token", text)
        } else if self.header.is_none() {
            let text = "the token's header is not a JSON object in base64url";
            Cause::new("not_json", "header", text)
        } else if self.claims.is_none() {
            let text = "the token's claims are not a JSON object in base64url";
            Cause::new("payload", "claims", text)
        } else {
            Cause::new("token", "token", detail)
        }
    }

    fn kid_unknown(&self) -> Cause {
        let alg = self.header_text("alg").unwrap_or("none");
        let known: Vec<_> = self.keys.iter().filter_map(|k| k.get("kid")?.text()).collect();
        let listed = match known.as_slice() {
            [] => "no `kid` at all".to_owned(),
            kids if kids.len() > MAX_KIDS => {
                format!("{} and {} more", kids[..MAX_KIDS].join(", "), kids.len() - MAX_KIDS)
            }
            kids => kids.join(", "),
        };
        let text = match self.header_text("kid") {
            Some(kid) if known.contains(&kid) => {
                let text =
                    format!("the key `{kid}` is not for {alg} signatures (`kty`, `use` or `alg`)");
                return Cause::new("key_alg", "header.kid", text);
            }
            Some(kid) => format!("no key has the `kid` {kid}; the set has {listed}"),
            None => format!("no key of the set is for {alg} signatures"),
        };
        Cause::new("kid_unknown", "header.kid", text)
    }

    fn algorithm(&self, kid: &str) -> Cause {
        let accepted = self.algorithms.join(" or ");
        let alg = self.header_text("alg").unwrap_or("none");
        if !self.algorithms.contains(&alg) {
            let text = format!("the token is signed with {alg}, the provider accepts {accepted}");
            return Cause::new("alg", "header.alg", text);
        }
        let key = self.keys.iter().find(|k| k.get("kid").and_then(Json::text) == Some(kid));
        let member = |name: &str| key.and_then(|k| k.get(name)?.text()).unwrap_or("none");
        let (kty, key_alg) = (member("kty"), member("alg"));
        let text = format!(
            "the key `{kid}` is {kty} with `alg` {key_alg}, the provider accepts {accepted}"
        );
        Cause::new("key_alg", "header.kid", text)
    }

    /// The key that the token's `kid` names, and what is wrong with it.
    fn key(&self, detail: &str) -> Cause {
        let kid = self.header_text("kid");
        let is_named = |key: &Json| kid.is_none() || key.get("kid").and_then(Json::text) == kid;
        let found =
            self.keys.iter().position(is_named).and_then(|i| {
                key::faults(&self.keys[i], &format!("$.keys[{i}]")).into_iter().next()
            });
        found.unwrap_or_else(|| Cause::new("key", "header.kid", detail))
    }

    fn unsupported(&self, detail: &str) -> Cause {
        let is_jwt = |typ: &Json| {
            let typ = typ.text().unwrap_or_default().to_ascii_lowercase();
            ["jwt", "jose"].contains(&typ.trim_start_matches("application/"))
        };
        if let Some(typ) = self.header("typ").filter(|typ| !is_jwt(typ)) {
            let text = format!("`typ` is {typ}; only JWT or no `typ` is accepted");
            return Cause::new("typ", "header.typ", text);
        }
        for name in ["cty", "crit"] {
            if self.header(name).is_some() {
                let text = format!("the header has a `{name}`, which is not accepted");
                return Cause::new(name, &format!("header.{name}"), text);
            }
        }
        Cause::new("other", "header", detail)
    }
}

fn missing_claim(name: &str) -> Cause {
    Cause::new("claim_missing", &format!("claims.{name}"), format!("the token has no `{name}`"))
}
