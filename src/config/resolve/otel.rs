//! `[otel]`, and the variables of OpenTelemetry with the same meaning.

use std::path::Path;

use url::Url;

use super::super::error::Checked;
use super::place::At;
use super::secret;
use crate::env::Env;
use crate::otel::OtelSettings;
use crate::setting;

/// Set by hand, or by a Kubernetes operator that injects it into every container.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// For traces alone, and with the path.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// A variable overrides the file. Without `endpoint` no span is made.
pub(super) fn resolve(
    mut settings: OtelSettings,
    base: &Path,
    env: &impl Env,
) -> Checked<OtelSettings> {
    let at = At::root("otel");
    let built = cfg!(feature = "otel");
    let hint =
        "`cargo build --release --features otel` in a clone of the repository builds one that does";
    at.key("endpoint")
        .fault("this binary was built without the feature `otel` and sends no spans")
        .hint(hint)
        .when(!built && settings.endpoint.is_some())?;
    let set = |name: &str| env.var(name).filter(|value| !value.is_empty());
    let disabled = set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = match (set(TRACES_ENDPOINT), set(ENDPOINT), settings.endpoint) {
        (Some(whole), ..) => Some(variable(TRACES_ENDPOINT, &whole)?),
        (_, Some(text), _) => Some(with_path(variable(ENDPOINT, &text)?)),
        (.., url) => url.map(|url| with_path(url.0)),
    };
    settings.endpoint = endpoint.filter(|_| built && !disabled).map(setting::Url);
    if let Some(name) = set(SERVICE_NAME) {
        settings.service_name = name;
    }
    at.key("sample_ratio")
        .fault("not between 0 and 1")
        .when(!(0.0..=1.0).contains(&settings.sample_ratio))?;
    for (name, value) in &settings.headers {
        at.key("headers").key(name).header_line(name, value)?;
    }
    for (name, file) in &settings.header_files {
        let at = at.key("header_files").key(name);
        let value = secret::from_file(&at, &base.join(file))?;
        at.header_line(name, &value)?;
        let other = settings.headers.insert(name.clone(), value);
        at.fault("it is also set in `headers`").when(other.is_some())?;
    }
    settings.ca = settings.ca.map(|ca| base.join(ca));
    Ok(settings)
}

fn variable(name: &str, text: &str) -> Checked<Url> {
    setting::http_url(text).map_err(|invalid| At::root(name).invalid(invalid))
}

/// OTLP §"Endpoint URLs for OTLP/HTTP": the signal's path is appended.
fn with_path(mut base: Url) -> Url {
    let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> OtelSettings {
        toml::from_str(text).unwrap()
    }

    #[cfg(feature = "otel")]
    fn endpoint<const N: usize>(text: &str, env: [(&str, &str); N]) -> Option<String> {
        let settings = resolve(raw(text), Path::new(""), &env).unwrap();
        settings.endpoint.map(|url| url.0.to_string())
    }

    #[test]
    #[cfg(feature = "otel")]
    fn the_endpoint_is_the_variables_or_the_files() {
        const FILE: &str = "endpoint = \"http://file:4318\"";
        let all = [(ENDPOINT, "http://base:4318/otlp/"), (TRACES_ENDPOINT, "http://t/x")];
        let base = [all[0]];
        assert_eq!(endpoint(FILE, [("", "")]).unwrap(), "http://file:4318/v1/traces");
        assert_eq!(endpoint(FILE, base).unwrap(), "http://base:4318/otlp/v1/traces");
        assert_eq!(endpoint(FILE, all).unwrap(), "http://t/x");
        assert_eq!(endpoint("", base).unwrap(), "http://base:4318/otlp/v1/traces");
        assert_eq!(endpoint("", [(ENDPOINT, "")]), None);
        assert_eq!(endpoint(FILE, [(DISABLED, "true")]), None);
    }

    #[test]
    #[cfg(feature = "otel")]
    fn what_is_wrong_is_named_and_no_value_is_shown() {
        for (text, key) in [
            ("sample_ratio = 1.5", "otel.sample_ratio"),
            ("headers = { x = \"hunter2\\n\" }", "otel.headers.x"),
            ("header_files = { x = \"/does/not/exist\" }", "otel.header_files.x"),
        ] {
            let fault = resolve(raw(text), Path::new(""), &[("", "")]).unwrap_err();
            assert_eq!(fault.key, key, "{text}");
            assert!(!fault.invalid.why.contains("hunter2"), "{}", fault.invalid.why);
        }
    }

    #[test]
    #[cfg(feature = "otel")]
    fn a_header_comes_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "hunter2\n").unwrap();
        let text = "endpoint = \"http://a\"\nheader_files = { x-key = \"key\" }";
        let settings = resolve(raw(text), dir.path(), &[("", "")]).unwrap();
        assert_eq!(settings.headers["x-key"].expose(), "hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    #[cfg(not(feature = "otel"))]
    fn a_binary_without_the_feature_says_so() {
        let raw = raw("endpoint = \"http://127.0.0.1:4318\"");
        let fault = resolve(raw, Path::new(""), &[("", "")]).unwrap_err();
        assert_eq!(fault.key, "otel.endpoint");
        assert!(
            fault.invalid.why.contains("built without the feature `otel`"),
            "{}",
            fault.invalid.why
        );
        // The variable may be set for every container of a cluster, so it is no error here.
        let set = [(ENDPOINT, "http://127.0.0.1:4318")];
        let settings = resolve(OtelSettings::default(), Path::new(""), &set).unwrap();
        assert!(settings.endpoint.is_none());
    }
}
