//! The statements that `as_of` reads by COPY, which takes no parameters. Only numbers are put into them.

use super::as_of::{Slice, Table};

/// The rows of a table within a slice, in the order in which they are delivered.
pub(super) fn rows_of(table: Table, slice: &Slice) -> String {
    let key = slice.namespace.key;
    let until = slice.until.snapshot_id;
    let since = slice.after();
    // `from_snapshot` is null for the rows of the baseline.
    let open = format!(
        "inventory.open_interval where namespace_key = {key} and (from_snapshot is null or from_snapshot <= {until})"
    );
    let closed = format!(
        "inventory.closed_interval where namespace_key = {key} and (from_snapshot is null or from_snapshot <= {until})"
    );
    match table {
        Table::Objects => format!(
            "select id, has_stored_data, first_snapshot, from_snapshot from (
                 select id, has_stored_data, first_snapshot, from_snapshot from {open}
                 union all
                 select id, has_stored_data, first_snapshot, from_snapshot from {closed} and to_snapshot > {until}
             ) i order by id"
        ),
        Table::History => {
            let after = since
                .map(|since| format!(" and to_snapshot > {since}"))
                .unwrap_or_default();
            format!(
                "select id, has_stored_data, from_snapshot, to_snapshot from (
                     select id, has_stored_data, from_snapshot, null::int as to_snapshot from {open}
                     union all
                     select id, has_stored_data, from_snapshot, to_snapshot from {closed}{after}
                 ) i order by id, to_snapshot"
            )
        }
        Table::Changes => {
            let after = since
                .map(|since| format!(" and from_snapshot > {since}"))
                .unwrap_or_default();
            let ended_after = since
                .map(|since| format!(" and to_snapshot > {since}"))
                .unwrap_or_default();
            let begun = |interval: &str| {
                format!(
                    "select o.id, o.from_snapshot, 0::smallint, inventory.state_of(o.has_stored_data)
                     from inventory.{interval} o
                     where o.namespace_key = {key} and o.from_snapshot <= {until}{after} and not exists (
                         select from inventory.closed_interval e
                         where e.namespace_key = {key} and e.id = o.id and e.to_snapshot = o.from_snapshot)"
                )
            };
            format!(
                "select id, snapshot_id, old_state, new_state from (
                     select id, to_snapshot as snapshot_id, inventory.state_of(has_stored_data) as old_state,
                            next_state as new_state
                     from inventory.closed_interval
                     where namespace_key = {key} and to_snapshot <= {until}{ended_after}
                     union all {} union all {}
                 ) c order by snapshot_id, id",
                begun("open_interval"),
                begun("closed_interval")
            )
        }
    }
}

/// The objects of a namespace as of a snapshot, with a further condition.
fn objects(key: i32, at: i32, unlike: &str) -> String {
    format!(
        "select id, has_stored_data from (
             select id, has_stored_data, from_snapshot, null::int as to_snapshot from inventory.open_interval
             where namespace_key = {key}
             union all
             select id, has_stored_data, from_snapshot, to_snapshot from inventory.closed_interval
             where namespace_key = {key}
         ) i
         where (from_snapshot is null or from_snapshot <= {at}) and (to_snapshot is null or to_snapshot > {at}){unlike}"
    )
}

/// The condition that an interval does not reach another snapshot. Written so that the indexes on both ends of
/// intervals are used.
fn unlike(at: i32, other: i32) -> String {
    if other > at {
        format!(" and to_snapshot <= {other}")
    } else {
        format!(" and from_snapshot > {other}")
    }
}

/// The objects of a namespace as of a snapshot, with their flag, by id.
pub(super) fn states_of(key: i32, at: i32) -> String {
    let rows = objects(key, at, "");
    format!("select id, has_stored_data from ({rows}) o order by id")
}

/// The objects of a namespace with their states at two snapshots, by id: all of them, or those that may differ.
pub(super) fn two_states_of(key: i32, one: i32, other: i32, all: bool) -> String {
    let (unlike_other, unlike_one) = match all {
        true => (String::new(), String::new()),
        false => (unlike(one, other), unlike(other, one)),
    };
    format!(
        "select id, case when a.id is null then 0::smallint else inventory.state_of(a.has_stored_data) end,
                case when b.id is null then 0::smallint else inventory.state_of(b.has_stored_data) end
         from ({}) a full join ({}) b using (id) order by id",
        objects(key, one, &unlike_other),
        objects(key, other, &unlike_one)
    )
}
