//! Any bytes as a body with up to two content codings: decoding never exceeds its limit.
#![no_main]

use countersign::coding::{decode, decode_document};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64 * 1024;
const CODINGS: [&str; 8] =
    ["", "gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate", "aws-chunked, gzip"];

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let codings = CODINGS[usize::from(*first) % CODINGS.len()];
    let within = |decoded: &[u8]| decoded.len() <= LIMIT.max(body.len());
    assert!(decode(body, codings, LIMIT).map_or(true, |decoded| within(&decoded)));
    if let Ok(document) = decode_document(body, codings, LIMIT) {
        assert!(within(&document.body));
    }
});
