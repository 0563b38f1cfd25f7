//! Commands about custom metadata.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Human, Server, Told, read_text, said};

/// A value that packages have under a key; what is left out fits all packages.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "Examples:
  rspm create metadata --package-name=sf --key=risk --value=low
  rspm create metadata --source=cran --key=risk --value=medium --update-existing")]
pub struct Record {
    /// The package.
    #[arg(long)]
    package_name: Option<String>,
    /// Its version.
    #[arg(long)]
    version: Option<String>,
    /// Packages of this source only.
    #[arg(long)]
    source: Option<String>,
    /// In this repository only.
    #[arg(long)]
    repo: Option<String>,
    /// What the value is.
    #[arg(long)]
    key: String,
    /// The value.
    #[arg(long)]
    value: String,
    /// Where the same packages have the key already, give it this value.
    #[arg(long)]
    update_existing: bool,
    /// Where the same packages have the key already, leave its value.
    #[arg(long)]
    succeed_on_existing: bool,
}

/// Many of them. They come from standard input, if anything does, or from a file.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  rspm create bulk-metadata --path=metadata.json --fail-all
  rspm create bulk-metadata --csv-in=metadata.csv")]
pub struct Records {
    /// A file with a list in JSON, with members named as the flags of `create metadata`.
    #[arg(long, conflicts_with = "csv_in")]
    path: Option<PathBuf>,
    /// A file of comma-separated values, with the same names in its first line.
    #[arg(long)]
    csv_in: Option<PathBuf>,
    /// None at all when one is wrong.
    #[arg(long)]
    fail_all: bool,
    /// Show what a file holds.
    #[arg(long)]
    show_example: bool,
}

pub(super) async fn create(server: &Server, record: Record) -> anyhow::Result<Told> {
    let made = server.call(Method::POST, &["metadata", "records"], &serde_json::to_value(record)?).await?;
    let text = format!("Metadata {}: {} is {}.", made["id"], text(&made, "key"), text(&made, "value"));
    Ok(said(made, text))
}

fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().unwrap_or_default()
}

pub(super) async fn create_many(server: &Server, many: Records) -> anyhow::Result<Told> {
    if many.show_example {
        let example = json!([
            { "package_name": "sf", "version": "1.0", "key": "risk", "value": "low" },
            { "source": "cran", "repo": "prod", "key": "risk", "value": "medium", "update_existing": true },
        ]);
        let text = format!("{example:#}");
        return Ok(said(example, text));
    }
    let records = match (&many.path, &many.csv_in) {
        (None, Some(path)) => {
            records_of(&read_text(path)?).with_context(|| format!("{} is no such table", path.display()))?
        }
        (path, _) => {
            let (shown, text) = match path {
                Some(path) => (path.display().to_string(), read_text(path)?),
                None => ("standard input".to_owned(), standard_input()?),
            };
            serde_json::from_str(&text).with_context(|| {
                format!("{shown} must hold a list in JSON; see one with: rspm create bulk-metadata --show-example")
            })?
        }
    };
    let body = json!({ "records": records, "fail_all": many.fail_all });
    let done = server.call(Method::POST, &["metadata", "records", "bulk"], &body).await?;
    let list = |member: &str| done[member].as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("{} records of metadata created.", list("created").len())];
    for one in list("failed") {
        lines.push(format!("Record {} was not: {}", one["record"], text(&one, "error")));
    }
    Ok(said(done, lines.join("\n")))
}

fn standard_input() -> anyhow::Result<String> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        bail!("give records with --path, --csv-in or on standard input");
    }
    let mut text = String::new();
    input.read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

/// The rows of a table with names in its first line; empty cells are left out.
fn records_of(table: &str) -> anyhow::Result<Value> {
    let mut rows = rows_of(table)?.into_iter();
    let names = rows.next().context("it is empty")?;
    let record = |row: Vec<String>| -> anyhow::Result<Map<String, Value>> {
        if row.len() > names.len() {
            bail!("the row {:?} has more cells than the first line", row.join(","));
        }
        let cells = names.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        Ok(cells.map(|(name, cell)| (name.trim().to_owned(), cell.into())).collect())
    };
    Ok(rows.map(|row| record(row).map(Value::Object)).collect::<anyhow::Result<Vec<_>>>()?.into())
}

/// Cells of comma-separated values (RFC 4180); lines without anything are left out.
fn rows_of(table: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, table.trim_start_matches('\u{feff}').chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    if quoted {
        bail!("a quote is not closed");
    }
    row.push(cell);
    rows.push(row);
    rows.retain(|row| row.iter().any(|cell| !cell.trim().is_empty()));
    Ok(rows)
}

pub(super) async fn list(server: &Server) -> anyhow::Result<Told> {
    let json = server.get(&["metadata", "records"], &[]).await?;
    Ok(Told { json, human: Human::Table(&["id", "package_name", "version", "source", "repo", "key", "value"]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let table = "\u{feff}package_name,key,value\r\nsf,risk,\"a \"\"b\"\", c\nd\"\r\n\n,docs,x";
        let read = records_of(table).unwrap();
        let wanted = json!([
            { "package_name": "sf", "key": "risk", "value": "a \"b\", c\nd" },
            { "key": "docs", "value": "x" },
        ]);
        assert_eq!(read, wanted);
        for bad in ["", "key,value\na,b,c\n", "key\n\"open"] {
            assert!(records_of(bad).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_cell_survives(cells in proptest::collection::vec("[ -~\n]{1,9}", 1..4)) {
            let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            let is_blank = cells.iter().all(|cell| cell.trim().is_empty());
            let wanted = if is_blank { vec![] } else { vec![cells] };
            assert_eq!(rows_of(&quoted.join(",")).unwrap(), wanted);
        }
    }
}
