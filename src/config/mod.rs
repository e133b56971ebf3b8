//! The configuration: TOML as written, then checked types.
