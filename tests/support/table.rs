//! The results of the matrix, and the page that shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::caches::{self, Cache, Caches, Lost};
use super::cases::CASES;
use super::judges::{Fed, KINDS, Kind};
use super::recipe::file;

const KEPT: &str = "tests/verifiers/found.json";

/// Recorded instead of a verifier's message where it accepts with this setting only.
pub const WITHOUT_ORIGINAL: &str = "with carry_original = false";

/// The messages of one verifier about one issuer. Empty means that it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub before: String,
    pub after: String,
}

impl Cell {
    fn no_login(&self) -> bool {
        self.after.starts_with("no login: ")
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Found {
    /// Verifier → name and version.
    pub versions: BTreeMap<String, String>,
    /// Issuer → verifier → its messages.
    pub cells: BTreeMap<String, BTreeMap<String, Cell>>,
}

impl Found {
    pub fn read() -> Self {
        caches::read(KEPT)
    }

    pub fn write(&self) {
        caches::write(KEPT, self);
    }

    /// Verifiers that still refuse with the proxy.
    pub fn refused(&self) -> impl Iterator<Item = String> {
        self.cells.iter().flat_map(|(issuer, row)| {
            let refused = row.iter().filter(|(_, cell)| {
                !cell.after.is_empty() && !cell.no_login() && cell.after != WITHOUT_ORIGINAL
            });
            refused.map(move |(verifier, cell)| format!("{issuer}, {verifier}: {}", cell.after))
        })
    }

    /// The differences from the recorded results. Whether a verifier accepts counts, not its
    /// message: some messages contain key material or the order of a set, and they change with
    /// versions.
    pub fn differences(&self, kept: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (issuer, row) in &self.cells {
            for (verifier, cell) in row {
                let other = kept.cells.get(issuer).and_then(|row| row.get(verifier));
                let accepts = |cell: &Cell| (cell.before.is_empty(), cell.after.clone());
                if other.map(accepts) != Some(accepts(cell)) {
                    out.push(format!("{issuer}, {verifier}: {cell:?}, kept: {other:?}"));
                }
            }
        }
        out
    }
}

const ROTATION: &str = "
A new key of ours stands in the set for `server.max_age` and `signing.skew` together before it signs, 300 s and
60 s as they come: longer than any verifier above takes to learn of one. The slowest is the loader in
ruby-jwt's README, which looks again only when its copy is older than five minutes; before it, do not go below
the default `max_age`. A key that is retired stays in the set until its last token has expired, so no verifier
that reads the set anew refuses one. When the *issuer's* key turns, its tokens are countersigned with ours, which
every copy has, until the new key has stood in the set long enough too. `tests/e2e/matrix_rotation.rs` turns both
between two tokens and asks each verifier, login clients too: none refuses one.

python-jose tries the keys of a set in order and stops at the first of another family than RSA; ours stands first
in every set we serve. go-oidc and go-jose read all of a set or nothing, and so does Convex's `customJwt`: what they
lose it to is published to none of them.

What could not be had: **firebase/php-jwt** is in no registry the tests use (Debian 12 has no package of it), and
neither is **lua-resty-openidc** (`tests/http/gateways.rs` runs it where somebody has brought it); **nginx** checks JWTs
only in its commercial edition, and Debian packages no module that does; **hs-jose** (Hasura) and **PostgREST** are
not in Debian 12. **HAProxy** 2.6 reads no key set: the program writes the key that `kid` names into the file it
reads. **mod_auth_openidc** reads key sets over https alone: the program puts TLS before the address.

";

const HEAD: &str = "\
# Issuer × verifier

What each verifier says of each issuer's own token and key set, and what it says through countersign with
the recipe of [docs/issuers](issuers/index.md) or `tests/recipes`. Every verifier runs: a small program in
its own language (`tests/verifiers`), fed with an address, an audience and a token, configured as its own
documentation shows. Convex's two kinds of provider are the crates it verifies with. oidc-provider,
oauth2-mock-server, glewlwyd, Better Auth and the Cloudflare Worker (on workerd) run as themselves; the other
issuers are servers written from what those issuers were seen to issue. Login clients make the whole login.

`make matrix` installs what is missing and runs it all; `UPDATE=1 make matrix` writes this page. `make test`
runs the verifiers whose language is there.

";

const PAGE: &str = "docs/matrix.md";

/// Writes the page.
pub fn update() {
    std::fs::write(file(PAGE), page(&Found::read(), &Caches::read(), &Lost::read())).unwrap();
}

/// The page as it is in the repository.
pub fn kept() -> String {
    std::fs::read_to_string(file(PAGE)).unwrap_or_default()
}

/// The page, made from the results alone.
pub fn page(found: &Found, caches: &Caches, lost: &Lost) -> String {
    let mut page = String::from(HEAD);
    grid(&mut page, found);
    verifiers(&mut page, found, caches, lost);
    words(&mut page, found);
    page
}

/// A step of the measurement as text.
fn span(seconds: u64) -> &'static str {
    match seconds {
        0 => "at once",
        1..=31 => "within 30 s",
        32..=61 => "within 1 min",
        62..=125 => "within 2 min",
        126..=301 => "within 5 min",
        302..=605 => "within 10 min",
        606..=3_601 => "within 1 h",
        _ => "within a day",
    }
}

fn told(kind: &Kind, cache: Option<&Cache>) -> [String; 3] {
    let Some(cache) = cache else {
        return ["not measured alone", "see below", "–"].map(str::to_owned);
    };
    if !cache.keeps {
        return ["nothing: the set is read for each token", "at once", "at once"]
            .map(str::to_owned);
    }
    // For verifiers measured in real time, the only wait was for the set's own `max-age`.
    let real = !kind.is_a_program() || kind.language == "Go";
    let learns = |after: Option<u64>| match after {
        None => "not within a day",
        Some(1..) if real => "with its `max-age`",
        Some(after) => span(after),
    };
    let (first, again) = (learns(cache.learns), learns(cache.learns_again));
    let unknown = match first == again {
        true => first.to_owned(),
        false => format!("{first}; a second one {again}"),
    };
    let keeps = if kind.is_a_program() { "the set" } else { "what an HTTP cache keeps" };
    [keeps.to_owned(), unknown, learns(cache.forgets).to_owned()]
}

fn verifiers(page: &mut String, found: &Found, caches: &Caches, lost: &Lost) {
    page.push_str(
        "## The verifiers, and what they keep\n\nMeasured with the verifier's clock turned on \
         (libfaketime; Go and Convex's crates in real time) before a server whose `max-age` is two minutes, in \
         steps of 30 s, 1, 2, 5 and 10 minutes, an hour and a day. *A new key*: its token comes right after \
         the set was read without it; when is it taken? *A key that is gone*: when is its token refused? *Loses the set*: \
         for one key of that kind in front of the one that signed.\n\n\
         | verifier | version | language | fed with | keeps | a new key | a key that is gone | loses the set |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for kind in KINDS {
        let version = found.versions.get(kind.name).map_or("", String::as_str);
        let fed = match kind.fed {
            Fed::Jwks => "key set",
            Fed::Issuer => "issuer",
            Fed::Login => "issuer, whole login",
        };
        let [keeps, learns, forgets] = told(kind, caches.of.get(kind.name));
        let Kind { name, language, .. } = kind;
        let loses = match lost.of.get(*name) {
            None => "–".to_owned(),
            Some(kinds) if kinds.is_empty() => "to none".to_owned(),
            Some(kinds) => kinds.join(", "),
        };
        writeln!(
            page,
            "| {name} | {version} | {language} | {fed} | {keeps} | {learns} | {forgets} | {loses} |"
        )
        .unwrap();
    }
    page.push_str(ROTATION);
}

fn cells<'a>(found: &'a Found, issuer: &str) -> impl Iterator<Item = (&'static str, &'a Cell)> {
    let row = found.cells.get(issuer);
    KINDS.iter().filter_map(move |kind| Some((kind.name, row?.get(kind.name)?)))
}

fn grid(page: &mut String, found: &Found) {
    page.push_str(
        "## The table\n\n`yes`: accepts the issuer's own, and through countersign. `no → yes`: refuses the \
         issuer's own, accepts through countersign; its words are [below](#in-words). `–`: a login client, \
         and no login to make, for the reason given below.\n\n¹ with `carry_original = false` \
         in `[[issuer]]`, and only with it: joserfc refuses a token whose header has a parameter it does not \
         know, which RFC 7515 §4 has ignored, and any header of more than 512 bytes; Authlib's client, which \
         reads tokens with joserfc, does the latter. The parameter is [`cso`](cso.md).\n\n",
    );
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    writeln!(page, "| issuer | trouble | {} |", names.join(" | ")).unwrap();
    writeln!(page, "|---|---|{}", "---|".repeat(names.len())).unwrap();
    for case in CASES {
        write!(page, "| {} | {} |", case.name, case.trouble).unwrap();
        for (_, cell) in cells(found, case.name) {
            let text = match (cell.before.is_empty(), cell.after.is_empty()) {
                (true, true) => "yes",
                (false, true) => "no → **yes**",
                _ if cell.no_login() => "–",
                (true, false) if cell.after == WITHOUT_ORIGINAL => "yes → **yes**¹",
                (false, false) if cell.after == WITHOUT_ORIGINAL => "no → **yes**¹",
                (true, false) => "yes → NO",
                (false, false) => "no → NO",
            };
            write!(page, " {text} |").unwrap();
        }
        page.push('\n');
    }
    page.push('\n');
}

fn words(page: &mut String, found: &Found) {
    page.push_str(
        "## In words\n\nWhat those who refuse say of the issuer's own token. `ISSUER` and `PROXY` stand for \
         the addresses, `KID` for a key ID.\n\n",
    );
    for case in CASES {
        let refusing: Vec<_> =
            cells(found, case.name).filter(|(_, cell)| !cell.before.is_empty()).collect();
        writeln!(page, "### {}\n", case.name.replace('`', "")).unwrap();
        if refusing.is_empty() {
            page.push_str("All accept.\n\n");
            continue;
        }
        page.push_str("| verifier | says |\n|---|---|\n");
        for (verifier, cell) in refusing {
            let says = match cell.no_login() {
                true => cell.before.clone(),
                false => format!("`{}`", cell.before),
            };
            writeln!(page, "| {verifier} | {says} |").unwrap();
        }
        page.push('\n');
    }
}
