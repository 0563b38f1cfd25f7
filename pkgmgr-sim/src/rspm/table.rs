//! Results as people read them.

use serde_json::Value;

/// A cell for people.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // A row is a line.
        Value::String(text) => text.trim_end().replace('\n', "\\n"),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A table of these fields of each item.
pub(super) fn table(items: &Value, columns: &[&str]) -> String {
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|name| name.replace('_', " ").to_uppercase()).collect()];
    for item in items.as_array().into_iter().flatten() {
        rows.push(columns.iter().map(|name| cell(&item[*name])).collect());
    }
    let width = |nth: usize| rows.iter().map(|row| row[nth].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Each field on a line.
pub(super) fn fields(item: &Value) -> String {
    let members = item.as_object().into_iter().flatten();
    members.map(|(name, value)| format!("{}: {}\n", name.replace('_', " "), cell(value))).collect()
}
