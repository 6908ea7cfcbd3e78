//! The columns of an export: those of the record's view in the view's order, except for `id`, which has the bytes of
//! `object_id`.

use std::io;

use crate::model::{ChangeKind, ObjectId, State};
use crate::store::{Row, Slice, Table};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportColumn {
    SnapshotId,
    At,
    NotBefore,
    NotAfter,
    AccountId,
    NamespaceId,
    ObjectId,
    HasStoredData,
    FirstSeenAt,
    Since,
    LastSeenAt,
    ValidFrom,
    ValidTo,
    Change,
    OldState,
    NewState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object's id, as text.
    ObjectId,
    Text,
    Boolean,
    /// Microseconds since 1970, UTC.
    Timestamp,
    Integer,
}

/// The value of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Object(ObjectId),
    Flag(bool),
    Time(i64),
    Number(i64),
    Null,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidColumns {
    #[error("there is no column {asked:?}: the columns are {there}")]
    Unknown { asked: String, there: String },
    #[error("column {0} is named twice")]
    Twice(&'static str),
}

pub fn all(table: Table) -> &'static [ExportColumn] {
    use ExportColumn::*;
    match table {
        Table::Objects => &[
            AccountId,
            NamespaceId,
            ObjectId,
            HasStoredData,
            FirstSeenAt,
            Since,
            LastSeenAt,
        ],
        Table::Changes => &[
            SnapshotId,
            At,
            NotBefore,
            NotAfter,
            AccountId,
            NamespaceId,
            ObjectId,
            Change,
            OldState,
            NewState,
        ],
        Table::History => &[AccountId, NamespaceId, ObjectId, HasStoredData, ValidFrom, ValidTo],
    }
}

/// Returns the columns with these names in their order; all columns of the table if no name is given.
pub fn chosen(table: Table, asked: &[String]) -> Result<Vec<ExportColumn>, InvalidColumns> {
    let all = all(table);
    if asked.is_empty() {
        return Ok(all.to_vec());
    }
    let mut columns: Vec<ExportColumn> = Vec::with_capacity(asked.len());
    for name in asked {
        let found = all.iter().find(|column| column.name() == name);
        let column = *found.ok_or_else(|| InvalidColumns::Unknown {
            asked: name.clone(),
            there: all.iter().map(|column| column.name()).collect::<Vec<_>>().join(", "),
        })?;
        if columns.contains(&column) {
            return Err(InvalidColumns::Twice(column.name()));
        }
        columns.push(column);
    }
    Ok(columns)
}

impl ExportColumn {
    /// The column's name, its kind, and whether it may be null.
    fn definition(self) -> (&'static str, Kind, bool) {
        match self {
            Self::SnapshotId => ("snapshot_id", Kind::Integer, false),
            Self::At => ("at", Kind::Timestamp, false),
            Self::NotBefore => ("not_before", Kind::Timestamp, false),
            Self::NotAfter => ("not_after", Kind::Timestamp, false),
            Self::AccountId => ("account_id", Kind::Text, false),
            Self::NamespaceId => ("namespace_id", Kind::Text, false),
            Self::ObjectId => ("object_id", Kind::ObjectId, false),
            Self::HasStoredData => ("has_stored_data", Kind::Boolean, true),
            Self::FirstSeenAt => ("first_seen_at", Kind::Timestamp, false),
            Self::Since => ("since", Kind::Timestamp, false),
            Self::LastSeenAt => ("last_seen_at", Kind::Timestamp, false),
            Self::ValidFrom => ("valid_from", Kind::Timestamp, false),
            Self::ValidTo => ("valid_to", Kind::Timestamp, true),
            Self::Change => ("change", Kind::Text, false),
            Self::OldState => ("old_state", Kind::Text, false),
            Self::NewState => ("new_state", Kind::Text, false),
        }
    }

    pub fn name(self) -> &'static str {
        self.definition().0
    }

    pub fn kind(self) -> Kind {
        self.definition().1
    }

    pub fn nullable(self) -> bool {
        self.definition().2
    }

    /// Fails if the row's table does not have the column.
    pub fn value<'a>(self, slice: &'a Slice, last_seen_at: i64, row: &Row) -> io::Result<Value<'a>> {
        match self {
            Self::AccountId => Ok(Value::Text(&slice.namespace.account_id)),
            Self::NamespaceId => Ok(Value::Text(&slice.namespace.namespace_id)),
            _ => self.value_in(row, last_seen_at),
        }
    }

    fn value_in(self, row: &Row, last_seen_at: i64) -> io::Result<Value<'static>> {
        Ok(match (self, *row) {
            (Self::ObjectId, _) => Value::Object(row.id()),
            (Self::HasStoredData, Row::Object { data, .. } | Row::Interval { data, .. }) => {
                Option::from(data).map_or(Value::Null, Value::Flag)
            }
            (Self::FirstSeenAt, Row::Object { first_seen_at, .. }) => Value::Time(first_seen_at),
            (Self::Since, Row::Object { since, .. }) => Value::Time(since),
            (Self::LastSeenAt, Row::Object { .. }) => Value::Time(last_seen_at),
            (Self::ValidFrom, Row::Interval { valid_from, .. }) => Value::Time(valid_from),
            (Self::ValidTo, Row::Interval { valid_to, .. }) => valid_to.map_or(Value::Null, Value::Time),
            (Self::SnapshotId, Row::Change { snapshot_id, .. }) => Value::Number(i64::from(snapshot_id)),
            (Self::At, Row::Change { at, .. }) => Value::Time(at),
            (Self::NotBefore, Row::Change { not_before, .. }) => Value::Time(not_before),
            (Self::NotAfter, Row::Change { not_after, .. }) => Value::Time(not_after),
            (Self::Change, Row::Change { old, new, .. }) => Value::Text(ChangeKind::of(old, new).as_str()),
            (Self::OldState, Row::Change { old, .. }) => Value::Text(state_name(old)),
            (Self::NewState, Row::Change { new, .. }) => Value::Text(state_name(new)),
            _ => {
                return Err(io::Error::other(format!(
                    "a row of a table without the column {}",
                    self.name()
                )));
            }
        })
    }
}

impl Kind {
    /// The type's name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::ObjectId | Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Integer => "integer",
        }
    }
}

/// The state's name in the views.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Absent => "absent",
        State::Unknown => "unknown",
        State::WithoutData => "without_data",
        State::WithData => "with_data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StoredData;

    #[test]
    fn columns_keep_the_order_of_their_names() {
        let names = ["has_stored_data", "object_id"].map(str::to_owned);
        assert_eq!(
            chosen(Table::Objects, &names),
            Ok(vec![ExportColumn::HasStoredData, ExportColumn::ObjectId])
        );
        assert_eq!(chosen(Table::History, &[]).unwrap(), all(Table::History));
    }

    #[test]
    fn unknown_and_repeated_columns_are_errors() {
        let unknown = chosen(Table::Objects, &["valid_to".to_owned()]).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no column \"valid_to\": the columns are account_id, namespace_id, object_id, has_stored_data, \
             first_seen_at, since, last_seen_at"
        );
        let twice = ["at", "at"].map(str::to_owned);
        assert_eq!(chosen(Table::Changes, &twice), Err(InvalidColumns::Twice("at")));
    }

    /// A row has a value of the right kind in each column of its table, and none in the columns of the other tables.
    #[test]
    fn rows_have_exactly_the_columns_of_their_table() {
        let (id, data) = (ObjectId::MAX, StoredData::Unknown);
        let rows = [
            (
                Table::Objects,
                Row::Object {
                    id,
                    data,
                    first_seen_at: 1,
                    since: 1,
                },
            ),
            (
                Table::Changes,
                Row::Change {
                    id,
                    snapshot_id: 1,
                    at: 1,
                    not_before: 1,
                    not_after: 1,
                    old: State::Absent,
                    new: State::Unknown,
                },
            ),
            (
                Table::History,
                Row::Interval {
                    id,
                    data,
                    valid_from: 1,
                    valid_to: None,
                },
            ),
        ];
        let tables = rows.map(|(table, _)| table);
        for (table, row) in rows {
            for column in tables.iter().flat_map(|table| all(*table)) {
                if matches!(column, ExportColumn::AccountId | ExportColumn::NamespaceId) {
                    continue; // they are the slice's, not the row's
                }
                let value = column.value_in(&row, 1);
                if !all(table).contains(column) {
                    assert!(value.is_err(), "{column:?} of {table:?}");
                    continue;
                }
                let fits = match value.unwrap() {
                    Value::Null => column.nullable(),
                    Value::Object(_) => column.kind() == Kind::ObjectId,
                    Value::Text(_) => column.kind() == Kind::Text,
                    Value::Flag(_) => column.kind() == Kind::Boolean,
                    Value::Time(_) => column.kind() == Kind::Timestamp,
                    Value::Number(_) => column.kind() == Kind::Integer,
                };
                assert!(fits, "{column:?} of {table:?}");
            }
        }
    }
}
