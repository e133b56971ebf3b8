//! What the admin listener is told by the configuration.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::setting::{self, OneOrMany};

/// The admin listener: health, metrics, status page. `[admin]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSettings {
    /// Address of the admin listener, or `off`.
    #[serde(deserialize_with = "listen")]
    #[schemars(with = "String")]
    pub listen: Option<SocketAddr>,
    /// Names a browser may reach it by, beside addresses, names without a dot and `localhost`.
    #[serde(with = "OneOrMany")]
    pub hosts: Vec<String>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: Some(([127, 0, 0, 1], 9090).into()), hosts: Vec::new() }
    }
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    setting::text(from, |text| match text {
        "off" => Ok(None),
        _ => setting::listen_addr(text).map(Some).map_err(|invalid| {
            invalid.hint("write `127.0.0.1:9090`, or `off` for no admin listener")
        }),
    })
}
