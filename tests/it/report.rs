//! `report` on a record with a past: in the terminal, as JSON and as a page.

mod accounts;
mod figures;
mod history;
mod page;
mod text;

pub use self::history::everything;
