//! Changes to a JSON object that leave everything else alone: members keep their bytes, order and
//! white space, and no number is parsed and printed.

use std::borrow::Cow;

use super::json::{self, Object};

/// One member of the changed object.
#[derive(Debug)]
struct EditedMember<'a> {
    /// Its index in the original object; none if it was added.
    original: Option<usize>,
    name: Cow<'a, str>,
    /// JSON text.
    value: Cow<'a, str>,
}

/// An object and the changes to it.
#[derive(Debug)]
pub(super) struct ObjectEdits<'a> {
    object: &'a Object,
    /// Those of the original first, in its order.
    members: Vec<EditedMember<'a>>,
    changed: bool,
}

impl<'a> ObjectEdits<'a> {
    pub(super) fn of(object: &'a Object) -> Self {
        let edited = |(i, member): (usize, &'a json::Member)| EditedMember {
            original: Some(i),
            name: Cow::Borrowed(&*member.name),
            value: Cow::Borrowed(&object.text()[member.value.clone()]),
        };
        let members = object.members().iter().enumerate().map(edited).collect();
        Self { object, members, changed: false }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The current names.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name.to_string()).collect()
    }

    /// The current JSON text of a member.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|member| member.name == name).map(|member| &*member.value)
    }

    pub(super) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).and_then(json::string)
    }

    /// Sets a member to this JSON text; no change if it has it already.
    pub(super) fn put(&mut self, name: &str, json: String) -> bool {
        if self.get(name) == Some(json.as_str()) {
            return false;
        }
        let value = Cow::Owned(json);
        match self.find(name) {
            Some(member) => member.value = value,
            None => {
                let name = Cow::Owned(name.to_owned());
                self.members.push(EditedMember { original: None, name, value });
            }
        }
        self.changed = true;
        true
    }

    /// Sets a member to this string; no change if it has it already, however it is escaped.
    pub(super) fn put_string(&mut self, name: &str, text: &str) -> bool {
        if self.string(name).as_deref() == Some(text) {
            return false;
        }
        self.put(name, json::quote(text))
    }

    pub(super) fn drop(&mut self, name: &str) -> bool {
        self.drop_where(|member| member == name)
    }

    /// Drops all members whose name matches.
    pub(super) fn drop_where(&mut self, matches: impl Fn(&str) -> bool) -> bool {
        let before = self.members.len();
        self.members.retain(|member| !matches(&member.name));
        let dropped = self.members.len() < before;
        self.changed |= dropped;
        dropped
    }

    /// Renames a member; an existing member with the new name is dropped.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        if from == to || self.get(from).is_none() {
            return false;
        }
        self.drop(to);
        if let Some(member) = self.find(from) {
            member.name = Cow::Owned(to.to_owned());
        }
        self.changed = true;
        true
    }

    /// The object as text: byte for byte the original's if nothing was changed.
    pub(super) fn render(&self) -> String {
        let text = self.object.text();
        let originals = self.object.members();
        // The text before the first member and after the last stays. So does each comma, with its
        // white space, before a member that stays.
        let head =
            originals.first().map_or(text.find('{').map_or(0, |at| at + 1), |m| m.span.start);
        let tail = originals.last().map_or(head, |m| m.span.end);
        let mut out = String::with_capacity(text.len() + 64);
        out.push_str(&text[..head]);
        for (nth, member) in self.members.iter().enumerate() {
            if nth > 0 {
                out.push_str(match member.original {
                    Some(i) => &text[originals[i - 1].span.end..originals[i].span.start],
                    None => ",",
                });
            }
            match member.original.map(|i| &originals[i]) {
                Some(original) if *original.name == *member.name => {
                    out.push_str(&text[original.span.start..original.value.start]);
                }
                _ => {
                    out.push_str(&json::quote(&member.name));
                    out.push(':');
                }
            }
            out.push_str(&member.value);
        }
        out.push_str(&text[tail..]);
        out
    }

    fn find(&mut self, name: &str) -> Option<&mut EditedMember<'a>> {
        self.members.iter_mut().find(|member| member.name == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(text: &str) -> Object {
        Object::parse(text.into(), 8).unwrap()
    }

    #[test]
    fn untouched_members_keep_their_bytes() {
        let text = "{ \"n\" : 1.50e+2 ,\n\t\"u\\u0061\":\"\\/\", \"x\":[1, 2],\"z\":null }";
        let object = object(text);
        let mut edits = ObjectEdits::of(&object);
        assert_eq!(edits.render(), text);
        assert!(!edits.is_changed());
        assert!(edits.put("x", "7".into()));
        assert!(edits.put("new", "true".into()));
        let expected =
            "{ \"n\" : 1.50e+2 ,\n\t\"u\\u0061\":\"\\/\", \"x\":7,\"z\":null,\"new\":true }";
        assert_eq!(edits.render(), expected);
    }

    #[test]
    fn the_first_the_last_and_all_members_can_go() {
        let object = object(r#"{"a":1, "b":2, "c":3}"#);
        for (drop, left) in [
            (&["a"][..], r#"{"b":2, "c":3}"#),
            (&["c"], r#"{"a":1, "b":2}"#),
            (&["b"], r#"{"a":1, "c":3}"#),
            (&["a", "b", "c"], "{}"),
        ] {
            let mut edits = ObjectEdits::of(&object);
            for name in drop {
                assert!(edits.drop(name));
            }
            assert_eq!(edits.render(), left);
        }
        let mut edits = ObjectEdits::of(&object);
        for name in ["a", "b", "c"] {
            edits.drop(name);
        }
        edits.put("d", "4".into());
        assert_eq!(edits.render(), r#"{"d":4}"#);
    }

    #[test]
    fn a_rename_takes_the_place_of_its_target() {
        let object = object(r#"{"id":7,"sub":"x"}"#);
        let mut edits = ObjectEdits::of(&object);
        assert!(edits.rename("id", "sub"));
        assert_eq!(edits.get("sub"), Some("7"));
        assert_eq!(edits.render(), r#"{"sub":7}"#);
    }

    #[test]
    fn the_same_string_in_another_spelling_is_no_change() {
        let object = object(r#"{"iss":"https:\/\/a"}"#);
        let mut edits = ObjectEdits::of(&object);
        assert!(!edits.put_string("iss", "https://a"));
        assert!(!edits.is_changed());
    }

    proptest! {
        /// Whatever is edited, the result is an object again, and what was not named is as it was.
        #[test]
        fn edits_leave_one_object(
            members in proptest::collection::btree_map("[a-e\"\\\\ü]{1,3}", "[ -~]{0,6}", 0..6),
            drops in proptest::collection::vec("[a-e\"\\\\ü]{1,3}", 0..3),
            puts in proptest::collection::vec(("[a-e\"\\\\ü]{1,3}", "[ -~]{0,6}"), 0..3),
        ) {
            let object = object(&serde_json::to_string_pretty(&members).unwrap());
            let mut edits = ObjectEdits::of(&object);
            let mut expected = members;
            for name in &drops {
                edits.drop(name);
                expected.remove(name);
            }
            for (name, text) in &puts {
                edits.put_string(name, text);
                expected.insert(name.clone(), text.clone());
            }
            let read: std::collections::BTreeMap<String, String> =
                serde_json::from_str(&edits.render()).unwrap();
            prop_assert_eq!(read, expected);
        }
    }
}
