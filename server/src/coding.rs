//! Decodes content codings (RFC 9110 §8.4.1) within a limit, so a decompression bomb costs no more than that.

use std::borrow::Cow;
use std::io::Read;

/// The codings to ask for, as an `Accept-Encoding` field. ([`decode`] knows `deflate` too, but we do not ask
/// for it: servers disagree on what it is.)
pub const ACCEPTED: &str = "gzip, br, zstd";
/// Most codings applied to one body; real servers use one.
const MAX_CODINGS: usize = 2;

/// Why a body cannot be read as its codings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodingError {
    /// A coding unknown here, or more than two.
    Unknown,
    /// The bytes do not decode.
    Corrupt,
    /// The decoded bytes would exceed the limit.
    TooLarge,
}

/// Decodes the codings of a `Content-Encoding` field, within `limit` bytes at each step.
///
/// # Errors
/// [`CodingError`].
pub fn decode<'a>(
    body: &'a [u8],
    codings: &str,
    limit: usize,
) -> Result<Cow<'a, [u8]>, CodingError> {
    let codings: Vec<_> = names(codings).collect();
    if codings.len() > MAX_CODINGS {
        return Err(CodingError::Unknown);
    }
    let mut bytes = Cow::Borrowed(body);
    for coding in codings.iter().rev() {
        let decoded = match coding.to_ascii_lowercase().as_str() {
            "identity" => continue,
            "gzip" | "x-gzip" => gzip(&bytes, limit)?,
            "deflate" => deflate(&bytes, limit)?,
            "br" => bounded(brotli::Decompressor::new(&bytes[..], 4096), limit)?,
            "zstd" => bounded(zstd_decoder(&bytes)?, limit)?,
            _ => return Err(CodingError::Unknown),
        };
        bytes = Cow::Owned(decoded);
    }
    Ok(bytes)
}

/// A document, decoded as far as its codings are known.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    pub body: Cow<'a, [u8]>,
    /// A name in `Content-Encoding` that is not a coding (`UTF-8`, `aws-chunked`): treated as identity.
    pub unknown: Option<String>,
}

/// Like [`decode`], for a document that shows by itself whether it is decoded. An unknown coding is ignored,
/// as most clients do, and gzip is recognised by its first bytes if no field names it.
///
/// # Errors
/// [`CodingError`].
pub fn decode_document<'a>(
    body: &'a [u8],
    codings: &str,
    limit: usize,
) -> Result<Decoded<'a>, CodingError> {
    let (mut known, unknown): (Vec<_>, Vec<_>) = names(codings).partition(|name| is_known(name));
    known.retain(|name| !name.eq_ignore_ascii_case("identity"));
    let mut decoded = decode(body, &known.join(","), limit)?;
    // No text begins with these bytes.
    if decoded.starts_with(&GZIP) {
        decoded = Cow::Owned(gzip(&decoded, limit)?);
    }
    let unknown = unknown.first().map(|name| name.chars().take(40).collect());
    Ok(Decoded { body: decoded, unknown })
}

fn names(codings: &str) -> impl Iterator<Item = &str> {
    codings.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn is_known(coding: &str) -> bool {
    const KNOWN: [&str; 6] = ["identity", "gzip", "x-gzip", "deflate", "br", "zstd"];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(coding))
}

/// RFC 1952 §2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Decodes every member. Zero bytes after the last are padding, as for gzip(1).
fn gzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut member = flate2::bufread::GzDecoder::new(rest);
        out.extend(bounded(&mut member, limit - out.len())?);
        rest = member.into_inner();
        if rest.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    Ok(out)
}

/// With the window of 8 MiB that RFC 9659 §3 allows: a frame of a few bytes could ask for 128 MiB otherwise.
fn zstd_decoder(bytes: &[u8]) -> Result<impl Read + '_, CodingError> {
    let corrupt = |_| CodingError::Corrupt;
    let mut decoder = zstd::stream::read::Decoder::new(bytes).map_err(corrupt)?;
    decoder.window_log_max(23).map_err(corrupt)?;
    Ok(decoder)
}

/// RFC 9110 §8.4.1.2 means the zlib format, but some servers send raw deflate data.
fn deflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    match bounded(flate2::read::ZlibDecoder::new(bytes), limit) {
        Err(CodingError::Corrupt) => bounded(flate2::read::DeflateDecoder::new(bytes), limit),
        decoded => decoded,
    }
}

fn bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(most).read_to_end(&mut out).map_err(|_| CodingError::Corrupt)?;
    if out.len() > limit { Err(CodingError::TooLarge) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_coding_is_decoded() {
        let text = b"{\"access_token\":\"x\"}".repeat(20);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&text).unwrap();
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 3, 20).write_all(&text).unwrap();
        let zst = zstd::encode_all(&text[..], 1).unwrap();
        for (body, codings) in [
            (gzipped(&text), "gzip"),
            (gzipped(&text), "X-GZIP"),
            (zlib.finish().unwrap(), "deflate"),
            (raw.finish().unwrap(), "deflate"),
            (br, "br"),
            (zst.clone(), "zstd"),
            (gzipped(&zst), "zstd, gzip"),
            (text.clone(), "identity"),
        ] {
            assert_eq!(decode(&body, codings, 4096).as_deref(), Ok(&text[..]), "{codings}");
        }
    }

    #[test]
    fn a_document_is_decoded_whatever_its_field_says() {
        let text = b"{\"keys\":[]}".to_vec();
        let zipped = gzipped(&text);
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 3, 20).write_all(&text).unwrap();
        for (body, codings, unknown) in [
            (&text, "", None),
            (&text, "UTF-8", Some("UTF-8")),
            (&text, "aws-chunked", Some("aws-chunked")),
            (&text, "none", Some("none")),
            (&text, "identity,identity , identity", None),
            (&zipped, "gzip,aws-chunked", Some("aws-chunked")),
            // Two lines of the field, one of them blank.
            (&br, ",br", None),
            (&zipped, ",gzip", None),
            (&zipped, "", None),
            (&[zipped.clone(), vec![0; 16]].concat(), "gzip", None),
        ] {
            let decoded = decode_document(body, codings, 4096).unwrap();
            assert_eq!(&decoded.body[..], &text[..], "{codings}");
            assert_eq!(decoded.unknown.as_deref(), unknown, "{codings}");
        }
        let two = [zipped.clone(), zipped.clone()].concat();
        assert_eq!(decode(&two, "gzip", 4096).unwrap().len(), 2 * text.len());
        for tail in [&b"x"[..], b"\0x", &zipped[..5]] {
            let cut = [&zipped[..], tail].concat();
            assert_eq!(decode(&cut, "gzip", 4096), Err(CodingError::Corrupt), "{tail:?}");
        }
        // The limit applies to all members together, and to gzip that no field names.
        let bomb = gzipped(&vec![b' '; 3000]);
        let bombs = [bomb.clone(), bomb].concat();
        assert_eq!(decode(&bombs, "gzip", 4096), Err(CodingError::TooLarge));
        assert_eq!(decode_document(&bombs, "", 4096), Err(CodingError::TooLarge));
        assert_eq!(decode_document(&text, "gzip", 4096), Err(CodingError::Corrupt));
    }

    #[test]
    fn a_bomb_an_unknown_coding_and_corrupt_bytes_are_refused() {
        let bomb = gzipped(&vec![0; 1 << 20]);
        assert!(bomb.len() < 65536);
        assert_eq!(decode(&bomb, "gzip", 65536), Err(CodingError::TooLarge));
        assert_eq!(decode(b"x", "compress", 10), Err(CodingError::Unknown));
        // A frame of one raw block, "x", that asks for a window of 64 MiB (RFC 8878 §3.1.1.1.2).
        let greedy = b"\x28\xb5\x2f\xfd\x00\x80\x09\x00\x00x";
        assert_eq!(decode(greedy, "zstd", 10), Err(CodingError::Corrupt));
        let modest = b"\x28\xb5\x2f\xfd\x00\x58\x09\x00\x00x";
        assert_eq!(decode(modest, "zstd", 10).as_deref(), Ok(&b"x"[..]));
        assert_eq!(decode(b"not gzip", "gzip", 10), Err(CodingError::Corrupt));
        let three = decode(b"x", "identity, identity, identity", 10);
        assert_eq!(three, Err(CodingError::Unknown));
    }
}
