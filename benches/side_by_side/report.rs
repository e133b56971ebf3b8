//! The table: medians, ratios, spreads, versions, machine.

use std::io::Write as _;

use crate::plan::Plan;
use crate::process::version_of;
use crate::stats::Pair;

pub(crate) struct Report {
    head: String,
    rows: Vec<[String; 6]>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(plan: &Plan) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu =
            cpu.lines().find_map(|l| l.strip_prefix("model name\t: ")).unwrap_or("unknown CPU");
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let head = format!(
            "# Measured, side by side\n\n\
             Written by `make bench`; every figure stands beside its peer's from the same run, and only \
             ratios travel between machines. Server on one core, load and upstream on another, one worker \
             thread on every side, {} alternating rounds of {} s each; a cell holds median (min–max), a result the median of the rounds' ratios. \
             Bare pingora is built as countersign is: the same flags, static, with mimalloc, one current-thread runtime, no access log; \
             countersign's access log is off but in row 14.\n\n\
             Machine: {cpu}, {} cores, Linux {}. countersign {}, {}, {}, node {}, {}.\n\n",
            plan.rounds,
            plan.seconds,
            plan.cores,
            kernel.trim(),
            env!("CARGO_PKG_VERSION"),
            version_of("nginx", "-v"),
            version_of("wrk", "-v").split(" Copyright").next().unwrap_or_default(),
            version_of("node", "--version"),
            version_of("rustc", "--version"),
        );
        Self { head, rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn pair(
        &mut self,
        row: &str,
        work: &str,
        peer: &str,
        unit: &str,
        pair: &Pair,
        goal: Goal,
    ) {
        let ratio = pair.ratio();
        let mut result = format!("{ratio:.2}×");
        let mut met = ratio >= goal.rate;
        let mut reach = format!("≥ {:.2}×", goal.rate);
        if let Some(p99) = goal.p99 {
            let got = pair.p99_ratio();
            result.push_str(&format!(", p99 {got:.2}×"));
            reach.push_str(&format!(", p99 ≤ {p99:.1}×"));
            met &= got <= p99;
        }
        let ours = Pair::describe(&pair.ours, unit);
        let theirs = format!("{peer}: {}", Pair::describe(&pair.peer, unit));
        self.row(row, work, ours, theirs, result, &reach, met);
    }

    #[expect(clippy::too_many_arguments, reason = "one argument a column")]
    pub(crate) fn row(
        &mut self,
        row: &str,
        work: &str,
        ours: String,
        peer: String,
        result: String,
        reach: &str,
        met: bool,
    ) {
        let result = format!("{} {result}", if met { "✓" } else { "✗" });
        self.push([row.into(), work.into(), ours, peer, result, reach.into()]);
    }

    /// A row without a goal.
    pub(crate) fn reported(&mut self, row: &str, work: &str, peer: &str, unit: &str, pair: &Pair) {
        let ours = Pair::describe(&pair.ours, unit);
        let theirs = format!("{peer}: {}", Pair::describe(&pair.peer, unit));
        let result = format!("{:.2}×", pair.ratio());
        self.push([row.into(), work.into(), ours, theirs, result, "reported".into()]);
    }

    fn push(&mut self, row: [String; 6]) {
        // Print the row at once too: if a later row fails, the figures must not be lost.
        let _ = writeln!(std::io::stderr(), "| {} |", row.join(" | "));
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = self.head.clone();
        text.push_str(
            "| # | work | countersign | peer | result | reach |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("- {note}\n"));
        }
        text
    }
}

/// What a row should reach.
pub(crate) struct Goal {
    pub(crate) rate: f64,
    pub(crate) p99: Option<f64>,
}

pub(crate) fn at_least(rate: f64) -> Goal {
    Goal { rate, p99: None }
}
