//! The issuers of the matrix. Those in a package registry run themselves. The others are servers
//! written from observed tokens and answers (`tests/node/issuers/like.mjs`).

use super::recipe::Case;

const CASE: Case = Case {
    name: "",
    recipe: ("", 0),
    kind: "",
    trouble: "",
    spelling: None,
    jwks: "/none",
    no_login: None,
};

const NO_OPENID: Option<&str> = Some("it has no authorization endpoint");
/// The recipe has no upstream: users log in at the issuer, and exchange the token that they get.
const ELSEWHERE: Option<&str> =
    Some("it stays at the issuer, whose token is exchanged; nothing of it passes through");

const fn workos(name: &'static str, spelling: &'static str) -> Case {
    Case {
        name,
        recipe: ("docs/issuers/workos.md", 0),
        kind: "workos",
        trouble: "no `aud`",
        spelling: Some(spelling),
        no_login: NO_OPENID,
        ..CASE
    }
}

pub const CASES: &[Case] = &[
    Case {
        name: "oidc-provider",
        recipe: ("tests/recipes/oidc-provider.toml", 0),
        kind: "oidc-provider",
        trouble: "ES384",
        ..CASE
    },
    Case {
        name: "oauth2-mock-server",
        recipe: ("tests/recipes/oauth2-mock-server.toml", 0),
        kind: "oauth2-mock-server",
        trouble: "ES512",
        ..CASE
    },
    Case {
        name: "glewlwyd",
        recipe: ("tests/recipes/glewlwyd.toml", 0),
        kind: "glewlwyd",
        trouble: "ES512",
        ..CASE
    },
    Case {
        name: "Better Auth",
        recipe: ("docs/issuers/better-auth.md", 0),
        kind: "better-auth",
        trouble: "EdDSA",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Cloudflare Worker for Steam",
        recipe: ("docs/issuers/steam-worker.md", 0),
        kind: "steam-worker",
        trouble: "ES256, the set a bare array sent as text",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Logto",
        recipe: ("docs/issuers/logto.md", 0),
        kind: "logto",
        trouble: "ES384, `typ: at+jwt`",
        ..CASE
    },
    Case {
        name: "Logto, its endpoint the proxy",
        recipe: ("tests/recipes/logto-endpoint.toml", 0),
        kind: "logto",
        trouble: "ES384, `typ: at+jwt`",
        ..CASE
    },
    workos("WorkOS AuthKit, `iss` the bare origin", "https://api.workos.com"),
    workos("WorkOS AuthKit, with a slash", "https://api.workos.com/"),
    workos(
        "WorkOS AuthKit, `/user_management/…`",
        "https://api.workos.com/user_management/client_01EXAMPLE",
    ),
    workos("WorkOS AuthKit, `/sso/…`", "https://api.workos.com/sso/client_01EXAMPLE"),
    workos("WorkOS AuthKit, `/convex/…`", "https://api.workos.com/convex/client_01EXAMPLE"),
    Case {
        name: "Privy",
        recipe: ("docs/issuers/privy.md", 0),
        kind: "privy",
        trouble: "ES256, `iss` without a scheme",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "dynamic.xyz",
        recipe: ("tests/recipes/dynamic.toml", 0),
        kind: "dynamic",
        trouble: "`iss` without a scheme, an EdDSA key in the set",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Stytch",
        recipe: ("tests/recipes/stytch.toml", 0),
        kind: "stytch",
        trouble: "`iss` without a scheme",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Firebase",
        recipe: ("docs/issuers/firebase.md", 0),
        kind: "firebase",
        trouble: "certificates, kid → PEM",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "AWS ALB",
        recipe: ("docs/issuers/aws-alb.md", 0),
        kind: "aws-alb",
        trouble: "padded base64url, ES256, one PEM a kid, no `aud`, no `iat`",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Keycloak",
        recipe: ("docs/issuers/keycloak.md", 0),
        kind: "keycloak",
        trouble: "ES256, an encryption key under the same kid, two audiences",
        ..CASE
    },
    Case {
        name: "Zitadel",
        recipe: ("tests/recipes/zitadel.toml", 0),
        kind: "zitadel",
        trouble: "several audiences, keys without `alg`",
        ..CASE
    },
    Case {
        name: "Supabase",
        recipe: ("docs/issuers/supabase.md", 0),
        kind: "supabase",
        trouble: "ES256",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Supabase, old secret",
        recipe: ("docs/issuers/supabase.md", 1),
        kind: "supabase",
        trouble: "HS256, an empty key set",
        jwks: "/auth/v1/.well-known/jwks.json",
        no_login: NO_OPENID,
        ..CASE
    },
    Case {
        name: "Telegram",
        recipe: ("tests/recipes/telegram.toml", 0),
        kind: "telegram",
        trouble: "a key on secp256k1 in the set, keys without `use`",
        ..CASE
    },
    Case {
        name: "Kanidm",
        recipe: ("tests/recipes/kanidm.toml", 0),
        kind: "kanidm",
        trouble: "ES256, `typ: at+jwt`",
        ..CASE
    },
    Case {
        name: "Rauthy",
        recipe: ("tests/recipes/rauthy.toml", 0),
        kind: "rauthy",
        trouble: "EdDSA, `iss` with a slash",
        ..CASE
    },
    Case {
        name: "LINE",
        recipe: ("tests/recipes/line.toml", 0),
        kind: "line",
        trouble: "HS256 without a kid",
        jwks: "/oauth2/v2.1/certs",
        no_login: ELSEWHERE,
        ..CASE
    },
    Case {
        name: "Entra ID, several tenants",
        recipe: ("docs/issuers/entra-id.md", 0),
        kind: "entra",
        trouble: "an `iss` for each tenant, a template in discovery, keys without `alg`",
        no_login: ELSEWHERE,
        ..CASE
    },
];
