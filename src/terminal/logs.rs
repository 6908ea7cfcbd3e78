//! Logs on stderr: lines for people, or JSON.

use durable_inventory::cli::{GlobalArgs, LogFormat};
use time::macros::format_description;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::Screen;

/// While the driver reads a database's URL or .pgpass it quotes the parameters and lines that it does not understand, in
/// which a password may stand. What it says of a file by its path helps, and stays.
fn may_quote_a_secret(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("sqlx_postgres::options") && metadata.fields().field("path").is_none()
}

/// RUST_LOG says which logs there are; without it, `info` of this program, or only warnings when asked to be quiet.
pub fn start(global: &GlobalArgs, screen: &Screen) {
    let default = if global.quiet {
        "warn"
    } else {
        "warn,durable_inventory=info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(screen.clone())
        // RFC 3339, without the nanoseconds that fill a third of the line.
        .with_timer(UtcTime::new(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        )));
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(|metadata| !may_quote_a_secret(metadata)));
    match global.log_format {
        LogFormat::Json => registry.with(lines.json()).init(),
        LogFormat::Text => {
            let colours = screen.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry.with(lines.with_target(false).with_ansi(colours)).init();
        }
    }
}
