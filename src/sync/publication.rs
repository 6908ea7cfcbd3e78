//! The end of a proven walk: published, or held back for a person to decide.

use crate::model::{ChangeCounts, ChangeKind};
use crate::store::{Ending, ProvenWalk, PublishError, StoreError, Walk};
use crate::text::{chain, number, shell_word};

use super::attempt::AttemptResult;
use super::held::Decision;
use super::namespace::NamespaceSync;
use super::outcome::Status;

impl NamespaceSync<'_> {
    pub(super) async fn publish_or_hold(&self, walk: Walk) -> Result<AttemptResult, StoreError> {
        let (base, id) = (walk.base(), walk.snapshot_id());
        let mut proven = match walk.prove() {
            Ok(proven) => proven,
            Err(unproven) => {
                let why = unproven.to_string();
                return Ok(self.end(unproven.walk, Ending::Failed, why, 0).await);
            }
        };
        let changes = &proven.counts().changes;
        let lost = changes[ChangeKind::Removed] + changes[ChangeKind::DataUnknown];
        if let Some(base) = base
            && self.run.settings.removal_guard.holds(lost, base.objects)
        {
            let why = self.why_held(id, changes, base.objects);
            proven.hold(&why).await?;
            return Ok(AttemptResult::new(Status::Held, Some(why)));
        }
        if self.run.settings.rebuild
            && let Err(error) = proven.base_on_rows().await
        {
            return Ok(self.not_published(proven.into_walk(), PublishError::Store(error)).await);
        }
        self.publish(proven).await
    }

    fn why_held(&self, snapshot_id: i32, changes: &ChangeCounts, objects: u64) -> String {
        // The changes of a rebuild lead from the rows as they are, which a held snapshot's digest says nothing about.
        let accept = match self.run.settings.rebuild {
            true => format!(
                "durable-inventory sync --rebuild {} --accept-removals",
                shell_word(self.planned.namespace.id.as_str())
            ),
            false => Decision::Accept.command(snapshot_id),
        };
        format!(
            "This snapshot would {}. Publish it: `{accept}` Drop it: `{}`",
            loss(changes[ChangeKind::Removed], changes[ChangeKind::DataUnknown], objects),
            Decision::Discard.command(snapshot_id)
        )
    }

    async fn publish(&self, proven: ProvenWalk) -> Result<AttemptResult, StoreError> {
        match proven.publish().await {
            Ok(_) => Ok(AttemptResult::new(Status::Complete, None)),
            Err(unpublished) => Ok(self.not_published(unpublished.walk, unpublished.why).await),
        }
    }

    async fn not_published(&self, walk: Walk, why: PublishError) -> AttemptResult {
        let (how, why) = match why {
            // What was committed is kept: the next attempt publishes it.
            PublishError::Store(error) if error.leaves_walk_resumable() => return AttemptResult::of(&error),
            PublishError::Store(error) => (Ending::Failed, chain(&error)),
            PublishError::BaseIsStale => (Ending::Superseded, why.to_string()),
            PublishError::NotMissing => (Ending::Failed, why.to_string()),
            PublishError::DigestMismatch => {
                let why = format!(
                    "{why}, so nothing was published: something else changed the tables; `durable-inventory sync \
                     --rebuild {}` repairs them",
                    shell_word(self.planned.namespace.id.as_str())
                );
                (Ending::Failed, why)
            }
        };
        self.end(walk, how, why, 0).await
    }
}

/// What a snapshot would take away from a namespace of `objects`.
fn loss(removed: u64, unknown: u64, objects: u64) -> String {
    let of_all = |n| match (n, objects) {
        (1, 1) => "the only object".to_owned(),
        _ if n == objects => format!("all {} objects", number(n)),
        _ => format!("{} of {} objects", number(n), number(objects)),
    };
    match (removed, unknown) {
        (_, 0) => format!("remove {}", of_all(removed)),
        (0, _) => format!(
            "turn {} to unknown, as the API no longer says which hold data",
            of_all(unknown)
        ),
        _ => format!(
            "remove {} and turn {} more to unknown",
            of_all(removed),
            number(unknown)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_in_full() {
        for (removed, unknown, objects, told) in [
            (10_000, 0, 10_000, "remove all 10,000 objects"),
            (1_950, 0, 4_964, "remove 1,950 of 4,964 objects"),
            (1, 0, 1, "remove the only object"),
            (
                0,
                31,
                100,
                "turn 31 of 100 objects to unknown, as the API no longer says which hold data",
            ),
            (
                20,
                1_100,
                2_000,
                "remove 20 of 2,000 objects and turn 1,100 more to unknown",
            ),
        ] {
            assert_eq!(loss(removed, unknown, objects), told);
        }
    }
}
