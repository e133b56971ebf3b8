//! From the bytes of an answer to the text of a document: size, undeclared compression, byte order
//! mark, UTF-8, and pages for people.

use std::borrow::Cow;
use std::io::Read as _;

use super::fault::DocumentRefusal;
use super::names::Limits;
use super::report::{Change, Effect};

/// RFC 1952 §2.3.1, with the only compression method there is.
const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The text of a document, and the changes on the way.
pub(super) fn read<'a>(
    document: &'a [u8],
    limits: &Limits,
    changes: &mut Vec<Change>,
) -> Result<Cow<'a, str>, DocumentRefusal> {
    let limit = limits.document;
    if document.len() > limit {
        return Err(DocumentRefusal::TooLarge { limit });
    }
    let mut note = |code| {
        changes.push(Change {
            path: "$".to_owned(),
            code,
            effect: Effect::Repaired,
            before: None,
            after: None,
        });
    };
    let mut bytes = Cow::Borrowed(document);
    if document.starts_with(GZIP) {
        bytes = Cow::Owned(inflate(document, limit)?);
        note("gzip");
    }
    if bytes.starts_with(BOM) {
        bytes = match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[BOM.len()..]),
            Cow::Owned(bytes) => Cow::Owned(bytes[BOM.len()..].to_vec()),
        };
        note("bom");
    }
    // UTF-16 and UTF-32 of ASCII text are valid UTF-8 full of NULs (RFC 4627 §3).
    if bytes.iter().take(4).any(|byte| *byte == 0) {
        return Err(DocumentRefusal::NotUtf8);
    }
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    let text = text.ok_or(DocumentRefusal::NotUtf8)?;
    match text.trim_start().chars().next() {
        None => Err(DocumentRefusal::Empty),
        Some('<') => Err(DocumentRefusal::Html),
        Some(_) => Ok(text),
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
        read(bytes, &Limits::default(), &mut Vec::new()).map_or_else(|e| e.code(), |_| "ok")
    }

    #[test]
    fn a_bomb_is_not_inflated() {
        assert_eq!(code(&gzip(&vec![b' '; 64 << 20])), "too_large");
    }

    #[test]
    fn damage_is_told_from_text() {
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
