//! Outgoing HTTP: the one module that builds clients, and the one check of the addresses they dial.
//!
//! | file | what |
//! |---|---|
//! | [`address`] | the table of IP classes, and what a client may dial |
//! | [`dns`] | names to addresses, held to that table |
//! | [`tls`] | roots, client certificate, verification |
//! | [`client`] | a client, its limits, and the check on addresses written in a URL |
//! | [`error`] | what can go wrong, each with a stable code |

pub mod address;
pub mod client;
pub mod dns;
pub mod error;
pub mod tls;

pub use self::address::{AddressRefused, Class, Reach};
pub use self::client::{ClientSettings, HttpClient};
pub use self::error::FetchError;
pub use self::tls::TlsOptions;
