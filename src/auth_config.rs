//! `convex/auth.config.ts` for tokens that come through the proxy, as `init` prints it and the status
//! page shows it.

// A string as JSON, TypeScript and TOML write it.
use crate::jose::json::quote as quoted;

/// The example address for a proxy whose public URL is not known.
pub const EXAMPLE_URL: &str = "https://login.example.com";

/// One `customJwt` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// `iss` of the tokens.
    pub issuer: String,
    /// Where the proxy serves the key set.
    pub jwks_path: String,
    /// Our signature algorithm.
    pub algorithm: String,
    /// `aud` of the tokens, as far as it is known.
    pub audience: Option<String>,
}

/// The whole file. Without `public_url` it has the example address, marked as one.
pub fn file(providers: &[Provider], public_url: Option<&str>) -> String {
    let providers: String = providers.iter().map(|one| provider(one, public_url)).collect();
    format!(
        "import type {{ AuthConfig }} from \"convex/server\";\n\nexport default {{\n  providers: [\n\
         {providers}  ],\n}} satisfies AuthConfig;\n"
    )
}

fn provider(provider: &Provider, public_url: Option<&str>) -> String {
    let Provider { issuer, jwks_path, algorithm, audience } = provider;
    let public = public_url.unwrap_or(EXAMPLE_URL).trim_end_matches('/');
    let change_url = match public_url {
        Some(_) => "",
        None => " // where this proxy is reached from the internet: change it",
    };
    let change_audience = if audience.is_some() { "" } else { ": change it" };
    format!(
        r#"    {{
      type: "customJwt",
      issuer: {issuer}, // the `iss` of your tokens: `countersign inspect TOKEN` shows it
      jwks: {jwks},{change_url}
      algorithm: {algorithm},
      applicationID: {audience}, // the `aud` of your tokens{change_audience}
    }},
"#,
        issuer = quoted(issuer),
        jwks = quoted(&format!("{public}{jwks_path}")),
        algorithm = quoted(algorithm),
        audience = quoted(audience.as_deref().unwrap_or("my-app")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_marked() {
        let known = Provider {
            issuer: "https://auth.example.com".into(),
            jwks_path: "/jwks".into(),
            algorithm: "RS256".into(),
            audience: Some("a\"b".into()),
        };
        let text = file(std::slice::from_ref(&known), Some("https://proxy.example.com/"));
        assert!(text.contains("jwks: \"https://proxy.example.com/jwks\",\n"), "{text}");
        assert!(text.contains(r#"applicationID: "a\"b", // the `aud`"#), "{text}");
        assert!(!text.contains("change it"), "{text}");
        let text = file(&[known.clone(), Provider { audience: None, ..known }], None);
        assert_eq!(text.matches("change it").count(), 3, "{text}");
    }
}
