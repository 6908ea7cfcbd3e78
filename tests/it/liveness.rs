//! A walk gets as far as it can: cursors expire, ends lack their proof, pages are too large for the API.

mod connections;
mod outage;
mod pages;
