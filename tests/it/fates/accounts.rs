//! Several accounts in one run, and tokens that see a part of one.

use cloudflare_simulator::{Answer, Fault, Sight, When};

use super::{LIMIT, recorded};
use crate::support::account::{OTHER, missing, outcomes, two_accounts};
use crate::support::ledger::{everything, objects, truth};
use crate::support::program::{ACCOUNT, Ended, TOKEN, run, sync, sync_by_file};

/// The first account's list does not come until the second account's namespace was requested.
#[tokio::test]
async fn a_list_that_is_slow_to_come_keeps_no_other_account_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (simulator, database, file, [mine, others]) = two_accounts(folder.path()).await;
    // Down for as long as the other account's objects were not requested.
    simulator.list_fault(ACCOUNT, When::Always, Fault::Answer(Answer::html(503)));
    let hold = simulator.hold_at(&others, 1);
    let mut command = sync_by_file(
        &simulator,
        &database,
        &file,
        &["--quota", "1000000/1s", "--retry-for", "60s"],
    );
    command.env("TOKEN", TOKEN);
    let child = command.spawn().unwrap();
    hold.wait_until_held().await;
    simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().faults.clear());
    hold.release();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // The outcomes stand in the order of the accounts.
    let told = ended.json()["namespaces"].clone();
    assert_eq!(told[0]["account_id"], ACCOUNT);
    assert_eq!(told[1]["account_id"], OTHER);
    for namespace in [&others, &mine] {
        assert_eq!(objects(&database, namespace).await, truth(&simulator, namespace));
    }
}

/// A token that is limited to some Workers: what it sees is recorded, and nothing else is marked as missing.
#[tokio::test]
async fn a_token_that_sees_a_part_of_an_account_hides_nothing() {
    let forbidden = || Answer::error(403, 10000, "Authentication error");
    let not_found = || Answer::error(404, 10066, "Durable Object namespace not found");
    // Whether the others are listed, the response to a request for their objects, the exit code and their outcome.
    for (lists_others, others, code, outcome) in [
        (true, forbidden(), 3, "interrupted"),
        (true, not_found(), 3, "interrupted"),
        (false, forbidden(), 3, "interrupted"),
        (false, not_found(), 5, "vanished"),
    ] {
        let (simulator, database, namespaces) = recorded(5).await;
        let mut before = Vec::new();
        for namespace in &namespaces {
            before.push(everything(&database, namespace).await);
        }
        let sight = Sight {
            namespaces: namespaces[..2].to_vec(),
            lists_others,
            others: others.clone(),
        };
        simulator.limit_token(ACCOUNT, TOKEN, sight);
        simulator.put_object(&namespaces[0], [0xab; 32], Some(true));
        let ended = run(sync(&simulator, &database, LIMIT));
        let what = format!("{lists_others} {others:?}: {ended:#?}");
        assert_eq!(ended.code, Some(code), "{what}");
        assert_eq!(outcomes(&ended)[..2], ["complete", "complete"], "{what}");
        assert_eq!(outcomes(&ended)[2..], [outcome; 3], "{what}");
        assert_eq!(missing(&database).await, [""; 0], "{what}");
        assert_eq!(
            objects(&database, &namespaces[0]).await,
            truth(&simulator, &namespaces[0])
        );
        for (namespace, before) in namespaces.iter().zip(&before).skip(2) {
            assert_eq!(everything(&database, namespace).await, *before, "{what}");
        }
        // As soon as the token sees all of it, all of it is recorded.
        simulator.with(|state| state.accounts.get_mut(ACCOUNT).unwrap().sights.clear());
        let ended = run(sync(&simulator, &database, LIMIT));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(outcomes(&ended), ["complete"; 5]);
    }
}
