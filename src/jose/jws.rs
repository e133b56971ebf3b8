//! The compact serialisation, RFC 7515 §7.1, before anything is proven: what it holds is named
//! `unverified_…`.
