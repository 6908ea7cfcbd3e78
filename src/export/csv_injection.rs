//! Protection from CSV injection: a spreadsheet would run some cells as formulas. An apostrophe in front makes them
//! text, and is removed when the file is read back.

use std::borrow::Cow;

/// Returns the cell for a text. A text that already has apostrophes before such a character gets one more, so different
/// texts have different cells.
pub fn guarded(text: &str) -> Cow<'_, str> {
    match is_run(text.trim_start_matches('\'').as_bytes()) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Returns the text of a cell.
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
    fn formulas_become_text_and_are_read_back() {
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
