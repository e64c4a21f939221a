//! The cells of a statement's CSV. No cell needs quotes, and none is run as a formula by a spreadsheet.

use std::fmt::Write as _;

/// Returns the text of a cell: commas, quotes, percent signs, control characters, and a first character that begins a
/// formula, are percent-encoded as UTF-8.
pub(super) fn encoded(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let is_formula = at == 0 && matches!(character, '=' | '+' | '-' | '@' | '\'');
        if is_formula || matches!(character, ',' | '"' | '%') || character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String does not fail.
                let _written = write!(cell, "%{byte:02X}");
            }
        } else {
            cell.push(character);
        }
    }
    cell
}

/// Returns the text that a cell is of; `None` if it is of none.
pub(super) fn decoded(cell: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(cell.len());
    let mut rest = cell.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let [byte] = hex::decode(digits).ok()?.try_into().ok()?;
                byte
            }
            byte => byte,
        });
    }
    // Another way to write the same text would be another digest.
    String::from_utf8(bytes).ok().filter(|text| encoded(text) == cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_decoded_to_what_they_are_of() {
        for (text, cell) in [
            ("v-1", "v-1"),
            ("", ""),
            ("a,b", "a%2Cb"),
            ("=1+1", "%3D1+1"),
            ("-1", "%2D1"),
            ("\"x\"", "%22x%22"),
            ("100%", "100%25"),
            ("a\r\nb\u{85}", "a%0D%0Ab%C2%85"),
            ("Käse", "Käse"),
        ] {
            assert_eq!((encoded(text).as_str(), decoded(cell).as_deref()), (cell, Some(text)), "{text}");
        }
        for cell in ["%", "%2", "%zz", "%2c", "%41", "=1", "a,b", "%FF", "%é"] {
            assert_eq!(decoded(cell), None, "{cell}");
        }
    }
}
