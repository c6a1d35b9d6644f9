//! Comma-separated values (RFC 4180) that no spreadsheet takes for formulas.

/// What a spreadsheet takes a cell for a formula by when it begins with it, or skips on the way there. A leading apostrophe says that
/// it is text. (OWASP, "CSV Injection")
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Appends a row.
pub(super) fn push_row<'a>(csv: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (column, cell) in cells.into_iter().enumerate() {
        if column > 0 {
            csv.push(',');
        }
        push_cell(csv, cell);
    }
    csv.push_str("\r\n");
}

fn push_cell(csv: &mut String, cell: &str) {
    let defused = if cell.starts_with(FORMULA) { "'" } else { "" };
    if !cell.contains([',', '"', '\r', '\n']) {
        csv.push_str(defused);
        csv.push_str(cell);
        return;
    }
    csv.push('"');
    csv.push_str(defused);
    csv.push_str(&cell.replace('"', "\"\""));
    csv.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader as RFC 4180 has it: the cells of one row.
    fn read(row: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let (mut quoted, mut rest) = (false, row.strip_suffix("\r\n").unwrap().chars().peekable());
        while let Some(c) = rest.next() {
            let cell = cells.last_mut().unwrap();
            match c {
                '"' if quoted && rest.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                c => cell.push(c),
            }
        }
        assert!(!quoted, "{row:?}");
        cells
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back_and_is_no_formula(
            cells in proptest::collection::vec("[-=+@\t\r\n\",'a ]{0,6}", 1..5),
        ) {
            let mut csv = String::new();
            push_row(&mut csv, cells.iter().map(String::as_str));
            let back = read(&csv);
            prop_assert_eq!(back.len(), cells.len());
            for (cell, back) in cells.iter().zip(back) {
                prop_assert!(!back.starts_with(FORMULA));
                prop_assert_eq!(back.strip_prefix('\'').filter(|_| cell.starts_with(FORMULA)).unwrap_or(&back), cell);
            }
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_are_never_formulas() {
        for (cell, written) in [
            ("", ""),
            ("a film.mkv", "a film.mkv"),
            ("a, b", "\"a, b\""),
            ("the \"best\"", "\"the \"\"best\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("1+1=2", "1+1=2"),
        ] {
            let mut csv = String::new();
            push_row(&mut csv, [cell, "x"]);
            assert_eq!(csv, format!("{written},x\r\n"), "{cell:?}");
        }
    }
}
