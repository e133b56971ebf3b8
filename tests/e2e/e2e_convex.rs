//! The documents' code for Convex's clients, under npm's `convex`: after a restart of the proxy every user is
//! still logged in, and a hook begins one login.

use crate::support::e2e;
use serde_json::json;

#[test]
fn convex_clients_outlive_a_restart_of_the_proxy() {
    let options = json!({ "binary": env!("CARGO_BIN_EXE_countersign") });
    let found = e2e::client("convex", &options).unwrap_or_else(|complaint| panic!("{complaint}"));
    assert_eq!(found, json!({ "outages": true, "hiccups": true, "refusal": true }));
}

#[test]
fn hooks_of_the_recipes_begin_one_login() {
    let found = e2e::client("hooks", &json!({})).unwrap_or_else(|complaint| panic!("{complaint}"));
    for issuer in ["logto", "keycloak"] {
        assert_eq!(found[issuer]["began"], 1, "{issuer}: {found}");
        assert_eq!(found[issuer]["tokens"].as_array().unwrap().len(), 2, "{issuer}: {found}");
    }
}
