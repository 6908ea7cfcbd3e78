//! The simulator as a server, for the demonstration and for benchmarks.

use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use cloudflare_simulator::{
    Account, Computed, CursorKey, DEMO_ACCOUNT, DEMO_TOKEN, Namespace, Objects, Order, Quota, Simulator, State,
};

/// Serves Cloudflare's Durable Object listings on the loopback address
#[derive(Parser)]
#[command(name = "cloudflare-simulator")]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serves the demonstration's account
    #[arg(long)]
    demo: bool,
    /// Serves the demonstration's account in the size for a month of daily runs
    #[arg(long)]
    demo_month: bool,
    /// Adds a namespace with so many computed objects; repeatable
    #[arg(long, value_name = "NAME=COUNT")]
    namespace: Vec<Named>,
    /// Account of the added namespaces
    #[arg(long, default_value = DEMO_ACCOUNT)]
    account: String,
    /// Token that may read that account
    #[arg(long, default_value = DEMO_TOKEN)]
    token: String,
    /// Waits so long before every answer, such as 250ms
    #[arg(long, value_parser = duration, default_value = "0ms")]
    latency: Duration,
    /// Keeps a rate limit, such as 1200/300s
    #[arg(long, value_parser = quota)]
    quota: Option<Quota>,
    /// Hands out cursors in both places: the official SDKs look for them in another than the documented one
    #[arg(long)]
    both_cursors: bool,
    /// Serves the added namespaces in no order, with opaque cursors
    #[arg(long)]
    shuffled: bool,
    /// Keeps the added namespaces' answers in memory, 1 MB for each 10,000 objects: those that were given once cost
    /// nothing
    #[arg(long)]
    keep_answers: bool,
    /// Ends when stdin does, so that it does not outlive the script that holds the other end
    #[arg(long)]
    until_eof: bool,
}

#[derive(Clone)]
struct Named {
    name: String,
    count: u64,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, count) = text.split_once('=').ok_or("expected NAME=COUNT")?;
        let count = count.replace('_', "").parse().map_err(|_| "COUNT is not a number")?;
        Ok(Self {
            name: name.to_owned(),
            count,
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| "expected a number and a unit")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        _ => Err("the unit is one of ms, s, m".to_owned()),
    }
}

fn quota(text: &str) -> Result<Quota, String> {
    let (requests, window) = text.split_once('/').ok_or("expected REQUESTS/WINDOW")?;
    let requests = requests.parse().map_err(|_| "REQUESTS is not a number")?;
    Ok(Quota::new(requests, duration(window)?))
}

fn state(arguments: &Arguments) -> State {
    let mut state = if arguments.demo_month {
        State::demo_month()
    } else if arguments.demo {
        State::demo()
    } else {
        State::default()
    };
    let account: &mut Account = state.accounts.entry(arguments.account.clone()).or_default();
    account.credentials.push(format!("Bearer {}", arguments.token));
    for (seed, Named { name, count }) in (0..).zip(&arguments.namespace) {
        let mut namespace = Namespace::new(&arguments.account, name);
        namespace.set_objects(Objects::Computed(Computed { count: *count, seed }));
        if arguments.both_cursors {
            namespace.cursor_key = CursorKey::Both;
        }
        if arguments.shuffled {
            namespace.order = Order::Shuffled(seed);
        }
        namespace.keeps_answers = arguments.keep_answers;
        state.namespaces.push(namespace);
    }
    state.latency = arguments.latency;
    state.traffic.quota = arguments.quota;
    state
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let simulator = Simulator::serve(state(&arguments), arguments.port).await?;
    let mut stdout = io::stdout();
    // Scripts read these two lines: the address and the account.
    writeln!(stdout, "listening on {}", simulator.base_url())?;
    writeln!(stdout, "account {}", arguments.account)?;
    stdout.flush()?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        () = end_of_stdin(), if arguments.until_eof => Ok(()),
    }
}

async fn end_of_stdin() {
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread, because a read of stdin can't be cancelled.
    std::thread::spawn(move || {
        let _read = io::copy(&mut io::stdin(), &mut io::sink());
        let _sent = ended.send(());
    });
    let _end = end.await;
}
