//! Logs on stderr: full lines of text or JSON, or short ones for a person at a terminal.

use durable_inventory::cli::{Cli, Command, LogFormat, OutputFormat};
use durable_inventory::sync::SUMMARIZED;
use time::macros::format_description;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::look::Look;
use super::progress::Screen;
use super::short_logs::ShortLines;
use super::suggested::Completing;

/// Whether the driver may have logged a secret. It quotes what it does not understand of a database URL or of .pgpass,
/// which may be a password. Its messages about a file, which have a path, are safe.
fn may_quote_a_secret(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("sqlx_postgres::options") && metadata.fields().field("path").is_none()
}

/// Starts logging, filtered by RUST_LOG; by default `info` of this program, or only warnings with --quiet. On a
/// terminal the lines are short, unless RUST_LOG asks for what is in the full ones.
pub fn start(cli: &Cli, screen: &Screen) {
    let global = &cli.global;
    // A connection that the server ended is noticed when it is next used, and reported once there. sqlx would also warn
    // when it returns to the pool.
    let default = if global.quiet {
        "warn,sqlx_core::pool=error"
    } else {
        "warn,sqlx_core::pool=error,durable_inventory=info"
    };
    let asked = EnvFilter::try_from_default_env();
    let is_short = asked.is_err() && screen.is_terminal();
    let filter = asked.unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(screen.clone())
        // RFC 3339 with milliseconds: nanoseconds would fill a third of the line.
        .with_timer(UtcTime::new(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        )));
    let is_short = is_short && global.log_format == LogFormat::Text;
    let is_repeated = is_short && is_summary_on_screen(cli);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(move |metadata| {
            !(may_quote_a_secret(metadata) || is_repeated && metadata.target() == SUMMARIZED)
        }));
    match global.log_format {
        LogFormat::Json => registry.with(lines.json()).init(),
        LogFormat::Text => {
            let (writer, colours) = (screen.clone(), Look::stderr().colours);
            let lines = lines.with_writer(move || Completing(writer.clone()));
            match is_short {
                true => {
                    let short = ShortLines::new(screen.clone(), is_repeated);
                    registry.with(lines.event_format(short)).init();
                }
                false => registry.with(lines.with_target(false).with_ansi(colours)).init(),
            }
        }
    }
}

/// Whether the person who sees the log also sees the summary of a sync, which says what went wrong.
fn is_summary_on_screen(cli: &Cli) -> bool {
    let is_text = matches!(&cli.command, Command::Sync(args) if args.output.format() == OutputFormat::Text);
    is_text && !cli.global.quiet && Look::is_one_screen()
}
