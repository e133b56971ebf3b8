//! The three signature checks, on bare numbers as they stood in the key set.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

pub(super) fn rs256(n: &[u8], e: &[u8], message: &[u8], signature: &[u8]) -> bool {
    fn bare(number: &[u8]) -> &[u8] {
        let zeros = number.iter().take_while(|b| **b == 0).count();
        &number[zeros..]
    }
    let key = RsaPublicKeyComponents { n: bare(n), e: bare(e) };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
}

pub(super) fn es256(x: &[u8], y: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let point = [&[4], x, y].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
}

pub(super) fn ed25519(x: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok()
}
