//! Any bytes as the head of a request: what is accepted has one length, one host, and a target that
//! every parser reads alike.
#![no_main]

use countersign::proxy::http::validate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    if !request.parse(bytes).is_ok_and(|status| status.is_complete()) {
        return;
    }
    let Ok(head) = validate::http1(&request) else { return };
    let lines = |name: &str| {
        let fields = request.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    let (lengths, codings) = (lines("content-length"), lines("transfer-encoding"));
    assert!(codings.is_empty() || lengths.is_empty(), "two framings");
    assert!(codings.len() <= 1);
    assert!(head.bodiless == (codings.is_empty() && lengths.is_empty() && lines("upgrade").is_empty()));
    let mut lengths = lengths.iter().flat_map(|line| line.split(|b| *b == b','));
    let length = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i64>().ok();
    if let Some(first) = lengths.next() {
        let first = length(first).expect("a length that overflows");
        assert!(first >= 0 && lengths.all(|other| length(other) == Some(first)));
    }
    let hosts = lines("host");
    assert!(hosts.len() <= 1 && (request.version == Some(0) || hosts.len() == 1));
    for host in hosts {
        assert!(host.iter().all(u8::is_ascii), "a host that is not ASCII");
        assert!(!host.iter().any(|b| b" /?#\\@\"<>".contains(b)), "a host that is not an authority");
    }
    let target = request.path.expect("a complete request has a target");
    // Bytes above 0x7f pass: browsers of old and some clients send them unencoded.
    assert!(target.bytes().all(|b| b.is_ascii_graphic() || !b.is_ascii()), "a target with blanks");
    assert!(target.starts_with('/') || target == "*" || target.contains("://"), "no form of a target");
});
