//! Changes to a JSON object that leave everything else alone: members keep their bytes, order and
//! white space, and no number is parsed and printed.

use std::borrow::Cow;

use super::json::{self, Object};

/// The new state of one member.
#[derive(Debug, Default)]
struct Slot {
    dropped: bool,
    name: Option<String>,
    value: Option<String>,
}

/// An object and the changes to it.
#[derive(Debug)]
pub(super) struct Edits<'a> {
    object: &'a Object,
    slots: Vec<Slot>,
    added: Vec<(String, String)>,
    changed: bool,
}

impl<'a> Edits<'a> {
    pub(super) fn of(object: &'a Object) -> Self {
        let slots = object.members().iter().map(|_| Slot::default()).collect();
        Self { object, slots, added: Vec::new(), changed: false }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The current names.
    pub(super) fn names(&self) -> Vec<String> {
        let kept = (0..self.slots.len()).filter(|&i| !self.slots[i].dropped);
        let kept = kept.map(|i| self.name(i).to_owned());
        kept.chain(self.added.iter().map(|(name, _)| name.clone())).collect()
    }

    /// The current JSON text of a member.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        if let Some((_, json)) = self.added.iter().find(|(added, _)| added == name) {
            return Some(json);
        }
        let i = self.find(name)?;
        let value = || &self.object.text()[self.object.members()[i].value.clone()];
        Some(self.slots[i].value.as_deref().unwrap_or_else(value))
    }

    pub(super) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).and_then(json::string)
    }

    /// Sets a member to this JSON text; no change if it has it already.
    pub(super) fn put(&mut self, name: &str, json: String) -> bool {
        if self.get(name) == Some(json.as_str()) {
            return false;
        }
        self.changed = true;
        if let Some(added) = self.added.iter_mut().find(|(added, _)| added == name) {
            added.1 = json;
        } else if let Some(i) = self.find(name) {
            self.slots[i].value = Some(json);
        } else {
            self.added.push((name.to_owned(), json));
        }
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
        let before = self.added.len();
        self.added.retain(|(added, _)| added != name);
        let mut found = self.added.len() < before;
        if let Some(i) = self.find(name) {
            self.slots[i].dropped = true;
            found = true;
        }
        self.changed |= found;
        found
    }

    /// Renames a member; an existing member with the new name is dropped.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        if from == to {
            return false;
        }
        let Some(i) = self.find(from) else { return false };
        self.drop(to);
        self.slots[i].name = Some(to.to_owned());
        self.changed = true;
        true
    }

    /// The object as text: byte for byte the original's if nothing was changed.
    pub(super) fn render(&self) -> String {
        let text = self.object.text();
        let members = self.object.members();
        let kept: Vec<usize> = (0..members.len()).filter(|&i| !self.slots[i].dropped).collect();
        let mut out = String::with_capacity(text.len() + 64);
        // The text before the first member and after the last stays. So does each comma, with its
        // white space, before a member that stays.
        let head = members.first().map_or(text.find('{').map_or(0, |at| at + 1), |m| m.span.start);
        let tail = members.last().map_or(head, |m| m.span.end);
        out.push_str(&text[..head]);
        for (nth, &i) in kept.iter().enumerate() {
            let member = &members[i];
            if nth > 0 {
                out.push_str(&text[members[i - 1].span.end..member.span.start]);
            }
            let slot = &self.slots[i];
            match &slot.name {
                None => out.push_str(&text[member.span.start..member.value.start]),
                Some(name) => {
                    out.push_str(&json::quote(name));
                    out.push(':');
                }
            }
            match &slot.value {
                None => out.push_str(&text[member.value.clone()]),
                Some(value) => out.push_str(value),
            }
        }
        for (nth, (name, value)) in self.added.iter().enumerate() {
            if nth > 0 || !kept.is_empty() {
                out.push(',');
            }
            out.push_str(&json::quote(name));
            out.push(':');
            out.push_str(value);
        }
        out.push_str(&text[tail..]);
        out
    }

    fn name(&self, i: usize) -> &str {
        self.slots[i].name.as_deref().unwrap_or(&self.object.members()[i].name)
    }

    fn find(&self, name: &str) -> Option<usize> {
        (0..self.slots.len()).find(|&i| !self.slots[i].dropped && self.name(i) == name)
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
        let mut edits = Edits::of(&object);
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
            let mut edits = Edits::of(&object);
            for name in drop {
                assert!(edits.drop(name));
            }
            assert_eq!(edits.render(), left);
        }
        let mut edits = Edits::of(&object);
        for name in ["a", "b", "c"] {
            edits.drop(name);
        }
        edits.put("d", "4".into());
        assert_eq!(edits.render(), r#"{"d":4}"#);
    }

    #[test]
    fn a_rename_takes_the_place_of_its_target() {
        let object = object(r#"{"id":7,"sub":"x"}"#);
        let mut edits = Edits::of(&object);
        assert!(edits.rename("id", "sub"));
        assert_eq!(edits.get("sub"), Some("7"));
        assert_eq!(edits.render(), r#"{"sub":7}"#);
    }

    #[test]
    fn the_same_string_in_another_spelling_is_no_change() {
        let object = object(r#"{"iss":"https:\/\/a"}"#);
        let mut edits = Edits::of(&object);
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
            let mut edits = Edits::of(&object);
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
