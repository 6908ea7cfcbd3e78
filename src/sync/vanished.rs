//! Whether namespaces that vanished in a run are missing. If many vanish at once, the token may see less than before:
//! none is marked until a person accepts it (`accept_missing.rs`).

use std::collections::HashSet;

use tracing::warn;

use crate::model::AccountId;
use crate::store::{PresentNamespace, Store, StoreError};
use crate::text::{chain, first_names, shown};

use super::SUMMARIZED;
use super::attempt::log_outcome;
use super::end_walk::VANISHED;
use super::namespace::Run;
use super::outcome::{MassVanishing, Status};
use super::retry_database::{SyncError, retry_database};
use super::run::Walked;

/// Number of an account's namespaces that may vanish at once, unless they are all of them.
const MOST_AT_ONCE: usize = 2;
/// Above this share of an account's namespaces, more than [`MOST_AT_ONCE`] are held.
const MOST_PERCENT: usize = 30;
/// Namespaces that a message names.
const NAMED: usize = 10;

/// Marks the namespaces that vanished as missing, account by account, or holds all of an account's.
pub(super) async fn settle(run: &Run<'_>, store: &Store, walked: &mut [Walked<'_>]) -> Vec<MassVanishing> {
    let mut held = Vec::new();
    let accounts: Vec<i32> = walked
        .iter()
        .filter(|one| one.has_vanished())
        .map(|one| one.planned.account_key)
        .collect();
    let mut settled = HashSet::new();
    for account_key in accounts {
        if !settled.insert(account_key) {
            continue;
        }
        // Namespaces that the list lacks count even if the run could not ask for their objects.
        let absent: HashSet<i32> = walked
            .iter()
            .filter(|one| one.planned.account_key == account_key && one.may_be_gone())
            .map(|one| one.planned.key)
            .collect();
        let lost = SyncError::is_connection_error;
        let present = async || Ok(store.present_namespaces(account_key).await?);
        let present = retry_database(store, run.settings, run.stop, lost, present).await;
        let mut vanished: Vec<_> = walked
            .iter_mut()
            .filter(|one| one.planned.account_key == account_key && one.has_vanished())
            .collect();
        match present.map(|present| count(&present, &absent)) {
            Ok((gone, all)) if is_mass(gone, all) => {
                held.push(hold(&mut vanished, gone, all));
            }
            Ok(_) => {
                for one in vanished {
                    let mark = async || Ok(mark(run, one).await?);
                    let marked = retry_database(store, run.settings, run.stop, lost, mark).await;
                    (one.outcome.status, one.outcome.error) = match marked {
                        Ok((status, why)) => (status, Some(why)),
                        Err(error) => (Status::Interrupted, Some(chain(&error))),
                    };
                    log_outcome(&one.outcome);
                }
            }
            Err(error) => {
                for one in vanished {
                    (one.outcome.status, one.outcome.error) = (Status::Interrupted, Some(chain(&error)));
                    log_outcome(&one.outcome);
                }
            }
        }
    }
    held
}

/// The account's namespaces that vanished, and all that it had. Previews come and go, so they do not count.
fn count(present: &[PresentNamespace], absent: &HashSet<i32>) -> (usize, usize) {
    let lasting = present.iter().filter(|there| !there.is_preview);
    let gone = lasting
        .clone()
        .filter(|there| there.has_vanished || absent.contains(&there.key));
    (gone.count(), lasting.count())
}

fn is_mass(gone: usize, all: usize) -> bool {
    gone > 0 && (gone == all || (gone > MOST_AT_ONCE && gone * 100 > all * MOST_PERCENT))
}

fn hold(vanished: &mut [&mut Walked<'_>], gone: usize, all: usize) -> MassVanishing {
    let names = first_names(vanished.iter().map(|one| one.planned.namespace.label()), NAMED);
    let account: AccountId = vanished[0].planned.account.id.clone();
    let why = format!(
        "{gone} of {all} namespaces vanished at once: they are no longer listed, and their object lists return 404. \
         The token may have lost permissions, so none is marked as missing: {names}. If they were removed, run \
         `durable-inventory namespaces accept-missing`; otherwise give the token access to them again"
    );
    warn!(target: SUMMARIZED, account = %account, "{why}");
    for one in vanished {
        let why = "no longer listed, and its object list returns 404, but not marked as missing, because many namespaces vanished at once";
        one.outcome.error = Some(why.to_owned());
    }
    MassVanishing { account, why }
}

/// Marks a namespace as missing, if nobody else has held its lock since it was found to have vanished.
async fn mark(run: &Run<'_>, one: &Walked<'_>) -> Result<(Status, String), StoreError> {
    let taken_over = || (Status::Interrupted, "another run took over this namespace".to_owned());
    let connection = run.locks.connection().await?;
    let Some(lease) = connection.try_acquire(one.planned.key).await? else {
        return Ok(taken_over());
    };
    let marked = async {
        if !lease.follows(one.lease) {
            return Ok(taken_over());
        }
        if !lease.mark_missing().await? {
            return Ok((Status::Interrupted, "it is listed again".to_owned()));
        }
        lease.drop_unfinished_walk(VANISHED).await?;
        Ok((Status::Missing, VANISHED.to_owned()))
    }
    .await;
    if let Err(error) = lease.release().await {
        warn!(namespace = %one.planned.namespace.id, name = shown(one.planned.namespace.label()), "{}", chain(&error));
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_or_all_are_held() {
        for (gone, all, held) in [
            (0, 0, false),
            (0, 5, false),
            (1, 1, true),
            (2, 2, true),
            (1, 2, false),
            (2, 3, false),
            (3, 10, false),
            (3, 9, true),
            (4, 10, true),
            (30, 100, false),
            (31, 100, true),
        ] {
            assert_eq!(is_mass(gone, all), held, "{gone} of {all}");
        }
    }

    #[test]
    fn previews_do_not_count() {
        let there = |key, is_preview, has_vanished| PresentNamespace {
            key,
            is_preview,
            has_vanished,
        };
        let present = [
            there(1, false, false),
            there(2, false, true),
            there(3, false, false),
            there(4, true, true),
        ];
        assert_eq!(count(&present, &HashSet::from([1, 4])), (2, 3));
    }

    #[test]
    fn a_message_names_some() {
        let all: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
        assert_eq!(first_names(all[..2].iter().map(String::as_str), NAMED), "n0, n1");
        let long = first_names(all.iter().map(String::as_str), NAMED);
        assert!(long.ends_with("n9 and 2 more"), "{long}");
    }
}
