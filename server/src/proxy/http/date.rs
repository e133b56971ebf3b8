//! The `Date` field (RFC 9110 §6.6.1), formatted once per second and thread.

use std::cell::RefCell;

use crate::clock;

thread_local! {
    static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Calls `f` with the current time as IMF-fixdate.
pub(super) fn with<R>(f: impl FnOnce(&[u8]) -> R) -> R {
    let now = clock::Clock::system().now().secs();
    LAST.with(|last| {
        let mut last = last.borrow_mut();
        if last.0 != now {
            let since = std::time::Duration::from_secs(u64::try_from(now).unwrap_or(0));
            *last = (now, httpdate::fmt_http_date(std::time::UNIX_EPOCH + since));
        }
        f(last.1.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_an_imf_fixdate() {
        let text = super::with(|date| String::from_utf8(date.to_vec()).unwrap());
        assert!(httpdate::parse_http_date(&text).is_ok() && text.ends_with(" GMT"), "{text}");
    }
}
