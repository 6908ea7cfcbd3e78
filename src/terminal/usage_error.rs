//! Errors in the command line, without the secrets in them: a key in the wrong place must not reach cron's mail or the
//! journal by the very message that refuses it.

use std::process::ExitCode;

use clap::Error;
use durable_inventory::text::{address, may_hold_a_secret};

use super::err;

/// Prints the error, or the help or version that clap returns as one, and returns the exit code.
pub fn report(error: &Error, args: impl Iterator<Item = String>) -> ExitCode {
    let rendered = error.render().to_string();
    let shown = redacted(rendered.clone(), args);
    if error.use_stderr() && shown != rendered {
        err(shown.trim_end());
    } else {
        // If that cannot be written, there is nowhere to report it.
        let _closed = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn redacted(mut message: String, args: impl Iterator<Item = String>) -> String {
    for arg in args {
        let value = match arg.split_once('=') {
            Some((option, value)) if option.starts_with('-') => value,
            _ => &arg,
        };
        if may_hold_a_secret(value) {
            let shown = address(value);
            message = message.replace(value, &shown);
            message = message.replace(&value.escape_debug().to_string(), &shown);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use durable_inventory::cli::Cli;

    use super::*;

    #[test]
    fn a_key_in_a_mistyped_place_is_not_shown() {
        let object = "0".repeat(64);
        for args in [
            &["export", "objects", "--output", "s3://KEY:s3cret/mark@bucket/x"][..],
            &["export", "objects", "--output=s3://KEY:s3cret@bucket/x"],
            &["export", "objects", "--output", "s3://KEY:s3cret"],
            &["export", "objects", "--as-of", "s3://KEY:s3cret@bucket/x"],
            &["export", "verify", "http://KEY:s3cret@bucket/x"],
            &["sync", "--export", "https://acct.blob.core.windows.net/c/a?sig=s3cret"],
            &["sync", "postgres://u:s3cret@host/d"],
            &["sync", "--database=postgres://u:s3cret@host/d"],
            &["sync", "--limit", "u:s3cret@host/d"],
            &["diff", "https://host/a?sig=s3cret", "latest"],
            &["diff", "latest", "host=h password=s3cret"],
            &["history", "--account", "a", &object, "https://u:s3cret@host"],
            &["https://u:s3cret@host"],
        ] {
            let args = [&["durable-inventory"], args].concat();
            let error = Cli::try_parse_from(&args).unwrap_err();
            let shown = redacted(error.render().to_string(), args.iter().map(|arg| (*arg).to_owned()));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn the_misplaced_argument_is_still_named() {
        let args = ["durable-inventory", "diff", "s3://KEY:s3cret@bucket/x", "latest"];
        let error = Cli::try_parse_from(args).unwrap_err();
        let shown = redacted(error.render().to_string(), args.into_iter().map(str::to_owned));
        assert!(
            shown.starts_with("error: invalid value 's3://…' for '<FROM>': an object store's"),
            "{shown}"
        );
    }
}
