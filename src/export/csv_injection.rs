//! Cells of CSV that a spreadsheet would run as a formula. An apostrophe before them makes them text; whoever reads such a
//! file back takes it off again.

use std::borrow::Cow;

/// A text as it stands in a cell. One that has apostrophes before such a character itself gets one more, so that no two
/// texts become the same cell.
pub fn guarded(text: &str) -> Cow<'_, str> {
    match is_run(text.trim_start_matches('\'').as_bytes()) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// What a cell says.
pub fn unguarded(cell: &[u8]) -> &[u8] {
    let Some(text) = cell.strip_prefix(b"'") else {
        return cell;
    };
    let after = text.iter().position(|byte| *byte != b'\'').unwrap_or(text.len());
    if is_run(&text[after..]) { text } else { cell }
}

fn is_run(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_becomes_text_and_itself_again() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-1"] {
            assert_eq!(guarded(formula), format!("'{formula}"));
            assert_eq!(unguarded(guarded(formula).as_bytes()), formula.as_bytes());
        }
        for text in ["", "created", "a=b", "'quoted", "'", "''"] {
            assert_eq!(guarded(text), text);
            assert_eq!(unguarded(text.as_bytes()), text.as_bytes());
        }
    }
}
