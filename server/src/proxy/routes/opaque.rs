//! Exchange of opaque tokens and sessions, both off by default. An opaque token is introspected
//! (RFC 7662). A session cookie or an opaque bearer token is sent to a URL of the auth server, and
//! the answer becomes the claims. Nothing is cached: the auth server is asked each time whether the
//! token is still valid.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header;
use reqwest::RequestBuilder;
use serde_json::{Map, Value};

use crate::bridge::{Bridge, BridgeError, Bridged};
use crate::clock::Clock;
use crate::coding::{self, CodingError};
use crate::dns::Resolver;
use crate::jose::asserted::{AssertedClaims, AssertionRules};
use crate::jose::names::IssuerName;
use crate::jose::policy::IssuerPolicy;
use crate::jose::refusal::Refusal;
use crate::net::client::joined;
use crate::net::{ClientSettings, FetchError, HttpClient, Reach, TlsOptions};
use crate::pipeline::Ask;
use crate::proxy::http::ServerSession;
use crate::proxy::settings::{ExchangeSettings, IntrospectionSettings, SessionSettings};

/// How long an exchange waits for the auth server. A user is waiting for the login, and a longer
/// delay counts as an outage.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// The configured exchanges for opaque tokens and sessions.
pub struct OpaqueExchange {
    client: HttpClient,
    bridge: Arc<Bridge>,
    clock: Clock,
    introspection: Vec<IntrospectionSettings>,
    session: Option<SessionSettings>,
}

impl OpaqueExchange {
    /// `None` where neither exchange is configured.
    ///
    /// # Errors
    /// Why no HTTP client could be made, as text.
    pub fn of(
        settings: &ExchangeSettings,
        ca: Option<&Path>,
        resolver: &Resolver,
        bridge: &Arc<Bridge>,
        clock: &Clock,
    ) -> Result<Option<Self>, String> {
        if settings.introspection.is_empty() && settings.session.is_none() {
            return Ok(None);
        }
        // Follow no redirects: a secret is sent to the configured address only. The operator
        // configured both addresses, so private ones are allowed.
        let client = ClientSettings {
            timeout: Some(TIMEOUT),
            tls: TlsOptions::with_ca(ca),
            ..ClientSettings::new(USER_AGENT, Reach { link_local: true, inside: true }, CONNECT)
        };
        let client = HttpClient::new(&client, resolver).map_err(|e| e.to_string())?;
        Ok(Some(Self {
            client,
            bridge: bridge.clone(),
            clock: clock.clone(),
            introspection: settings.introspection.clone(),
            session: settings.session.clone(),
        }))
    }

    /// The cookies of `session` that are sent to the auth server; `None` where there are none.
    pub fn cookies(&self, session: &ServerSession) -> Option<String> {
        let names = &self.session.as_ref()?.cookies;
        let lines = session.req_header().headers.get_all(header::COOKIE);
        // Other cookies may contain any bytes; the configured ones are text.
        let pairs = lines.iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
        let pairs = pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok());
        let is_configured = |pair: &&str| {
            let name = pair.split_once('=').map(|(name, _)| name.trim());
            pair.is_ascii() && name.is_some_and(|name| names.iter().any(|known| known == name))
        };
        let wanted: Vec<_> = pairs.filter(is_configured).collect();
        (!wanted.is_empty()).then(|| wanted.join("; "))
    }

    /// Exchanges an opaque token.
    pub async fn token(&self, token: &str, ask: &Ask<'_>) -> Result<Bridged, BridgeError> {
        if token.len() > self.bridge.limits.token || token.chars().any(char::is_control) {
            return Err(Refusal::Format.into());
        }
        let mut last = BridgeError::Refused(Refusal::Inactive);
        for settings in &self.introspection {
            match self.introspect(settings, token, ask).await {
                Err(error @ BridgeError::Refused(Refusal::Inactive)) => last = error,
                other => return other,
            }
        }
        match &self.session {
            Some(session) if session.bearer => {
                let request = self.client.get(session.url.clone()).bearer_auth(token);
                self.by_session(session, request, ask).await
            }
            _ => Err(last),
        }
    }

    /// Exchanges a session that the request's cookies identify.
    pub async fn session(&self, cookies: &str, ask: &Ask<'_>) -> Result<Bridged, BridgeError> {
        let session = self.session.as_ref().ok_or(BridgeError::IssuerUnknown)?;
        let request = self.client.get(session.url.clone()).header(header::COOKIE, cookies);
        self.by_session(session, request, ask).await
    }

    async fn introspect(
        &self,
        settings: &IntrospectionSettings,
        token: &str,
        ask: &Ask<'_>,
    ) -> Result<Bridged, BridgeError> {
        let issuer = self.bridge.issuers.by_name(&settings.issuer);
        let policy = issuer.ok_or(BridgeError::IssuerUnknown)?.policy();
        let mut form = vec![("token", token), ("token_type_hint", "access_token")];
        let secret = settings.client_secret.expose();
        let mut request = self.client.post(settings.url.clone());
        if settings.credentials_in_body {
            form.push(("client_id", &settings.client_id));
            form.push(("client_secret", secret));
        } else {
            // Both are form-encoded before they go into the header (RFC 6749 §2.3.1).
            let encoded =
                |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(&settings.client_id), Some(encoded(secret)));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request =
            request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let answer = self.send(request).await?.map_err(|status| {
            tracing::warn!(
                status,
                url = %settings.url,
                "the introspection endpoint refused this proxy: check client_id and client_secret"
            );
            BridgeError::IntrospectionRefused(status)
        })?;
        let rules = AssertionRules {
            policy: &policy,
            audience: settings.audience.as_ref(),
            lifetime: settings.lifetime,
            now: self.clock.now(),
        };
        let claims = AssertedClaims::by_introspection(&answer, &rules, &self.bridge.limits)?;
        self.bridge.sign_asserted(claims, policy, ask).await
    }

    async fn by_session(
        &self,
        settings: &SessionSettings,
        request: RequestBuilder,
        ask: &Ask<'_>,
    ) -> Result<Bridged, BridgeError> {
        // Any status but 200 means that the session is not valid.
        let answer = self.send(request).await?.map_err(|_| Refusal::Inactive)?;
        let claims = configured_claims(&answer, settings).ok_or(Refusal::Payload)?;
        let issuer = self.bridge.issuers.by_iss(settings.issuer.as_str());
        let policy = issuer.map(|issuer| issuer.policy()).or_else(|| {
            let name = IssuerName::parse("session").ok()?;
            Some(Arc::new(IssuerPolicy::new(name, vec![settings.issuer.clone()])))
        });
        let policy = policy.ok_or(BridgeError::IssuerUnknown)?;
        let rules = AssertionRules {
            policy: &policy,
            audience: Some(&settings.audience),
            lifetime: settings.lifetime,
            now: self.clock.now(),
        };
        let claims = AssertedClaims::by_userinfo(&claims, &rules, &self.bridge.limits)?;
        self.bridge.sign_asserted(claims, policy, ask).await
    }

    /// The body of a `200`, or else the status.
    async fn send(&self, request: RequestBuilder) -> Result<Result<Vec<u8>, u16>, BridgeError> {
        let limit = self.bridge.limits.document;
        let unavailable = |error: FetchError| {
            tracing::warn!(code = error.code(), %error, "the request to the auth server failed");
            BridgeError::KeysUnavailable
        };
        let request = request.header(header::ACCEPT, "application/json");
        let mut response = self.client.send(request).await.map_err(unavailable)?;
        if response.status().is_server_error() {
            return Err(BridgeError::KeysUnavailable);
        }
        if response.status() != reqwest::StatusCode::OK {
            return Ok(Err(response.status().as_u16()));
        }
        let codings = joined(&response, &header::CONTENT_ENCODING);
        let too_large = || BridgeError::from(Refusal::TooLarge { limit });
        let body = self.client.body(&mut response, limit).await.map_err(|error| match error {
            FetchError::TooLarge { .. } => too_large(),
            error => unavailable(error),
        })?;
        match coding::decode(&body, &codings, limit) {
            Ok(decoded) => Ok(Ok(decoded.into_owned())),
            Err(CodingError::TooLarge) => Err(too_large()),
            Err(why) => {
                tracing::warn!(?why, codings, "the auth server's answer does not decode");
                Err(BridgeError::KeysUnavailable)
            }
        }
    }
}

/// Builds the configured claims from a session answer; `None` where it has no subject.
fn configured_claims(answer: &[u8], settings: &SessionSettings) -> Option<Vec<u8>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let mut claims = Map::new();
    for (claim, path) in &settings.claims {
        if let Some(value) = path.find(&answer).filter(|value| !value.is_null()) {
            claims.insert(claim.clone(), value.clone());
        }
    }
    let has_subject = claims.get("sub").is_some_and(|sub| sub.is_string() || sub.is_number());
    if !has_subject {
        return None;
    }
    // The answer must not override the configured claims.
    claims.insert("iss".into(), settings.issuer.as_str().into());
    claims.insert("aud".into(), settings.audience.as_str().into());
    for time in ["exp", "nbf", "iat"] {
        claims.remove(time);
    }
    serde_json::to_vec(&claims).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::jose::names::{Audience, Issuer};
    use crate::rewrite::JsonPath;

    #[test]
    fn an_answer_cannot_change_what_is_configured() {
        let path = |text| JsonPath::parse(text).unwrap();
        let settings = SessionSettings {
            url: "https://auth.example/session".parse().unwrap(),
            cookies: vec![],
            bearer: true,
            issuer: Issuer::parse("https://auth.example").unwrap(),
            audience: Audience::parse("app").unwrap(),
            lifetime: Duration::from_secs(300),
            claims: BTreeMap::from([
                ("sub".into(), path("user.id")),
                ("iss".into(), path("user.id")),
                ("exp".into(), path("exp")),
                ("email_verified".into(), path("user.ok")),
                ("role".into(), path(r"user.https://a\.example/role")),
            ]),
        };
        let answer =
            br#"{"user":{"id":"u","ok":true,"https://a.example/role":"x"},"exp":99999999999}"#;
        let claims = configured_claims(answer, &settings);
        let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
        let expected = serde_json::json!({
            "sub": "u", "iss": "https://auth.example", "aud": "app", "email_verified": true, "role": "x"
        });
        assert_eq!(claims, expected);
        // A session endpoint answers `null` when no user is logged in.
        for none in [&b"null"[..], br#"{"user":null}"#, br#"{"user":{"id":{}}}"#, b"x"] {
            assert_eq!(configured_claims(none, &settings), None);
        }
    }
}
