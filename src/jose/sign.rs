//! The local signing key and the one signature this program makes.
