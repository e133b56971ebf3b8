//! The pure pipeline: compact JWS in, verified, claims edited, signed again.
