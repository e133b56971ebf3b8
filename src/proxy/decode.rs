//! Content codings (RFC 9110 §8.4.1) an upstream used although it was asked for none.

use std::io::Read;

/// Codings applied one over another that are undone; real servers use one.
const MOST_CODINGS: usize = 2;

/// Undoes the codings of a `Content-Encoding` field. `None` for an unknown coding, bytes that do not
/// decode, or more than `limit` of them.
pub(super) fn decode(body: &[u8], codings: &str, limit: usize) -> Option<Vec<u8>> {
    let codings: Vec<_> = codings.split(',').map(str::trim).filter(|c| !c.is_empty()).collect();
    if codings.len() > MOST_CODINGS {
        return None;
    }
    let mut bytes = body.to_vec();
    for coding in codings.iter().rev() {
        bytes = match coding.to_ascii_lowercase().as_str() {
            "identity" => bytes,
            "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(&bytes[..]), limit)?,
            "deflate" => deflate(&bytes, limit)?,
            "br" => bounded(brotli::Decompressor::new(&bytes[..], 4096), limit)?,
            "zstd" => bounded(zstd_decoder(&bytes)?, limit)?,
            _ => return None,
        };
    }
    Some(bytes)
}

/// With the window RFC 9659 §3 allows, 8 MiB: a frame of a few bytes may ask for 128 MiB else.
fn zstd_decoder(bytes: &[u8]) -> Option<impl Read + '_> {
    let mut decoder = zstd::stream::read::Decoder::new(bytes).ok()?;
    decoder.window_log_max(23).ok()?;
    Some(decoder)
}

/// RFC 9110 §8.4.1.2 means the zlib format; some servers send the bare one.
fn deflate(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    bounded(flate2::read::ZlibDecoder::new(bytes), limit)
        .or_else(|| bounded(flate2::read::DeflateDecoder::new(bytes), limit))
}

fn bounded(reader: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).ok()?.checked_add(1)?;
    reader.take(most).read_to_end(&mut out).ok()?;
    (out.len() <= limit).then_some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_coding_is_undone() {
        let text = b"{\"access_token\":\"x\"}".repeat(20);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&text).unwrap();
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 3, 20).write_all(&text).unwrap();
        let zst = zstd::encode_all(&text[..], 1).unwrap();
        for (body, codings) in [
            (gzip(&text), "gzip"),
            (gzip(&text), "X-GZIP"),
            (zlib.finish().unwrap(), "deflate"),
            (raw.finish().unwrap(), "deflate"),
            (br, "br"),
            (zst.clone(), "zstd"),
            (gzip(&zst), "zstd, gzip"),
            (text.clone(), "identity"),
        ] {
            assert_eq!(decode(&body, codings, 4096).as_ref(), Some(&text), "{codings}");
        }
    }

    #[test]
    fn a_bomb_an_unknown_coding_and_rubbish_are_left_alone() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 65536);
        assert_eq!(decode(&bomb, "gzip", 65536), None);
        assert_eq!(decode(b"x", "compress", 10), None);
        // A frame of one raw block, "x", that asks for a window of 64 MiB (RFC 8878 §3.1.1.1.2).
        let greedy = b"\x28\xb5\x2f\xfd\x00\x80\x09\x00\x00x";
        assert_eq!(decode(greedy, "zstd", 10), None);
        let modest = b"\x28\xb5\x2f\xfd\x00\x58\x09\x00\x00x";
        assert_eq!(decode(modest, "zstd", 10).as_deref(), Some(&b"x"[..]));
        assert_eq!(decode(b"not gzip", "gzip", 10), None);
        assert_eq!(decode(b"x", "identity, identity, identity", 10), None);
    }
}
