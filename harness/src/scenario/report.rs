//! What came of a scenario: for people, for CI (`JUnit` XML), and as a page.

use std::fmt::Write as _;
use std::time::Duration;

/// One step's outcome.
#[derive(Debug)]
pub struct Outcome {
    /// What the step is called.
    pub title: String,
    /// How long it took.
    pub took: Duration,
    /// None: well. `Some`: why not.
    pub failure: Option<String>,
    /// True when an earlier failure kept it from running.
    pub skipped: bool,
}

/// A scenario's outcome.
#[derive(Debug)]
pub struct Report {
    /// The scenario's name.
    pub name: String,
    /// Its steps, in order.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// True when every step went well.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(|o| o.failure.is_none() && !o.skipped)
    }

    fn took(&self) -> Duration {
        self.outcomes.iter().map(|o| o.took).sum()
    }

    /// One `testsuite`.
    #[must_use]
    pub fn junit(&self) -> String {
        let count = |f: fn(&Outcome) -> bool| self.outcomes.iter().filter(|o| f(o)).count();
        let mut xml = format!(
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            escape(&self.name),
            self.outcomes.len(),
            count(|o| o.failure.is_some()),
            count(|o| o.skipped),
            self.took().as_secs_f64()
        );
        for outcome in &self.outcomes {
            let _ = write!(
                xml,
                "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
                escape(&self.name),
                escape(&outcome.title),
                outcome.took.as_secs_f64()
            );
            match (&outcome.failure, outcome.skipped) {
                (Some(why), _) => {
                    let _ = writeln!(xml, "><failure>{}</failure></testcase>", escape(why));
                }
                (None, true) => xml.push_str("><skipped/></testcase>\n"),
                (None, false) => xml.push_str("/>\n"),
            }
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// Several reports as one `JUnit` file.
#[must_use]
pub fn junit(reports: &[Report]) -> String {
    let suites: String = reports.iter().map(Report::junit).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

/// Several reports as one page that needs nothing else.
#[must_use]
pub fn html(reports: &[Report]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>teamsim scenarios</title><style>\
         body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
         table{border-collapse:collapse;width:100%}td{padding:.4rem .6rem;border-top:1px solid #d8dee4;vertical-align:top}\
         td:last-child{text-align:right;white-space:nowrap}.passed{color:#1a7f4b}.failed{color:#b3261e}.skipped{color:#6b7785}\
         pre{white-space:pre-wrap;background:#f6f8fa;padding:.6rem;border-radius:6px;margin:.4rem 0 0}</style>\
         <h1>teamsim scenarios</h1>",
    );
    for report in reports {
        let (class, word) = if report.passed() { ("passed", "passed") } else { ("failed", "failed") };
        let _ = write!(page, "<h2>{} <small class=\"{class}\">{word}</small></h2><table>", escape(&report.name));
        for outcome in &report.outcomes {
            let (class, sign) = match (&outcome.failure, outcome.skipped) {
                (Some(_), _) => ("failed", "✗"),
                (None, true) => ("skipped", "–"),
                (None, false) => ("passed", "✓"),
            };
            let why = outcome.failure.as_ref().map(|why| format!("<pre>{}</pre>", escape(why))).unwrap_or_default();
            let _ = write!(
                page,
                "<tr><td class=\"{class}\">{sign}<td>{}{why}<td>{:.2} s",
                escape(&outcome.title),
                outcome.took.as_secs_f64()
            );
        }
        page.push_str("</table>");
    }
    page.push_str("<p>Made by teamsim, a simulator. Not affiliated with Posit.</p></html>\n");
    page
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told() {
        let outcome = |title: &str, failure: Option<&str>, skipped| Outcome {
            title: title.into(),
            took: Duration::from_millis(1500),
            failure: failure.map(str::to_owned),
            skipped,
        };
        let report = Report {
            name: "a < b".into(),
            outcomes: vec![
                outcome("one", None, false),
                outcome("two", Some("\"x\" \u{1b}[0m"), false),
                outcome("three", None, true),
            ],
        };
        assert!(!report.passed());
        let xml = junit(&[report]);
        assert!(
            xml.contains("<testsuite name=\"a &lt; b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"4.500\">"),
            "{xml}"
        );
        assert!(xml.contains("<failure>&quot;x&quot; \u{fffd}[0m</failure>"), "{xml}");
    }
}
