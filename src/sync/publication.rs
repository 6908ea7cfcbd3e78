//! The end of a proven walk: published, or held back for a person to decide.

use crate::model::ChangeKind;
use crate::store::{Ending, ProvenWalk, PublishError, StoreError, Walk};
use crate::text::{chain, shell_word};

use super::attempt::AttemptResult;
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
            let why = self.why_held(id, lost, base.objects);
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

    fn why_held(&self, snapshot_id: i32, lost: u64, objects: u64) -> String {
        let namespace = &self.planned.namespace;
        // The changes of a rebuild lead from the rows as they are, which a held snapshot's digest says nothing about.
        let accept = match self.run.settings.rebuild {
            true => format!("sync --rebuild {} --accept-removals", shell_word(namespace.id.as_str())),
            false => format!("snapshots accept {snapshot_id}"),
        };
        format!(
            "held back: {lost} of {objects} objects of {} would be removed or turn to unknown; if that is right, run \
             `durable-inventory {accept}`, else `durable-inventory snapshots discard {snapshot_id}`",
            namespace.label()
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
