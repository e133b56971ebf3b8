//! Any text as a compact JWS: no panic, padded or not.
#![no_main]

use countersign_core::jose::jws::CompactJws;
use countersign_core::jose::names::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    for padded in [false, true] {
        if let Ok(jws) = CompactJws::parse(token, &Limits::default(), padded) {
            let _ = (jws.unverified_issuer(), jws.unverified_header());
        }
    }
});
