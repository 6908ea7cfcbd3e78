//! What the program writes as JSON has a version, and is what the schemas in docs/schemas say.

use boon::{Compiler, Schemas};
use cloudflare_simulator::{Simulator, hex};
use serde_json::Value;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, Ended, program, run, simulator};

/// Compares every line of stdout with a schema, and returns how many there are.
fn checked(ended: &Ended, schema: &str) -> usize {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let path = format!("{}/docs/schemas/{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let index = compiler.compile(&path, &mut schemas).unwrap();
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ended:#?}")))
        .collect();
    for line in &lines {
        assert_eq!(line["version"], 1, "{line}");
        if let Err(error) = schemas.validate(line, index) {
            panic!("{schema}: {error:#}\n{line}");
        }
        // The reverse: the schema describes every key.
        let described: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for key in line.as_object().unwrap().keys() {
            assert!(described["properties"].get(key).is_some(), "{schema}: {key}");
        }
    }
    lines.len()
}

struct Bench {
    simulator: Simulator,
    database: TestDatabase,
}

impl Bench {
    fn run(&self, args: &[&str]) -> Ended {
        run(program(&self.simulator, &self.database, args))
    }

    /// Checks what a command writes with `--json`.
    fn check(&self, args: &[&str], schema: &str) -> usize {
        checked(&self.run(&[args, &["--json"]].concat()), schema)
    }
}

#[tokio::test]
async fn each_is_what_its_schema_says() {
    let bench = Bench {
        simulator: simulator().await,
        database: fresh_database().await,
    };
    let prune = ["prune", "--older-than", "1ms"];
    assert_eq!(
        (bench.check(&["report"], "report"), bench.check(&prune, "prune")),
        (1, 1)
    );

    let rooms = bench.simulator.add_namespace(ACCOUNT, "chat_Room");
    let carts = bench.simulator.add_namespace(ACCOUNT, "shop_Cart");
    let gone = bench.simulator.add_namespace(ACCOUNT, "shop_Cart_pr-1");
    for (namespace, count, seed) in [(&rooms, 30, 1), (&carts, 20, 2), (&gone, 3, 3)] {
        bench.simulator.seed(namespace, count, seed);
    }
    let sync = ["sync", "--quota", "1000000/1s", "--cursors", "1"];
    assert_eq!(bench.check(&sync, "sync"), 1);
    let id = *bench.simulator.truth(&rooms).keys().next().unwrap();
    bench.simulator.remove_object(&rooms, &id);
    bench.simulator.put_object(&rooms, [7; 32], None);
    bench.simulator.seed(&carts, 1, 4);
    bench.simulator.remove_namespace(&gone);
    let second = bench.run(&[&sync[..], &["--json"]].concat());
    let statuses: Vec<_> = second.json()["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["complete", "held", "missing"], "{second:#?}");
    checked(&second, "sync");

    assert_eq!(bench.check(&["namespaces"], "namespaces"), 3);
    assert_eq!(bench.check(&["snapshots"], "snapshots"), 6);
    assert_eq!(bench.check(&["history", &hex(&id)], "history"), 1);
    assert_eq!(bench.check(&["report"], "report"), 1);
    assert_eq!(bench.check(&["diff", "latest~1", "latest"], "diff"), 2);
    assert_eq!(
        bench.check(&["diff", "latest~1", "latest", "--summary"], "diff-summary"),
        1
    );
    assert_eq!(bench.check(&[&prune[..], &["--dry-run"]].concat(), "prune"), 1);
    assert_eq!(bench.check(&prune, "prune"), 1);

    assert_eq!(bench.check(&["check"], "check"), 1);
    let mut nowhere = program(&bench.simulator, &bench.database, &["check", "--json"]);
    nowhere.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere?sslmode=disable");
    let nowhere = run(nowhere);
    assert_eq!(
        (nowhere.code, &nowhere.json()["ok"]),
        (Some(2), &false.into()),
        "{nowhere:#?}"
    );
    checked(&nowhere, "check");

    let mut refused = program(&bench.simulator, &bench.database, &[&sync[..], &["--json"]].concat());
    refused.env("CLOUDFLARE_API_TOKEN", "another");
    let refused = run(refused);
    assert_eq!(
        refused.json()["accounts_failed"].as_array().unwrap().len(),
        1,
        "{refused:#?}"
    );
    checked(&refused, "sync");
}
