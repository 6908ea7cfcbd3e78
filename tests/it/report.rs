//! `report`: what it says of a record with a past, in the terminal, to programs and as a page.

mod figures;
mod history;
mod page;
mod text;
