//! Any bytes as a discovery document: the rewritten text is a document again, with the requested values.
#![no_main]

use countersign_core::jose::alg::Alg;
use countersign_core::rewrite::TokenRule;
use countersign_core::rewrite::discovery::{self, DiscoveryRewrite, EndpointRewrite};
use countersign_core::rewrite::registration;
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|document: &[u8]| {
    let _ = registration::request(document, Alg::Rs256, &["ES384".to_owned()]);
    let unchanged = discovery::rewrite(document, &DiscoveryRewrite::default());
    if let Ok(unchanged) = unchanged {
        assert!(document.ends_with(&unchanged));
    }
    let Ok(found) = discovery::read(document) else { return };
    let upstream = Url::parse("http://127.0.0.1:3000/auth").expect("an address");
    let _ = TokenRule::defaults(&found, &upstream);
    let to = DiscoveryRewrite {
        jwks_uri: Some("https://p/jwks".into()),
        algs: vec![Alg::Rs256],
        issuer: Some("https://p".into()),
        endpoints: Some(EndpointRewrite::to_public(&found.issuer, &upstream, "https://p")),
    };
    let new = discovery::rewrite(document, &to).expect("it was read");
    let new = discovery::read(&new).expect("what was written is no document");
    assert_eq!(new.issuer, "https://p");
    assert_eq!(new.jwks_uri.as_deref(), Some("https://p/jwks"));
    if !found.id_token_signing_algs.is_empty() {
        assert_eq!(new.id_token_signing_algs[0], "RS256");
    }
});
