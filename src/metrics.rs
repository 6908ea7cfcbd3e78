//! Metrics of a run in Prometheus' text format, for node_exporter's textfile collector.
//!
//! The current state (objects, last success) is that of every recorded namespace, so that a run that failed, or that
//! walked only one namespace, does not make the other series vanish. The other metrics are about the run.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;

use crate::file_output::FileOutput;
use crate::model::Counts;
use crate::store::{NamespaceRecord, ReportRow, RunOutcome};
use crate::sync::{NamespaceOutcome, Summary};

/// A run, whether it succeeded or failed.
#[derive(Debug)]
pub struct RunMetrics<'a> {
    pub ended_at: OffsetDateTime,
    pub elapsed: Duration,
    pub exit_code: u8,
    pub outcome: RunOutcome,
    /// Requests sent, including namespace lists and retries.
    pub requests: u64,
    /// Responses with status 429.
    pub throttled: u64,
    /// `None` if the run failed before it had one.
    pub summary: Option<&'a Summary>,
    /// `None` if the record could not be read.
    pub recorded: Option<&'a [ReportRow]>,
}

/// Metric families about the record, not the run.
const OF_RECORD: [&str; 5] = [
    "durable_inventory_namespace_objects",
    "durable_inventory_namespace_objects_with_data",
    "durable_inventory_namespace_last_success_timestamp_seconds",
    "durable_inventory_namespace_missing",
    "durable_inventory_namespace_held",
];

/// Replaces the file atomically. If the record could not be read, its metrics are kept from the previous file. No link
/// is followed, because services may share the collector's folder.
pub fn write(path: &Path, run: &RunMetrics<'_>) -> io::Result<()> {
    let mut file = FileOutput::replace(path)?;
    let mut text = render(run);
    if run.recorded.is_none() {
        text.push_str(&of_record(&std::fs::read_to_string(path).unwrap_or_default()));
    }
    file.write_all(text.as_bytes())?;
    file.commit()
}

/// The lines about the record in a previous file.
fn of_record(earlier: &str) -> String {
    let kept = earlier.lines().filter(|line| {
        let line = line
            .strip_prefix("# HELP ")
            .or(line.strip_prefix("# TYPE "))
            .unwrap_or(line);
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        OF_RECORD.contains(&name)
    });
    kept.map(|line| format!("{line}\n")).collect()
}

pub fn render(run: &RunMetrics<'_>) -> String {
    let mut text = Text::default();
    text.gauge("run_last_timestamp_seconds", "When the last sync ended.");
    text.sample(&[], seconds(run.ended_at));
    text.gauge("run_seconds", "How long the last sync took.");
    text.sample(&[], run.elapsed.as_secs_f64());
    text.gauge("run_exit_code", "The exit code of the last sync.");
    text.sample(&[], f64::from(run.exit_code));
    text.gauge(
        "run_outcome",
        "How the last sync ended: 1 for its outcome, 0 for all others.",
    );
    for outcome in RunOutcome::ALL {
        text.sample(&[("outcome", outcome.as_str())], one_if(outcome == run.outcome));
    }
    text.gauge("run_requests", "Requests that the last sync sent.");
    text.sample(&[], run.requests as f64);
    text.gauge(
        "run_throttled",
        "429 responses (too many requests) that the last sync received.",
    );
    text.sample(&[], run.throttled as f64);
    of_the_walks(&mut text, run.summary.map_or(&[], |summary| &summary.namespaces));
    if let Some(recorded) = run.recorded {
        of_the_namespaces(&mut text, recorded);
    }
    text.0
}

fn of_the_walks(text: &mut Text, walked: &[NamespaceOutcome]) {
    text.gauge(
        "namespace_outcome",
        "How the last sync left the namespace: 1 for its outcome.",
    );
    for namespace in walked {
        let labels = labels_of(namespace);
        text.sample(&[&labels[..], &[("outcome", namespace.status.as_str())]].concat(), 1.0);
    }
    text.gauge("namespace_changes", "Changes that the last sync recorded, by kind.");
    for namespace in walked {
        let published = namespace.status == crate::sync::Status::Complete;
        let counts = if published { namespace.counts } else { Counts::default() };
        for (kind, count) in counts.changes.iter() {
            text.sample(
                &[&labels_of(namespace)[..], &[("change", kind.as_str())]].concat(),
                count as f64,
            );
        }
    }
    text.gauge(
        "namespace_requests",
        "Requests that the last sync sent for the namespace.",
    );
    for namespace in walked {
        text.sample(&labels_of(namespace), namespace.requests as f64);
    }
    text.gauge("namespace_seconds", "How long the last sync worked on the namespace.");
    for namespace in walked {
        text.sample(&labels_of(namespace), namespace.elapsed.as_secs_f64());
    }
}

fn of_the_namespaces(text: &mut Text, recorded: &[ReportRow]) {
    let published = |row: &ReportRow| row.namespace.published;
    text.gauge("namespace_objects", "Objects that the newest published snapshot lists.");
    text.samples(recorded, |row| Some(published(row)?.objects as f64));
    text.gauge(
        "namespace_objects_with_data",
        "Objects that the newest published snapshot lists and that hold stored data.",
    );
    text.samples(recorded, |row| Some(published(row)?.with_data as f64));
    text.gauge(
        "namespace_last_success_timestamp_seconds",
        "When the newest snapshot of the namespace was published.",
    );
    text.samples(recorded, |row| Some(seconds(published(row)?.recorded_at)));
    text.gauge("namespace_missing", "1 if the namespace no longer exists.");
    text.samples(recorded, |row| Some(one_if(row.namespace.missing_since.is_some())));
    text.gauge("namespace_held", "1 if a held snapshot waits for a decision.");
    text.samples(recorded, |row| Some(one_if(row.unpublished.held_snapshot_id.is_some())));
}

type Label<'a> = (&'static str, &'a str);

fn labels_of(namespace: &NamespaceOutcome) -> [Label<'_>; 3] {
    [
        ("account_id", namespace.account.as_str()),
        ("namespace_id", namespace.namespace.as_str()),
        ("name", namespace.name.as_deref().unwrap_or_default()),
    ]
}

fn seconds(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp_nanos() as f64 / 1e9
}

fn one_if(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// The rendered lines, and the name of the current metric family. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String, String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        self.1 = format!("durable_inventory_{name}");
        let _ = write!(self.0, "# HELP {0} {help}\n# TYPE {0} gauge\n", self.1);
    }

    /// A sample of each namespace that has a value.
    fn samples(&mut self, recorded: &[ReportRow], value: impl Fn(&ReportRow) -> Option<f64>) {
        for row in recorded {
            let NamespaceRecord {
                account_id,
                namespace_id,
                name,
                ..
            } = &row.namespace;
            let labels = [
                ("account_id", account_id.as_str()),
                ("namespace_id", namespace_id.as_str()),
                ("name", name.as_deref().unwrap_or_default()),
            ];
            if let Some(value) = value(row) {
                self.sample(&labels, value);
            }
        }
    }

    fn sample(&mut self, labels: &[Label<'_>], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{}{labels} {value}", self.1);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_said_of_the_record_stays() {
        let earlier = "# HELP durable_inventory_run_seconds x\ndurable_inventory_run_seconds 1\n\
                       # HELP durable_inventory_namespace_objects y\n# TYPE durable_inventory_namespace_objects gauge\n\
                       durable_inventory_namespace_objects{name=\"a b\"} 3\n\
                       durable_inventory_namespace_seconds{name=\"a\"} 3\n";
        let kept: Vec<_> = earlier
            .lines()
            .skip(2)
            .take(3)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(of_record(earlier), kept.concat());
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd{}"), "a\\\\b\\\"c\\nd{}");
    }
}
