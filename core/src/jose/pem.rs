//! PEM as it is found in practice (RFC 7468, leniently): several blocks in one text; line breaks
//! missing, doubled as `\n`, or of any length.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::x509::{self, DerCertificate, DerKey};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// After a label.
const DASHES: &str = "-----";

/// Whether a text contains a PEM block.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains(BEGIN)
}

/// The content of one block.
pub(super) enum Block {
    Certificate(DerCertificate),
    Key(DerKey),
    /// A private key: noticed, not read.
    Private,
    /// Curve parameters, which the key contains too.
    Parameters,
    Unreadable,
}

impl Block {
    pub(super) fn key(self) -> Option<DerKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Certificate(certificate) => certificate.key,
            Self::Private | Self::Parameters | Self::Unreadable => None,
        }
    }
}

/// Every block of a text, in order. A block without an end affects only itself.
pub(super) fn blocks(text: &str) -> impl Iterator<Item = Block> {
    text.split(BEGIN).skip(1).map(|piece| {
        let parts = piece
            .split_once(DASHES)
            .and_then(|(label, rest)| Some((label, rest.split_once(END)?.0)));
        match parts {
            Some((label, body)) => block(label, body).unwrap_or(Block::Unreadable),
            // Half of a private key is a leak too.
            None if piece.contains("PRIVATE KEY") => Block::Private,
            None => Block::Unreadable,
        }
    })
}

/// How many blocks start in a text.
pub(super) fn count(text: &str) -> usize {
    text.matches(BEGIN).count()
}

/// The first key of a text that contains one key.
pub(super) fn first_key(text: &str) -> Option<DerKey> {
    blocks(text).find_map(Block::key)
}

fn block(label: &str, body: &str) -> Option<Block> {
    Some(match label {
        _ if label.ends_with("PRIVATE KEY") => Block::Private,
        "EC PARAMETERS" => Block::Parameters,
        "CERTIFICATE" | "X509 CERTIFICATE" => {
            Block::Certificate(x509::certificate(&decode(body)?)?)
        }
        "PUBLIC KEY" => Block::Key(x509::public_key_info(&decode(body)?)?),
        "RSA PUBLIC KEY" => {
            let der = decode(body)?;
            Block::Key(x509::rsa_public_key(&der).or_else(|| x509::public_key_info(&der))?)
        }
        _ => return None,
    })
}

/// Standard base64 with any white space in it, also escaped.
fn decode(body: &str) -> Option<Vec<u8>> {
    let body = body.replace("\\n", "").replace("\\r", "");
    let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    LENIENT.decode(compact).ok()
}

/// A certificate in an `x5c` (RFC 7517 §4.7): standard base64 of DER, and common variants.
pub(super) fn x5c_certificate(text: &str) -> Option<DerCertificate> {
    if is_pem(text) {
        return blocks(text).find_map(|block| match block {
            Block::Certificate(certificate) => Some(certificate),
            _ => None,
        });
    }
    x509::certificate(&decode_any(text)?)
}

/// The key of an `x5c` entry, which may also be the bare key info.
pub(super) fn x5c_key(text: &str) -> Option<DerKey> {
    match x5c_certificate(text) {
        Some(certificate) => certificate.key,
        None if is_pem(text) => None,
        None => x509::public_key_info(&decode_any(text)?),
    }
}

/// Either alphabet of base64.
fn decode_any(text: &str) -> Option<Vec<u8>> {
    decode(&text.replace('-', "+").replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = rcgen::CertificateParams::new(vec!["issuer.example".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn certificates(text: &str) -> usize {
        blocks(text).filter(|block| matches!(block, Block::Certificate(_))).count()
    }

    #[test]
    fn line_breaks_may_be_lost() {
        let pem = pem();
        assert_eq!(certificates(&pem), 1);
        assert_eq!(certificates(&pem.replace('\n', "")), 1);
        assert_eq!(certificates(&pem.replace('\n', " ")), 1);
        assert_eq!(certificates(&pem.replace('\n', "\\n")), 1);
        assert_eq!(certificates(&pem.replace('\n', "\r\n")), 1);
        assert_eq!(certificates(&format!("subject=x\n{pem}\nissuer=y\n{pem}")), 2);
    }

    #[test]
    fn a_broken_block_does_not_affect_the_others() {
        let pem = pem();
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB!!\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&format!("{broken}{pem}")), 1);
        assert_eq!(certificates(&pem[..pem.len() / 2]), 0);
        assert_eq!(certificates(&format!("{}{pem}", &pem[..pem.len() / 2])), 1);
        assert_eq!(certificates("-----BEGIN "), 0);
    }

    #[test]
    fn private_keys_are_noticed_and_not_read() {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
            assert!(matches!(blocks(&text).next(), Some(Block::Private)), "{label}");
        }
    }
}
