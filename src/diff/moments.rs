//! Two moments of the record, compared where they are stored: what was the same interval at both is not even read.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::error::DiffError;
use super::output::{Listing, Output};
use super::owners::{Owners, Scope};
use super::record::segment;
use super::run::Found;
use super::{Pair, Verdict};
use crate::export::read::Columns;
use crate::model::{ChangeKind, State};
use crate::store::{Reader, Slice};

const WAITING: usize = 8;

/// One namespace as of both moments.
#[derive(Debug, Clone)]
pub struct MomentPair {
    pub from: Slice,
    pub to: Slice,
}

/// Their namespaces, with their names.
pub fn owners_of(pairs: &[MomentPair]) -> Owners {
    let columns = Columns {
        account_id: true,
        namespace_id: true,
        ..Columns::default()
    };
    let owners = Owners::new([columns; 2], Scope::default());
    for pair in pairs {
        let told = segment(&pair.to.namespace, &pair.to.until);
        if let (Some(number), Some(name)) = (owners.number(&told.owner), told.name) {
            owners.name(number, &name);
        }
    }
    owners
}

/// Compares the namespaces one after the other, until `stop` ends.
pub async fn compare_moments(
    reader: &mut Reader,
    pairs: &[MomentPair],
    owners: std::sync::Arc<Owners>,
    listing: Listing,
    stop: impl Future<Output = ()>,
) -> Result<Found, DiffError> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let writer = {
        let owners = owners.clone();
        tokio::task::spawn_blocking(move || write(&owners, listing, receiver))
    };
    let fed = tokio::select! {
        fed = feed(reader, pairs, &owners, listing, sender) => fed,
        () = stop => Err(DiffError::Stopped),
    };
    let written = writer
        .await
        .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
    let unread = fed?;
    let mut found = written?;
    for (owner, objects) in unread {
        let counts = found.tally.of(owner);
        // Whatever did not differ was there at both moments.
        if !listing.wants_all() {
            counts.same = objects.saturating_sub(counts.changed() - counts.changes[ChangeKind::Created]);
        }
    }
    Ok(found)
}

/// How many objects each namespace had at the first moment.
async fn feed(
    reader: &mut Reader,
    pairs: &[MomentPair],
    owners: &Owners,
    listing: Listing,
    sender: mpsc::Sender<Vec<Pair>>,
) -> Result<Vec<(u32, u64)>, DiffError> {
    let mut objects = Vec::with_capacity(pairs.len());
    for MomentPair { from, to } in pairs {
        let told = segment(&from.namespace, &from.until);
        let Some(owner) = owners.number(&told.owner) else {
            continue;
        };
        objects.push((owner, told.objects));
        if told.digest == segment(&to.namespace, &to.until).digest && !listing.wants_all() {
            continue;
        }
        let deliver = async |rows: Vec<(crate::model::ObjectId, State, State)>| {
            let pairs = rows.into_iter().map(|(id, old, new)| Pair {
                id,
                owner,
                old: Some(old),
                new: Some(new),
            });
            match sender.send(pairs.collect()).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        if reader
            .compare_states(from, to, listing.wants_all(), deliver)
            .await?
            .is_break()
        {
            break; // the writer tells why it wants no more
        }
    }
    Ok(objects)
}

fn write(owners: &Owners, listing: Listing, mut receiver: mpsc::Receiver<Vec<Pair>>) -> Result<Found, DiffError> {
    let mut found = Found::default();
    let mut output = Output::new(listing, owners, &mut found.listed).map_err(DiffError::Temporary)?;
    while let Some(pairs) = receiver.blocking_recv() {
        for pair in pairs {
            let verdict = pair.verdict();
            // An object that went and came back as it was is as it was.
            if verdict != Verdict::Same || listing.wants_all() {
                found.tally.add(&pair, verdict);
                output.write(&pair, verdict).map_err(DiffError::Temporary)?;
            }
        }
    }
    Ok(found)
}
