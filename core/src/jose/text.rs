//! From the bytes of an answer to the text of a document: size, undeclared compression, byte order
//! mark, UTF-8, and pages for people.

use std::io::Read as _;

use super::fault::DocumentRefusal;

/// RFC 1952 §2.3.1, with the only compression method there is.
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The text of a document of at most `limit` bytes. `note` receives the code of each repair.
pub(super) fn read(
    document: &[u8],
    limit: usize,
    mut note: impl FnMut(&'static str),
) -> Result<String, DocumentRefusal> {
    if document.len() > limit {
        return Err(DocumentRefusal::TooLarge { limit });
    }
    let inflated;
    let mut bytes = document;
    if document.starts_with(GZIP) {
        inflated = inflate(document, limit)?;
        bytes = &inflated;
        note("gzip");
    }
    if let Some(rest) = bytes.strip_prefix(BOM) {
        bytes = rest;
        note("bom");
    }
    // UTF-16 and UTF-32 of ASCII text are valid UTF-8 full of NULs (RFC 4627 §3).
    if bytes.iter().take(4).any(|byte| *byte == 0) {
        return Err(DocumentRefusal::NotUtf8);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentRefusal::NotUtf8)?;
    match text.trim_start().chars().next() {
        None => Err(DocumentRefusal::Empty),
        Some('<') => Err(DocumentRefusal::Html),
        Some(_) => Ok(text.to_owned()),
    }
}

/// At most `limit` bytes, whatever the archive declares.
fn inflate(document: &[u8], limit: usize) -> Result<Vec<u8>, DocumentRefusal> {
    let mut out = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(document)
        .take(bound)
        .read_to_end(&mut out)
        .map_err(|_| DocumentRefusal::Encoding)?;
    if out.len() > limit { Err(DocumentRefusal::TooLarge { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn code(bytes: &[u8]) -> &'static str {
        read(bytes, 512 * 1024, |_| {}).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn a_bomb_is_not_inflated() {
        assert_eq!(code(&gzip(&vec![b' '; 64 << 20])), "too_large");
    }

    #[test]
    fn each_kind_of_damage_has_its_code() {
        let whole = gzip(b"{}");
        assert_eq!(code(&whole), "ok");
        assert_eq!(code(&whole[..whole.len() - 6]), "encoding");
        assert_eq!(code(b"\xff\xfe{\0}\0"), "not_utf8");
        assert_eq!(code(b"{\0}\0"), "not_utf8");
        assert_eq!(code(b" \r\n"), "empty");
        assert_eq!(code("\u{feff} ".as_bytes()), "empty");
        assert_eq!(code(&gzip(b"")), "empty");
        assert_eq!(code(b"\n<!DOCTYPE html>"), "html");
    }
}
