//! Explains why a token is refused: its header and claims, compared with what was expected.

use super::super::RefusalReason;
use super::super::convex::same_issuer;
use super::{Cause, document, key};
use crate::jose::base64url;
use crate::jose::standard_claims;
use crate::jose::tree::Json;

/// The most `kid`s named in one sentence.
const MANY: usize = 5;

/// A token and the set that should verify it, decoded without verification.
pub(super) struct View<'a> {
    parts: usize,
    header: Option<Json>,
    claims: Option<Json>,
    keys: Vec<Json>,
    /// The algorithms that the provider accepts.
    taken: &'a [&'a str],
}

/// The token's `iss`.
pub(super) fn issuer(token: &str) -> Option<String> {
    let view = View::of(token, &[], &[]);
    view.claim("iss")?.text().map(str::to_owned)
}

impl<'a> View<'a> {
    pub(super) fn of(token: &str, set: &'a [u8], taken: &'a [&'a str]) -> Self {
        let part = |nth| {
            let bytes = base64url::decode(token.split('.').nth(nth)?).ok()?;
            Json::parse(&bytes).ok().filter(Json::is_object)
        };
        Self {
            parts: token.split('.').count(),
            header: part(0),
            claims: part(1),
            keys: document::entries(set).unwrap_or_default(),
            taken,
        }
    }

    fn header(&self, name: &str) -> Option<&Json> {
        self.header.as_ref()?.present(name)
    }

    fn claim(&self, name: &str) -> Option<&Json> {
        self.claims.as_ref()?.present(name)
    }

    /// `issuer` and `audience` are those of the provider.
    pub(super) fn causes(
        &self,
        reason: &RefusalReason,
        detail: &str,
        issuer: &str,
        audience: Option<&str>,
    ) -> Vec<Cause> {
        match reason {
            RefusalReason::Provider => self.provider(issuer, audience, detail),
            RefusalReason::Payload | RefusalReason::IdToken => self.payload(detail),
            RefusalReason::Token => self.form(detail),
            _ => vec![self.one(reason, detail, issuer)],
        }
    }

    fn one(&self, reason: &RefusalReason, detail: &str, issuer: &str) -> Cause {
        let kid = self.header("kid").and_then(Json::text).unwrap_or("none");
        match reason {
            RefusalReason::IssuerMissing => {
                Cause::new("iss_missing", "claims.iss", "the token has no `iss`")
            }
            RefusalReason::IssuerUrl => {
                let iss = self.claim("iss").and_then(Json::text).unwrap_or(issuer);
                let text = format!(
                    "`iss` is {iss}; it must be an absolute URL, for the discovery document is found by it"
                );
                Cause::new("issuer_url", "claims.iss", text)
            }
            RefusalReason::TimeRange => {
                let late = ["exp", "iat", "nbf"].into_iter().find(|name| {
                    let at = self.claim(name).and_then(Json::seconds);
                    at.is_some_and(|at| at.unsigned_abs() > 100_000_000_000)
                });
                let name = late.unwrap_or("exp");
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
            RefusalReason::Algorithm => self.algorithm(),
            RefusalReason::Key => self.key(detail),
            RefusalReason::Signature => {
                let text = format!("the signature was not made by the key `{kid}` of this set");
                Cause::new("signature", "signature", text)
            }
            RefusalReason::Expired => Cause::new("expired", "claims.exp", "the token has expired"),
            RefusalReason::NotYet => {
                let at = |name: &str| self.claim(name).and_then(Json::seconds);
                let name = if at("nbf") > at("iat") { "nbf" } else { "iat" };
                let text = format!("`{name}` lies in the future");
                Cause::new("not_yet", &format!("claims.{name}"), text)
            }
            RefusalReason::ClaimMissing(name) => {
                let text = format!("the token has no `{name}`");
                Cause::new("claim_missing", &format!("claims.{name}"), text)
            }
            RefusalReason::Audience => {
                let text = format!("`aud` is {}; exactly one audience is taken", self.shown("aud"));
                Cause::new("aud_many", "claims.aud", text)
            }
            RefusalReason::Header => self.unsupported(detail),
            _ => Cause::new("other", "token", detail),
        }
    }

    fn shown(&self, claim: &str) -> String {
        self.claim(claim).map_or_else(|| "missing".to_owned(), Json::to_string)
    }

    fn provider(&self, issuer: &str, audience: Option<&str>, detail: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        let iss = self.claim("iss").and_then(Json::text).unwrap_or_default();
        if !same_issuer(iss, issuer) {
            let text = format!("the token's `iss` is {iss}, the provider's {issuer}");
            causes.push(Cause::new("issuer", "claims.iss", text));
        }
        if let Some(wanted) = audience {
            let has = match self.claim("aud") {
                Some(Json::Array(list)) => list.iter().any(|one| one.text() == Some(wanted)),
                Some(one) => one.text() == Some(wanted),
                None => false,
            };
            if self.claim("aud").is_none() {
                let text = "the token has no `aud`, and the provider has an `applicationID`";
                causes.push(Cause::new("aud_missing", "claims.aud", text));
            } else if !has {
                let text =
                    format!("the token's `aud` is {}, the provider's {wanted}", self.shown("aud"));
                causes.push(Cause::new("audience", "claims.aud", text));
            }
        }
        if causes.is_empty() {
            causes.push(Cause::new("other", "token", detail));
        }
        causes
    }

    /// The claims cannot be read, or are not the claims of an ID token.
    fn payload(&self, detail: &str) -> Vec<Cause> {
        let Some(claims) = &self.claims else { return self.form(detail) };
        let mut causes = Vec::new();
        let at = |name: &str| format!("claims.{name}");
        for name in claims.duplicates() {
            causes.push(Cause::new("claim_type", &at(name), format!("`{name}` occurs twice")));
        }
        for (name, value) in claims.members() {
            let wanted = match &**name {
                "iss" | "sub" | "jti" if !value.is_null() && value.text().is_none() => "a string",
                "aud" if !value.is_null() && value.text().is_none() && value.texts().is_none() => {
                    "a string or a list of strings"
                }
                "exp" | "nbf" | "iat" if !value.is_null() && value.seconds().is_none() => {
                    "a number of seconds"
                }
                name => match standard_claims::mistyped(name, value) {
                    Some(wanted) => wanted,
                    None => continue,
                },
            };
            let text = format!("`{name}` is {}, not {wanted}", value.kind());
            causes.push(Cause::new("claim_type", &at(name), text));
        }
        if causes.is_empty() {
            for name in ["iss", "sub", "aud", "exp", "iat"] {
                if claims.get(name).is_some_and(Json::is_null) {
                    let text = format!("`{name}` is null");
                    causes.push(Cause::new("claim_type", &at(name), text));
                } else if claims.get(name).is_none() && detail.contains(name) {
                    let text = format!("the token has no `{name}`");
                    causes.push(Cause::new("claim_missing", &at(name), text));
                }
            }
        }
        if causes.is_empty() {
            // If the crate rejects a claim for another reason, its message names the claim.
            let named = |name: &str| {
                let base = name.split('#').next().unwrap_or(name);
                detail.contains(&format!("`{base}`"))
            };
            let found = claims.members().iter().find(|(name, _)| named(name));
            return match found {
                Some((name, _)) => vec![Cause::new("claim_type", &at(name), detail)],
                None => self.form(detail),
            };
        }
        causes
    }

    fn form(&self, detail: &str) -> Vec<Cause> {
        let cause = if self.parts != 3 {
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
        };
        vec![cause]
    }

    fn kid_unknown(&self) -> Cause {
        let alg = self.header("alg").and_then(Json::text).unwrap_or("none");
        let known: Vec<_> = self.keys.iter().filter_map(|k| k.get("kid")?.text()).collect();
        let listed = match known.as_slice() {
            [] => "no `kid` at all".to_owned(),
            kids if kids.len() > MANY => {
                format!("{} and {} more", kids[..MANY].join(", "), kids.len() - MANY)
            }
            kids => kids.join(", "),
        };
        let text = match self.header("kid").and_then(Json::text) {
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

    fn algorithm(&self) -> Cause {
        let taken = self.taken.join(" or ");
        let alg = self.header("alg").and_then(Json::text).unwrap_or("none");
        if !self.taken.contains(&alg) {
            let text = format!("the token is signed with {alg}, the provider takes {taken}");
            return Cause::new("alg", "header.alg", text);
        }
        let kid = self.header("kid").and_then(Json::text).unwrap_or("none");
        let key = self.keys.iter().find(|k| k.get("kid").and_then(Json::text) == Some(kid));
        let member = |name: &str| key.and_then(|k| k.get(name)?.text()).unwrap_or("none");
        let text = format!(
            "the key `{kid}` is {} with `alg` {}, the provider takes {taken}",
            member("kty"),
            member("alg")
        );
        Cause::new("key_alg", "header.kid", text)
    }

    /// The key that the token's `kid` names, and what is wrong with it.
    fn key(&self, detail: &str) -> Cause {
        let kid = self.header("kid").and_then(Json::text);
        let names = |key: &&Json| kid.is_none() || key.get("kid").and_then(Json::text) == kid;
        let at = self.keys.iter().position(|key| names(&key));
        let found = at.and_then(|i| {
            let causes = key::faults(&self.keys[i], &format!("$.keys[{i}]"));
            causes.into_iter().next()
        });
        found.unwrap_or_else(|| Cause::new("key", "header.kid", detail))
    }

    fn unsupported(&self, detail: &str) -> Cause {
        if let Some(typ) = self.header("typ").filter(|typ| {
            let plain = |t: &str| ["jwt", "jose"].contains(&t.trim_start_matches("application/"));
            !typ.text().is_some_and(|t| plain(&t.to_ascii_lowercase()))
        }) {
            let text = format!("`typ` is {typ}; JWT or nothing is taken");
            return Cause::new("typ", "header.typ", text);
        }
        for name in ["cty", "crit"] {
            if self.header(name).is_some() {
                let text = format!("the header has a `{name}`, which is not taken");
                return Cause::new(name, &format!("header.{name}"), text);
            }
        }
        Cause::new("other", "header", detail)
    }
}
