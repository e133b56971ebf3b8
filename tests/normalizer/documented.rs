//! The pages say what the program does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use countersign::jose::alg::AlgSet;
use countersign::profile::{Judge, Profile};

use crate::{corpus, profiles, read, serve};

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn all() -> Vec<Profile> {
    Profile::NAMES.iter().filter_map(|name| Profile::named(name)).collect()
}

fn table() -> String {
    let algs = |set: AlgSet| set.iter().map(|alg| alg.name()).collect::<Vec<_>>().join(" ");
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    type Row = (&'static str, Box<dyn Fn(&Profile) -> String>);
    let rows: Vec<Row> = vec![
        ("accepted unchanged", Box::new(move |p| algs(p.accepts))),
        ("published", Box::new(move |p| algs(p.tolerates))),
        ("published without `alg`", Box::new(move |p| algs(p.tolerates_bare))),
        ("exactly one audience", Box::new(move |p| yes(p.claims.single_audience))),
        ("`typ` must be `JWT` or absent", Box::new(move |p| yes(p.claims.typ_jwt))),
        ("needs `iat`", Box::new(move |p| yes(p.claims.needs_iat))),
        ("needs `sub`", Box::new(move |p| yes(p.claims.needs_sub))),
        ("standard claims coerced to their type", Box::new(move |p| yes(p.claims.coerce_standard))),
        (
            "longest life",
            Box::new(move |p| {
                p.claims
                    .longest_life
                    .map_or("–".to_owned(), |life| format!("{} s", life.as_secs()))
            }),
        ),
        (
            "a key that is not published here",
            Box::new(move |p| match p.judge {
                Judge::Convex => {
                    "is skipped, or makes it reject the whole set, by kind of provider".to_owned()
                }
                Judge::Rfcs => "is skipped by most".to_owned(),
                Judge::WholeSet => "makes it reject the whole set".to_owned(),
            }),
        ),
        ("source", Box::new(move |p| p.source.to_owned())),
    ];
    let names: Vec<_> = all().iter().map(|p| format!("`{}`", p.name)).collect();
    let mut out = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (name, cell) in rows {
        let cells: Vec<_> = all().iter().map(cell).collect();
        writeln!(out, "| {name} | {} |", cells.join(" | ")).unwrap();
    }
    out
}

/// Writes the table anew under `COUNTERSIGN_UPDATE_DOCS=1`.
#[test]
fn the_table_of_profiles_is_that_of_the_data() {
    let names: Vec<_> = all().iter().map(|profile| profile.name).collect();
    assert_eq!(names, Profile::NAMES);
    let text = std::fs::read_to_string(page("profiles.md")).unwrap();
    let (head, rest) = text.split_once("<!-- generated: profiles -->\n").unwrap();
    let (old, tail) = rest.split_once("<!-- end -->").unwrap();
    #[expect(clippy::disallowed_methods, reason = "a switch for the person at the keyboard")]
    let update = std::env::var_os("COUNTERSIGN_UPDATE_DOCS").is_some();
    if update {
        let new = format!("{head}<!-- generated: profiles -->\n{}<!-- end -->{tail}", table());
        std::fs::write(page("profiles.md"), new).unwrap();
    } else {
        assert_eq!(old, table(), "run this test once with COUNTERSIGN_UPDATE_DOCS=1");
    }
}

/// Every code the corpus can bring forth is explained.
#[test]
fn every_code_is_explained() {
    let mut codes = BTreeSet::new();
    for name in corpus::names() {
        match read(&corpus::document(&name)) {
            Err(refusal) => {
                codes.insert(refusal.code());
                let report = refusal.report().cloned().unwrap_or_default();
                codes.extend(report.changes.iter().map(|change| change.code));
            }
            Ok(normalized) => {
                let report = &normalized.report;
                codes.extend(report.changes.iter().chain(&report.warnings).map(|c| c.code));
                codes.extend(report.alarms.iter().map(|alarm| alarm.code));
                for profile in profiles() {
                    codes.extend(serve(&normalized, &profile).left_out.iter().map(|c| c.code));
                }
            }
        }
    }
    assert!(codes.len() > 60, "{codes:?}");
    let text = std::fs::read_to_string(page("normalizing.md")).unwrap();
    let missing: Vec<_> =
        codes.iter().filter(|code| !text.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
