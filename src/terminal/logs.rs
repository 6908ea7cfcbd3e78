//! Logs on stderr, as text or JSON.

use durable_inventory::cli::{GlobalArgs, LogFormat};
use time::macros::format_description;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::Screen;
use super::suggested::Completing;

/// Whether the driver may have logged a secret. It quotes what it does not understand of a database URL or of .pgpass,
/// which may be a password. Its messages about a file, which have a path, are safe.
fn may_quote_a_secret(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("sqlx_postgres::options") && metadata.fields().field("path").is_none()
}

/// Starts logging, filtered by RUST_LOG; by default `info` of this program, or only warnings with --quiet.
pub fn start(global: &GlobalArgs, screen: &Screen) {
    // A connection that the server ended is noticed when it is next used, and reported once there. sqlx would also warn
    // when it returns to the pool.
    let default = if global.quiet {
        "warn,sqlx_core::pool=error"
    } else {
        "warn,sqlx_core::pool=error,durable_inventory=info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(screen.clone())
        // RFC 3339 with milliseconds: nanoseconds would fill a third of the line.
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
            let screen = screen.clone();
            let lines = lines.with_writer(move || Completing(screen.clone()));
            registry.with(lines.with_target(false).with_ansi(colours)).init();
        }
    }
}
