//! The JSON schema of the configuration file, for editors.

use serde_json::Value;

use super::raw::RawConfig;

/// The schema, indented, with a line end.
pub const SCHEMA: &str = include_str!("../../conf/countersign.schema.json");

/// The schema made from the types. A test compares it with [`SCHEMA`], so the program itself does not
/// need the generator.
pub fn generated_schema() -> String {
    let mut schema = schemars::schema_for!(RawConfig).to_value();
    without_null(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Removes `null`, which TOML does not have: an `Option` is a key that may be left out.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !(key == "default" && value.is_null()));
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(options)) = map.get_mut("anyOf") {
                options.retain(|option| option.get("type") != Some(&"null".into()));
                if let [Value::Object(one)] = options.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    map.extend(one);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}
