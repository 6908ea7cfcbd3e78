use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;
use crate::report::ReportOptions;
use crate::units::Cursors;

const OBJECT: &str = "fe7803fc55b964e09d94666545aab688d360c6bda69ba349ced1e5f28d2fc2c8";

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["durable-inventory"].iter().chain(args))
}

fn psql(args: &[&str]) -> (Cli, Vec<OsString>) {
    let mut cli = parse(args).unwrap();
    match &mut cli.command {
        Command::Psql(psql) => {
            let args = std::mem::take(&mut psql.args);
            (cli, args)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

/// Every command with its full name, the root included; not clap's own `help`.
fn commands() -> Vec<(String, clap::Command)> {
    fn collect(command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        all.push((
            command.get_display_name().unwrap_or_default().to_owned(),
            command.clone(),
        ));
        for within in command.get_subcommands().filter(|within| within.get_name() != "help") {
            collect(within, all);
        }
    }
    let mut root = Cli::command().term_width(80);
    root.build();
    let mut all = Vec::new();
    collect(&root, &mut all);
    all
}

fn examples_and_before(command: &clap::Command) -> (String, String) {
    let help = command.get_after_long_help().unwrap().to_string();
    let (before, examples) = help.split_once("Examples:\n").unwrap();
    (before.to_owned(), examples.to_owned())
}

#[test]
fn every_option_is_explained_and_every_command_has_two_examples() {
    for (name, command) in commands() {
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{name}: {}", arg.get_id());
        }
        let (_, examples) = examples_and_before(&command);
        assert!(examples.matches("durable-inventory").count() >= 2, "{name}");
    }
}

#[test]
fn the_short_help_of_every_command_fits_one_screen() {
    for (name, mut command) in commands() {
        let help = command.render_help().to_string();
        assert!(
            help.lines().count() <= 24,
            "{name}: {} lines\n{help}",
            help.lines().count()
        );
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}

#[test]
fn every_option_is_in_a_group_and_the_long_help_shows_all_of_them() {
    for (name, mut command) in commands() {
        let help = command.render_long_help().to_string();
        for arg in command.get_arguments() {
            if let Some(long) = arg.get_long() {
                assert!(help.contains(&format!("--{long}")), "{name}: {long}");
            }
        }
        let ungrouped = |arg: &&clap::Arg| arg.get_help_heading().is_none() && !arg.is_positional();
        let ungrouped = command.get_arguments().filter(ungrouped).count();
        assert!(ungrouped <= 2, "{name}: {ungrouped} options without a group");
    }
}

/// Wider ones would be broken wherever a terminal ends, and leave words on lines of their own.
#[test]
fn the_help_of_diff_and_all_tables_fit_a_terminal() {
    for (name, command) in commands() {
        if name == "durable-inventory-diff" {
            for line in command.get_after_long_help().unwrap().to_string().lines() {
                assert!(line.len() <= 78, "{line}");
            }
        }
        let (before, _) = examples_and_before(&command);
        for line in before.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.len() <= 78, "{line}");
        }
    }
}

/// A flag is off by default, so only options with a value have to say it.
#[test]
fn the_help_tells_every_default() {
    for (name, command) in commands() {
        let optional = |arg: &&clap::Arg| arg.get_action().takes_values() && !arg.is_required_set();
        for arg in command.get_arguments().filter(optional) {
            let told = arg.get_help().unwrap().to_string().contains("[default:");
            assert!(told || !arg.get_default_values().is_empty(), "{name}: {}", arg.get_id());
        }
    }
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    for args in [["--config", "a.toml", "migrate"], ["migrate", "--config", "a.toml"]] {
        assert_eq!(parse(&args).unwrap().global.config, Some("a.toml".into()));
    }
    let cli = parse(&["-q", "sync", "--log-format", "json", "--no-migrate"]).unwrap();
    assert!(cli.global.quiet && cli.global.no_migrate);
    assert_eq!(cli.global.log_format, LogFormat::Json);
}

#[test]
fn sync_reads_its_options() {
    let args = "sync --namespace a --namespace b* --account acc --limit 10 --concurrency 64 --cursors 8 --deadline 50m --quota 600/5m \
                --quota-share 100 --retry-for 1s --max-removed-percent 0 --accept-removals --output json";
    let cli = parse(&args.split_whitespace().collect::<Vec<_>>()).unwrap();
    let Command::Sync(sync) = cli.command else {
        panic!("{:?}", cli.command)
    };
    assert_eq!(sync.namespace.len(), 2);
    assert_eq!(sync.account[0].as_str(), "acc");
    assert_eq!((sync.limit, sync.concurrency), (Some(10), Some(64)));
    assert_eq!(sync.cursors, Some(Cursors::Exactly(8)));
    assert_eq!(sync.deadline, Some(Duration::from_secs(3_000)));
    assert_eq!(sync.quota.unwrap().to_string(), "600/300s");
    assert_eq!((sync.quota_share, sync.max_removed_percent), (Some(100), Some(0)));
    assert!(sync.accept_removals);
    assert_eq!(sync.output.format, OutputFormat::Json);
}

#[test]
fn values_out_of_range_are_usage_errors() {
    for option in [
        "--limit=9",
        "--limit=10001",
        "--concurrency=0",
        "--concurrency=65",
        "--cursors=0",
        "--cursors=33",
        "--cursors=all",
        "--quota-share=0",
        "--quota-share=101",
        "--max-removed-percent=101",
        "--max-removed-floor=-1",
        "--quota=0/300s",
        "--retry-for=0s",
        "--deadline=50",
        "--namespace=[",
        "--namespace=",
        "--account=a/b",
        "--output=xml",
        "--data-dir=",
    ] {
        let error = parse(&["sync", option]).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{option}");
    }
}

#[test]
fn psql_gets_its_own_arguments() {
    assert_eq!(psql(&["psql"]).1, [""; 0]);
    assert_eq!(
        psql(&["psql", "-c", "select 1", "--quiet"]).1,
        ["-c", "select 1", "--quiet"]
    );
    assert_eq!(
        psql(&["psql", "-v", "a=1", "-f", "x.sql"]).1,
        ["-v", "a=1", "-f", "x.sql"]
    );
    assert_eq!(psql(&["psql", "--", "--help"]).1, ["--help"]);
    assert_eq!(psql(&["psql", "-tAc", "select 1"]).1, ["-tAc", "select 1"]);
    let (cli, args) = psql(&["psql", "--data-dir", "/d", "--csv", "-c", "select 1"]);
    assert_eq!(cli.global.data_dir, Some("/d".into()));
    assert_eq!(args, ["--csv", "-c", "select 1"]);
}

#[test]
fn object_ids_come_in_either_case_and_errors_say_what_is_wrong() {
    for id in [OBJECT.to_owned(), OBJECT.to_uppercase()] {
        let Command::History(history) = parse(&["history", &id]).unwrap().command else {
            panic!()
        };
        assert_eq!(history.object.to_string(), OBJECT);
    }
    let message = |id: &str| parse(&["history", id]).unwrap_err().to_string();
    assert!(message(&OBJECT[1..]).contains("an object id is 64 hex digits, not 63"));
    assert!(message(&OBJECT.replace('f', "g")).contains("an object id is 64 hex digits; 'g' is not one"));
    assert_eq!(
        parse(&["history"]).unwrap_err().kind(),
        ErrorKind::MissingRequiredArgument
    );
}

#[test]
fn no_option_takes_a_secret() {
    for option in [
        "--token=x",
        "--api-token=x",
        "--api-key=x",
        "--database-url=x",
        "--password=x",
    ] {
        assert_eq!(
            parse(&["sync", option]).unwrap_err().kind(),
            ErrorKind::UnknownArgument,
            "{option}"
        );
    }
}

#[test]
fn a_notification_finds_what_a_report_finds() {
    let Command::Report(args) = parse(&["report"]).unwrap().command else {
        panic!("another command")
    };
    let options = ReportOptions {
        growth_factor: args.growth_factor,
        growth_floor: args.growth_floor,
        stale_after: args.stale_after,
        days: args.days,
    };
    assert_eq!(options, ReportOptions::default());
}
