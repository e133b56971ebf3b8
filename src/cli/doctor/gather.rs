//! Fetches what an examination needs: the discovery document and the key set. If no key set is found, it
//! tries the usual addresses of one.

use std::collections::HashSet;
use std::path::Path;

use futures::future::join_all;
use url::Url;

use super::fetch::DoctorClient;
use super::ours;
use crate::cli::output::CliError;
use crate::clock::Clock;
use crate::doctor::Answer;
use crate::doctor::address::unreachable;
use crate::doctor::finding::{
    Case, FetchResult, Finding, Level, NoAnswer, Ours, Place, Question, Setup,
};
use crate::doctor::ours::refused_by;
use crate::issuer::discovery::PATHS;
use crate::jose::jwks;
use crate::jose::names::UnixTime;
use crate::jose::tree::Json;
use crate::proxy::routes::EXCHANGE;
use crate::verifier::convex::{discovery_url, same_issuer};
use crate::verifier::explain::{CLAIMS, text_member};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Where key sets usually are, below the address or at its origin.
const USUAL_PATHS: [&str; 14] = [
    "/.well-known/jwks.json",
    "/jwks",
    "/api/auth/jwks",
    "/oauth/jwks",
    "/oauth2/jwks",
    "/oidc/jwks",
    "/jwks.json",
    "/.well-known/openid-configuration/jwks",
    "/oauth/discovery/keys",
    "/oauth2/v1/keys",
    "/protocol/openid-connect/certs",
    "/auth/v1/.well-known/jwks.json",
    "/keys",
    "/certs",
];

pub(super) async fn gather(question: Question, client: &DoctorClient) -> Result<Case, CliError> {
    let given = address(&question.address)?;
    let token_iss = question.token.as_deref().and_then(|token| text_member(token, CLAIMS, "iss"));
    let is_jwks = names_a_key_set(&given);
    let base = issuer_of(&given);
    let mut notes = Vec::new();

    let mut issuer = match (&question.issuer, is_jwks) {
        (Some(issuer), _) => issuer.clone(),
        (None, false) => base.clone(),
        (None, true) => token_iss.clone().unwrap_or_else(|| given.origin().ascii_serialization()),
    };
    let first = match (given.query(), is_jwks) {
        (Some(query), false) => format!("{base}{WELL_KNOWN}?{query}"),
        _ => discovery_url(&with_scheme(&issuer)).unwrap_or_default(),
    };
    let found = client.get(&first).await;
    let has_query = given.query().is_some() && !is_jwks;
    if has_query {
        let title = format!(
            "the address has a query, `?{}`: an OIDC provider of Convex finds the discovery document \
             by `iss` alone and does not send it",
            given.query().unwrap_or_default()
        );
        let finding = Finding::new("address", Level::Note, title);
        notes.push(finding.fix("use a `customJwt` provider: its `jwks` may have a query"));
    }
    // The issuer may be down, or known only where the proxy runs: the proxy itself answers all the same.
    let is_silent = is_down(&found) && same_origin(&first, given.as_str());
    let proxy = !is_silent && is_countersign(&given, client).await;
    if question.issuer.is_none() && (has_query || proxy) {
        // The proxy's tokens keep the `iss` of the auth server, unless it is configured otherwise.
        issuer = stated_issuer(&found).unwrap_or(issuer);
    }
    let spelled = spelling(&issuer, &found, token_iss.as_deref());
    // The verifier builds the discovery URL from the token's `iss`, slash or not, without a query.
    let discovery = match discovery_url(&with_scheme(&spelled)) {
        Ok(url) if url != first && !is_down(&found) => client.get(&url).await,
        _ => found.clone(),
    };

    let announced = [&discovery, &found].into_iter().flatten().find_map(jwks_uri);
    // Without `public_url` a proxy passes on the `jwks_uri` of the auth server, not one of its own.
    let announced = announced.filter(|url| !proxy || same_origin(url, given.as_str()));
    let mut jwks_url = match (&announced, is_jwks) {
        (_, true) => given.to_string(),
        (Some(announced), false) => announced.clone(),
        (None, false) => format!("{}/.well-known/jwks.json", with_scheme(&base)),
    };
    let mut jwks = match &found {
        // The same server would not answer a second time either.
        Err(no_answer) if is_down(&found) && same_origin(&first, &jwks_url) => {
            Err(no_answer.clone())
        }
        _ => client.get(&jwks_url).await,
    };
    let discovery_jwks = match discovery.as_ref().ok().and_then(jwks_uri) {
        Some(url) if url != jwks_url => Some(client.get(&url).await),
        Some(_) => Some(jwks.clone()),
        None => None,
    };
    if announced.is_none() && !is_jwks && !is_key_set(&jwks) && !is_down(&jwks) {
        let iss = token_iss.as_deref().map(with_scheme);
        if let Some((url, answer)) = probe(&base, iss.as_deref(), client).await {
            let title = format!("the key set was found at {url}, by trying the usual addresses");
            notes.push(Finding::new("address", Level::Note, title));
            (jwks_url, jwks) = (url, Ok(answer));
        }
    }

    if let Some(no_answer) = first_private([&discovery, &found]) {
        let title = format!("the discovery document was not read: {}", no_answer.why);
        let finding = Finding::new("address", Level::Warning, title);
        notes.push(finding.fix("if you meant it, say so with `--allow-private`"));
    }
    let stated = [&discovery, &found].into_iter().any(|found| stated_issuer(found).is_some());
    if question.issuer.is_none() && token_iss.is_none() && !stated && !is_down(&jwks) {
        let title = format!(
            "`iss` of the tokens is taken to be {issuer}: give a `--token`, or `--issuer`, if it is another"
        );
        notes.push(Finding::new("address", Level::Note, title));
    }
    let mut unreachable_urls = Vec::new();
    for url in [&with_scheme(&issuer), &jwks_url] {
        if let (None, Some(why)) = (unreachable(url), client.unreachable_host(url).await) {
            unreachable_urls.push((url.clone(), why));
        }
    }
    let place = place(&given, &[&found, &jwks], proxy);
    notes.extend(place_note(place).map(|title| Finding::new("address", Level::Note, title)));
    let upstream = match is_jwks {
        true => given.origin().ascii_serialization(),
        false => base.clone(),
    };
    let now = Clock::system().now();
    // A server that did not answer, or that must not be asked, is not asked again.
    let lost = jwks.as_ref().err().filter(|no_answer| no_answer.is_down());
    let lost = lost.or_else(|| first_private([&jwks, &discovery]));
    let assess = async |issuer: &str| match lost {
        Some(no_answer) => Ours { setup: Setup::None, read: Err(no_answer.clone()) },
        None => ours::assess(&upstream, issuer, &jwks_url, client.resolver.clone()).await,
    };
    let mut actual_issuer = token_iss.unwrap_or_else(|| spelled.clone());
    let mut ours = assess(&actual_issuer).await;
    if actual_issuer != spelled && !signed(&ours, question.token.as_deref(), now) {
        actual_issuer.clone_from(&spelled);
        ours = assess(&spelled).await;
    }
    Ok(Case {
        question,
        issuer,
        spelled,
        actual_issuer,
        jwks_url,
        jwks,
        discovery,
        discovery_jwks,
        now,
        unreachable: unreachable_urls,
        place,
        ours,
        notes,
    })
}

/// Whether one of these keys signed the token, which may be refused for another reason.
fn signed(ours: &Ours, token: Option<&str>, now: UnixTime) -> bool {
    let (Ok(read), Some(token)) = (&ours.read, token) else { return false };
    let refusal = refused_by(read, token, now);
    // Refusals by checks that come after that of the signature.
    refusal.is_none_or(|cause| {
        ["exp", "nbf", "iat", "aud", "client", "sub", "sender", "tenant"]
            .iter()
            .any(|kind| cause.code.starts_with(kind))
    })
}

/// Parses the address argument.
fn address(text: &str) -> Result<Url, CliError> {
    const HINT: &str = "give the issuer, https://auth.example.com, or the address of its JWKS";
    if text.starts_with("file:") || Path::new(text).is_file() {
        let path = text.trim_start_matches("file://");
        let hint =
            format!("`countersign normalize {path}` says what is wrong with a key set in a file");
        let why = "this is a file, and a verifier fetches by https";
        return Err(CliError::new(text, why).hint(hint));
    }
    // These are file names, not hosts.
    let is_json = !text.contains('/') && Path::new(text).extension().is_some_and(|e| e == "json");
    if !text.contains("://") && (is_json || text.starts_with(['.', '/', '~'])) {
        return Err(CliError::new(text, "there is no such file").hint(HINT));
    }
    let url = Url::parse(&with_scheme(text)).map_err(|e| CliError::new(text, e))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(CliError::new(text, "this is not an http or https address").hint(HINT)),
    }
}

pub(super) fn with_scheme(text: &str) -> String {
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

/// The issuer that `url` means: without the discovery path, the query, the fragment and the slash that
/// parsing adds.
fn issuer_of(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text = url.as_str();
    let text = text.strip_suffix(WELL_KNOWN).unwrap_or(text);
    text.trim_end_matches('/').to_owned()
}

fn names_a_key_set(url: &Url) -> bool {
    let last = url.path().rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    ["jwk", "keys", "certs", "token_key"].iter().any(|name| last.contains(name))
        || (last.ends_with(".json") && !url.path().ends_with(WELL_KNOWN))
}

/// `iss` as the tokens spell it: from the token, else from the discovery document, if it differs from
/// `issuer` in scheme and slash at most; else `issuer`.
fn spelling(issuer: &str, found: &FetchResult, token: Option<&str>) -> String {
    let stated = [token.map(str::to_owned), stated_issuer(found)];
    let same = stated.into_iter().flatten().find(|iss| same_issuer(iss, issuer));
    same.unwrap_or_else(|| issuer.to_owned())
}

/// `issuer` of a discovery document.
fn stated_issuer(found: &FetchResult) -> Option<String> {
    found.as_ref().ok().and_then(|answer| member(answer, "issuer"))
}

fn member(answer: &Answer, name: &str) -> Option<String> {
    Json::parse(&answer.body).ok()?.get(name)?.text().map(str::to_owned)
}

/// `jwks_uri` of an answer with status 200, if it is an http or https URL.
fn jwks_uri(answer: &Answer) -> Option<String> {
    let uri = member(answer, "jwks_uri").filter(|_| answer.status == 200)?;
    matches!(Url::parse(&uri).ok()?.scheme(), "http" | "https").then_some(uri)
}

fn same_origin(a: &str, b: &str) -> bool {
    match (Url::parse(a), Url::parse(b)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin(),
        _ => false,
    }
}

fn is_down(fetched: &FetchResult) -> bool {
    fetched.as_ref().is_err_and(NoAnswer::is_down)
}

fn first_private(fetched: [&FetchResult; 2]) -> Option<&NoAnswer> {
    fetched.into_iter().filter_map(|fetched| fetched.as_ref().err()).find(|e| e.is_private())
}

/// Whether it is a key set in any shape. An answer with another status than 200 is an error page.
fn is_key_set(fetched: &FetchResult) -> bool {
    let has_keys = |body: &[u8]| {
        jwks::normalize(body, &jwks::Options::default())
            .is_ok_and(|read| !read.keys.keys().is_empty())
    };
    fetched.as_ref().is_ok_and(|answer| answer.status == 200 && has_keys(&answer.body))
}

/// Looks for the key set at the given address, at its origin and at the token's issuer: first where their
/// discovery documents say, then at the usual paths.
async fn probe(
    base: &str,
    token_iss: Option<&str>,
    client: &DoctorClient,
) -> Option<(String, Answer)> {
    let origin = Url::parse(base).ok()?.origin().ascii_serialization();
    let iss = token_iss.map(|iss| iss.trim_end_matches('/')).filter(|iss| Url::parse(iss).is_ok());
    let mut roots = vec![base, &origin];
    roots.extend(iss);
    let mut tried = HashSet::new();
    roots.retain(|root| tried.insert(*root));
    let documents = roots.iter().flat_map(|root| PATHS.map(|path| format!("{root}{path}")));
    let answers = join_all(documents.map(|url| async move { client.get(&url).await })).await;
    let announced = answers.iter().flatten().filter_map(jwks_uri);
    let usual = roots.iter().flat_map(|root| USUAL_PATHS.map(|path| format!("{root}{path}")));
    let mut tried = HashSet::new();
    let urls = announced.chain(usual).filter(|url| tried.insert(url.clone()));
    // A few at a time, to spare the server.
    for urls in urls.collect::<Vec<_>>().chunks(6) {
        let answers = join_all(urls.iter().map(|url| client.get(url))).await;
        let mut found = urls.iter().zip(answers).filter(|(_, fetched)| is_key_set(fetched));
        if let Some((url, Ok(answer))) = found.next() {
            return Some((url.clone(), answer));
        }
    }
    None
}

/// Whether the server has the exchange endpoint: only countersign has it.
async fn is_countersign(given: &Url, client: &DoctorClient) -> bool {
    let exchange = format!("{}{EXCHANGE}", given.origin().ascii_serialization());
    client.get(&exchange).await.is_ok_and(|answer| {
        answer.status == 405 && member(&answer, "code").as_deref() == Some("method_not_allowed")
    })
}

fn place(given: &Url, answers: &[&FetchResult], proxy: bool) -> Place {
    let host = given.host_str().unwrap_or_default();
    if host.ends_with(".convex.cloud") {
        return Place::ConvexCloud;
    }
    if answers.iter().all(|fetched| is_down(fetched)) {
        return Place::AuthServer;
    }
    if proxy {
        return Place::Countersign;
    }
    let is_page = |answer: &Answer| {
        let content_type = answer.content_type.as_deref().unwrap_or_default();
        answer.status == 200
            && content_type.to_ascii_lowercase().starts_with("text/html")
            && answer.body.trim_ascii_start().starts_with(b"<")
    };
    if answers.iter().all(|fetched| fetched.as_ref().is_ok_and(is_page)) {
        return Place::WebApp;
    }
    match host.ends_with(".convex.site") {
        true => Place::ConvexSite,
        false => Place::AuthServer,
    }
}

fn place_note(place: Place) -> Option<&'static str> {
    Some(match place {
        Place::AuthServer => return None,
        Place::Countersign => "this is a countersign proxy",
        Place::ConvexCloud => {
            "this is the API of a Convex deployment, which issues no tokens; Convex Auth and Better \
             Auth inside Convex answer at the address that ends in .convex.site"
        }
        Place::ConvexSite => {
            "these are the HTTP actions of a Convex deployment: they are an issuer only where Convex \
             Auth or the Better Auth component runs in them"
        }
        Place::WebApp => "this is a web app: it answers every path with its page, status 200",
    })
}
