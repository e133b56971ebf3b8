//! The settings of the admin listener.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::setting::{self, Invalid, Listen, OneOrMany};

/// The admin listener: health, metrics, status page. `[admin]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Address of the admin listener, or `off`.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "String")]
    pub listen: Option<Listen>,
    /// Names a browser may reach it by, beside addresses, names without a dot and `localhost`.
    #[serde(with = "OneOrMany")]
    pub hosts: Vec<String>,
    /// `/readyz` says "not ready" after this time of nothing but failures of the auth server, or
    /// `never`; until then "degraded".
    #[serde(deserialize_with = "time_or_never")]
    #[schemars(with = "String", extend("default" = "60s"))]
    pub not_ready_after: Option<Duration>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)).into()),
            hosts: Vec::new(),
            not_ready_after: Some(Duration::from_secs(60)),
        }
    }
}

fn time_or_never<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    setting::text(from, |text| match text {
        "never" => Ok(None),
        _ => setting::duration(text).map(Some),
    })
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Listen>, D::Error> {
    setting::text(from, |text| match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|invalid: Invalid| {
            invalid.hint("write `127.0.0.1:9090`, or `off` for no admin listener")
        }),
    })
}
