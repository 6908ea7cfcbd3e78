use super::*;

/// The token and the account that the file supplies, and what is reported of it.
fn read(text: &str) -> (Option<String>, DotEnvReport) {
    given()
        .variable("CLOUDFLARE_ACCOUNT_ID", A)
        .file(".env", text)
        .run(|settings, args| {
            let found = settings.sync(args).ok();
            let found = found.map(|config| token(&config.accounts[0]).to_owned());
            let mut report = settings.dot_env_report();
            // Every file here is readable by others, as far as the umask permits.
            report
                .problems
                .retain(|problem| !problem.contains("other users can read it"));
            Ok((found, report))
        })
        .unwrap()
}

fn token_of(text: &str) -> Option<String> {
    let (token, report) = read(text);
    assert_eq!(report.problems, [""; 0], "{text:?}");
    token
}

#[test]
fn the_usual_syntax_is_understood() {
    for text in [
        "CLOUDFLARE_API_TOKEN=abc",
        "CLOUDFLARE_API_TOKEN=abc\n",
        "\u{feff}CLOUDFLARE_API_TOKEN=abc\r\n",
        "  export\tCLOUDFLARE_API_TOKEN = abc  # comment",
        "CLOUDFLARE_API_TOKEN=\"abc\" # comment",
        "CLOUDFLARE_API_TOKEN='abc'#comment",
        "CLOUDFLARE_API_TOKEN=`abc`",
        "# CLOUDFLARE_API_TOKEN=x\n\nCLOUDFLARE_API_TOKEN=x\nCLOUDFLARE_API_TOKEN=abc",
        "export=1\nCLOUDFLARE_API_TOKEN=abc",
        "KEY=\"-----BEGIN\nCLOUDFLARE_API_TOKEN=x\n\\\"-----END\"\nCLOUDFLARE_API_TOKEN=abc",
        "A=x#y\nB=# nothing\nCLOUDFLARE_API_TOKEN=abc",
        "cloudflare_api_token=x\nCLOUDFLARE_API_TOKEN_FILE=x\nCLOUDFLARE_API_TOKEN=abc\nCLOUDFLARE_API_TOKENS=x",
    ] {
        assert_eq!(token_of(text).as_deref(), Some("abc"), "{text:?}");
    }
    for text in [
        "",
        "\n\n",
        "CLOUDFLARE_API_TOKEN=",
        "CLOUDFLARE_API_TOKEN=''",
        "CLOUDFLARE_API_TOKEN= # abc",
    ] {
        assert_eq!(token_of(text), None, "{text:?}");
    }
    // The later, empty value counts.
    assert_eq!(token_of("CLOUDFLARE_API_TOKEN=abc\nCLOUDFLARE_API_TOKEN="), None);
}

#[test]
fn malformed_lines_are_counted_from_1_and_not_quoted() {
    for (text, told) in [
        ("s3cr3t", ".env:1: skipped, as the line is not NAME=value"),
        (
            "\n# x\nexport s3cr3t\r\nA=1",
            ".env:3: skipped, as the line is not NAME=value",
        ),
        ("A=1\nA B=s3cr3t", ".env:2: skipped, as the line is not NAME=value"),
        ("=s3cr3t", ".env:1: skipped, as the line is not NAME=value"),
        ("A='s3cr3t' x\nB=1", ".env:1: skipped, as the line is not NAME=value"),
        ("A=\"s3cr3t\nB=1\n", ".env:1: skipped, as the line is not NAME=value"),
        (
            "a\nb\nc\nd\ne\nf\ng",
            ".env: skipped lines 1, 2, 3, 4, 5 and 2 more, as they are not NAME=value",
        ),
    ] {
        let (_, report) = read(&format!("{text}\nCLOUDFLARE_API_TOKEN=abc"));
        assert!(
            matches!(&report.problems[..], [one] if one.ends_with(told)),
            "{text:?}: {report:?}"
        );
        assert_eq!(report.supplied, ["CLOUDFLARE_API_TOKEN"], "{text:?}");
        secrets::assert_clean(&format!("{report:?}"));
    }
}

/// Reading takes time in proportion to the file, whatever it has.
#[test]
fn hostile_files_are_read_in_time() {
    let begun = std::time::Instant::now();
    for line in ["A='", "A=\"\\", "A=\"\"\"", "'", "A=`\n'", "=", "A=\"x\nB='y\nC=`"] {
        let _ = read(&format!("{line}\n").repeat(65_000 / (line.len() + 1)));
    }
    assert!(begun.elapsed().as_secs() < 30);
}

#[test]
fn it_is_read_only_if_something_lacks() {
    let garbage = |given: Given| given.file(".env", "s3cr3t");
    let report = |given: Given| {
        garbage(given)
            .run(|settings, args| {
                let _ = settings.sync(args);
                Ok(settings.dot_env_report())
            })
            .unwrap()
    };
    assert_eq!(report(given_account()), DotEnvReport::default());
    assert_eq!(report(given()).problems.len(), 1);
    let own = given()
        .variable("T", "abc")
        .toml(&format!("[[accounts]]\nid = '{A}'\napi_token_env = 'T'"));
    assert_eq!(report(own), DotEnvReport::default());
}
