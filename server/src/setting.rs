//! Values as a configuration file writes them; see [`countersign_core::setting`]. The types that need a
//! socket address, a path or a secret are here.

mod listen;

pub use countersign_core::setting::*;
use zeroize::Zeroizing;

pub use self::listen::Listen;

/// The candidate nearest to `word`, if it is so near that `word` may be a typing error.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let distance = |candidate: &str| strsim::levenshtein(&word, &candidate.to_ascii_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The error for a word that is not in `allowed`.
pub fn not_one_of(word: &str, allowed: &[&str]) -> Invalid {
    let list = allowed.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
    let invalid = Invalid::new(format_args!("`{word}` is not one of {list}"));
    match nearest(word, allowed.iter().copied()) {
        Some(meant) => invalid.hint(format_args!("did you mean `{meant}`?")),
        None => invalid,
    }
}

/// A secret from the configuration: never printed, wiped when dropped.
#[derive(Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(inline, with = "String", description = "")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word() {
        let keys = ["listen", "public_url", "threads"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("public-url", keys), Some("public_url"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest(&"x".repeat(100), keys), None);
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret:?}").contains("hunter"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
