//! The demonstration as text: what was wrong, the configuration, and the verdicts side by side. Fits
//! 100 columns.

use super::{Comparison, Side, Verdict};
use crate::cli::output::{paint, shortened, wrap};

const WIDTH: usize = 96;

/// The proxy's whole configuration.
pub(super) fn configuration(issuer: &str, proxy: &str, port: u16, dir: &str) -> String {
    format!(
        "data_dir = \"{dir}\"\n\
         \n\
         [server]\n\
         listen = \"127.0.0.1:{port}\"\n\
         public_url = \"{proxy}\"\n\
         \n\
         [upstream]\n\
         url = \"{issuer}\"\n\
         \n\
         [[issuer]]\n\
         name = \"demo\"\n\
         issuer = \"{issuer}\"\n\
         jwks = \"/jwks\"\n\
         output_issuer = \"{proxy}\"\n\
         \n\
         [[tokens]]\n\
         path = \"/token\"\n\
         json = [\"access_token\"]\n"
    )
}

pub(super) fn text(report: &Comparison, color: bool) -> String {
    let bold = |t: &str| paint(color, "1", t);
    let mut lines = vec![
        format!("{}  {}", bold("an auth server"), report.issuer),
        "  signs with ES384 only, calls its tokens at+jwt, serves its keys as a bare list of text/html"
            .to_owned(),
        format!("{}     {}", bold("countersign"), report.proxy),
        "  runs in front of it; the auth server is unchanged".to_owned(),
        String::new(),
    ];
    for (title, side) in [("before", &report.before), ("after", &report.after)] {
        lines.push(bold(title));
        lines.push(format!("  key set    {}", side.jwks));
        lines.push(format!("             {}", side.content_type));
        lines.push(format!("             {}…", side.keys));
        lines.push(format!("  token      {}", side.header));
        verdicts(side, color, &mut lines);
        lines.push(String::new());
    }
    lines.push(
        "The verdicts are those of the crates Convex verifies with: biscuit and openidconnect."
            .into(),
    );
    lines.join("\n") + "\n"
}

fn verdicts(side: &Side, color: bool, lines: &mut Vec<String>) {
    for (way, verdict) in [("Convex customJwt", &side.custom_jwt), ("Convex OIDC", &side.oidc)] {
        let (style, word, text) = match verdict {
            Verdict::Accepts => ("1;32", "ACCEPT", ""),
            Verdict::Refuses(text) => ("1;31", "REFUSE", text.as_str()),
        };
        lines.push(format!("  {way:<17} {}", paint(color, style, word)));
        if !text.is_empty() {
            let text = wrap(shortened(text, 220).split_whitespace(), WIDTH - 4);
            lines.extend(text.iter().map(|line| format!("    {line}")));
        }
    }
}

pub(super) fn try_it(report: &Comparison) -> String {
    let (issuer, proxy) = (&report.issuer, &report.proxy);
    let mut text = format!(
        "\nBoth keep running; Ctrl-C ends them. Try:\n\n\
         curl -i {issuer}/jwks\n\
         curl -i {proxy}/.well-known/jwks.json\n\
         curl -s {proxy}/.well-known/openid-configuration\n\
         curl -s -d code=demo {proxy}/token\n\
         curl -s {proxy}/_countersign/token \\\n  \
           --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\\n  \
           --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:jwt \\\n  \
           --data-urlencode \"subject_token=$(curl -s -d code=demo {issuer}/token | cut -d'\"' -f4)\"\n"
    );
    if let Some(admin) = &report.admin {
        text.push_str(&format!("\nstatus page: {admin}/\n"));
    }
    text
}
