//! Issuer × verifier, by running both: what each verifier says of each issuer's own token and key set, and of
//! the proxy's, with the recipe of `docs/issuers`. The results are in `tests/verifiers/found.json` and
//! `docs/matrix.md`; `UPDATE=1` writes both anew. A verifier whose language is not installed
//! (`scripts/install matrix`) is skipped, and keeps its results.

#![cfg(feature = "verifier")]

use crate::support::e2e;
use crate::support::table;
use std::collections::BTreeMap;

use crate::support::caches::{Caches, Lost};
use crate::support::cases::CASES;
use crate::support::e2e::decode;
use crate::support::judges::{Fed, KINDS, Question, Verifier};
use crate::support::recipe::{Alone, Case, Pair, SECRET};
use crate::support::table::{Cell, Found, WITHOUT_ORIGINAL};
use serde_json::json;

/// An environment variable that only this test reads.
fn switch(name: &str) -> Option<String> {
    std::env::vars().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Longest text of a verifier, in characters.
const LONGEST: usize = 320;

/// A verifier's text, without what differs from run to run.
fn words(said: Result<(), String>, addresses: &[(&str, &str)], token: &str) -> String {
    let Err(said) = said else { return String::new() };
    let mut text = said.replace(['\n', '\r', '`'], " ");
    if token.split('.').count() == 3 {
        let (header, _) = decode(token);
        text = text.replace(token, "the token");
        if let Some(kid) = header["kid"].as_str().filter(|kid| kid.len() > 3) {
            text = text.replace(kid, "KID");
        }
    }
    for (address, name) in addresses {
        text = text.replace(address, name);
    }
    // Cut repeated input, and addresses of objects in memory.
    for start in ["-----BEGIN", "{\"keys\"", "#<"] {
        let kept = text.split(start).next().unwrap_or_default().trim_end().len();
        if kept < text.len() {
            text.truncate(kept);
            text.push('…');
        }
    }
    // The issuer behind TLS, at another port.
    let there = text.find("https://127.0.0.1:");
    if let Some((at, rest)) = there.and_then(|at| Some((at, text[at + 18..].find('/')?))) {
        text.replace_range(at..at + 18 + rest, "ISSUER");
    }
    // Convex lists its algorithms in any order.
    if let Some((said, algorithms)) = text.split_once("is not one of: ") {
        let mut algorithms: Vec<_> = algorithms.split(", ").map(str::trim).collect();
        algorithms.sort_unstable();
        text = format!("{said}is not one of: {}", algorithms.join(", "));
    }
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ").replace('|', "/");
    let mut text: String = text.chars().take(LONGEST).collect();
    if text.chars().count() == LONGEST {
        text.push('…');
    }
    text
}

async fn row(case: &Case, verifiers: &mut [Verifier]) -> BTreeMap<String, Cell> {
    let alone = case.alone();
    let own = alone.token().await;
    let plain = case.pair(&case.recipe(), &alone).await;
    let provider = match case.as_openid_provider() {
        Some(recipe) => Some(case.pair(&recipe, &alone).await),
        None => None,
    };
    let mut after = vec![Side::of(&plain, &own).await];
    if let Some(provider) = &provider {
        after.push(Side::of(provider, &own).await);
    }
    let before = Side { issuer: alone.address(), jwks: alone.jwks(), token: own };

    let mut cells = BTreeMap::new();
    let mut without_original = None;
    for verifier in verifiers {
        if let (Fed::Login, Some(why)) = (verifier.kind.fed, case.no_login) {
            let none = format!("no login: {why}");
            cells.insert(verifier.kind.name.to_owned(), Cell { before: none.clone(), after: none });
            continue;
        }
        let said = before.asked(verifier, &alone).await;
        let addresses = [(alone.url(), "ISSUER"), (plain.proxy.url.as_str(), "PROXY")];
        let said_before = words(said, &addresses, &before.token);
        // A verifier configured with the issuer finds the key set at the address in `iss`: the proxy's.
        let sides = match verifier.kind.fed {
            Fed::Jwks => &after[..],
            _ => &after[after.len() - 1..],
        };
        let mut said_after = String::new();
        for side in sides {
            let said = side.asked(verifier, &alone).await;
            if let Err(why) = &said {
                eprintln!("{}, {}: {why}", case.name, verifier.kind.name);
            }
            let url = &provider.as_ref().unwrap_or(&plain).proxy.url;
            let addresses =
                [(alone.url(), "ISSUER"), (plain.proxy.url.as_str(), "PROXY"), (url, "PROXY")];
            said_after = words(said, &addresses, &side.token);
            if !said_after.is_empty() {
                break;
            }
        }
        let mut cell = Cell { before: said_before, after: said_after };
        // RFC 7515 §4: unknown header parameters are ignored. joserfc refuses one, and both joserfc and
        // Authlib refuse any header of more than 512 bytes.
        if cell.after.contains("'cso'") || cell.after.contains("Header size exceeds 512") {
            if without_original.is_none() {
                let recipe = case.as_openid_provider().unwrap_or_else(|| case.recipe());
                let pair = case.pair(&Case::without_original(&recipe), &alone).await;
                without_original = Some((Side::of(&pair, &before.token).await, pair));
            }
            let (side, _) = without_original.as_ref().unwrap();
            let said = side.asked(verifier, &alone).await;
            assert_eq!(said, Ok(()), "{}, {}", case.name, verifier.kind.name);
            cell.after = WITHOUT_ORIGINAL.to_owned();
        }
        cells.insert(verifier.kind.name.to_owned(), cell);
    }
    cells
}

/// An issuer and a token for a verifier.
struct Side {
    issuer: String,
    jwks: String,
    token: String,
}

impl Side {
    /// What the proxy issues, checked against its promises.
    async fn of(pair: &Pair<'_>, own: &str) -> Self {
        let token = pair.token().await;
        let (_, own_claims) = decode(own);
        let (header, claims) = decode(&token);
        assert_eq!(claims["iss"], pair.iss);
        assert_eq!(header["alg"], "RS256", "{header}");
        assert!(claims["iat"].is_i64(), "{claims}");
        // These are two tokens of one login, so only the lifetime is compared.
        let life = |claims: &serde_json::Value| claims["exp"].as_i64().unwrap();
        assert!(life(&claims) <= life(&own_claims) + 60, "{claims}");
        Self { issuer: pair.iss.clone(), jwks: pair.proxy.jwks(), token }
    }

    async fn asked(&self, verifier: &mut Verifier, alone: &Alone) -> Result<(), String> {
        let Self { issuer, jwks, token } = self;
        verifier.ask(&Question { issuer, jwks, audience: &alone.audience, token }).await
    }
}

#[tokio::test]
async fn each_verifier_accepts_each_issuer_through_the_proxy() {
    let mut verifiers = Vec::new();
    for kind in KINDS {
        match Verifier::start(kind, &[]).await {
            Some(verifier) => verifiers.push(verifier),
            None => eprintln!("{} is not installed: scripts/install matrix", kind.name),
        }
    }
    let kept = Found::read();
    let mut found = kept.clone();
    for verifier in &verifiers {
        found.versions.insert(verifier.kind.name.to_owned(), verifier.version.clone());
    }
    let only = switch("ISSUER");
    for case in CASES {
        if only.as_deref().is_some_and(|only| only != case.name) {
            continue;
        }
        if !case.is_there() {
            eprintln!("{} is not installed: scripts/install matrix", case.name);
            continue;
        }
        let cells = row(case, &mut verifiers).await;
        found.cells.entry(case.name.to_owned()).or_default().extend(cells);
    }
    for verifier in verifiers {
        verifier.end().await;
    }
    let refused: Vec<String> = found.refused().collect();
    if switch("UPDATE").is_some() {
        found.write();
        table::update();
    }
    assert!(refused.is_empty(), "refused through the proxy:\n{}", refused.join("\n"));
    let faults = found.differences(&Found::read());
    assert!(faults.is_empty(), "not what was found, run with UPDATE=1:\n{}", faults.join("\n"));
}

#[test]
fn the_page_tells_what_was_found() {
    let page = table::page(&Found::read(), &Caches::read(), &Lost::read());
    if switch("UPDATE").is_none() {
        assert_eq!(table::kept(), page, "docs/matrix.md is not what was found: run with UPDATE=1");
    }
}

#[tokio::test]
async fn a_shared_secret_opens_nothing_but_its_own_issuers_tokens() {
    for name in ["Supabase, old secret", "LINE"] {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let alone = case.alone();
        let pair = case.pair(&case.recipe(), &alone).await;
        let own = alone.token().await;
        pair.exchanged(&own).await;
        let (signed, _) = own.rsplit_once('.').unwrap();
        let (status, answer) = pair.proxy.exchange(&format!("{signed}.AAAA"), None).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{answer}");
        assert!(!answer.to_string().contains(signed), "no token in an error: {answer}");
        let (_, set) = e2e::get(&pair.proxy.jwks()).await;
        assert!(!set.contains("\"oct\"") && !set.contains(SECRET), "{set}");
        assert!(!pair.proxy.log().contains(SECRET));
    }
}
