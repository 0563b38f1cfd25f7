//! Settings files in the syntax of git's configuration, as the simulated servers read them (`*.gcfg`).
//!
//! ```text
//! ; a comment, and # begins one too
//! [Section]
//! Key = value                ; names of sections and keys mean the same in any case
//! Key = again                ; a repeated key is a list; of a single value the last one counts
//! Quoted = "a ; b \"c\" \\"  ; in quotes \" \\ \n \t are what they are in C
//! Long = one \
//!   line
//! Flag                       ; a key alone is true
//!
//! [Section "Sub"]            ; the name of a subsection is exact
//! ```
//!
//! A variable of the environment takes the place of what the file says: `PREFIX_SECTION_KEY`, or
//! `PREFIX_SECTION_SUB_KEY`, in capitals. What the command line says goes before both: `Section.Key=value`, or
//! `Section.Sub.Key=value`.

mod lex;
mod value;

use std::collections::BTreeMap;

pub use value::{Place, Value};

/// Bytes of a file at most.
pub const LARGEST: usize = 1 << 20;
/// Values of a file at most.
pub const MOST: usize = 10_000;

/// Why a file or a value of it is refused. The text says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GcfgError {
    /// The file is not in this syntax.
    #[error("line {line}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// More than [`LARGEST`] bytes or [`MOST`] values.
    #[error("the file is too large: {0}")]
    TooLarge(&'static str),
    /// A command line's text that sets nothing.
    #[error("--set {0}: expected Section.Key=value")]
    Assignment(String),
    /// A value is not what its setting takes.
    #[error("{place}: {name} must be {expected}, not {value:?}")]
    Value {
        /// Where it was set.
        place: String,
        /// `Section.Key`.
        name: String,
        /// What the setting takes.
        expected: String,
        /// What it is.
        value: String,
    },
}

/// A value as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As written.
    pub section: String,
    /// As written.
    pub subsection: Option<String>,
    /// As written.
    pub key: String,
    /// Without quotes and comments; `true` for a key alone.
    pub value: String,
    /// From 1.
    pub line: usize,
}

impl Entry {
    /// `Section.Key` or `Section.Sub.Key`.
    #[must_use]
    pub fn name(&self) -> String {
        dotted(&self.section, self.subsection.as_deref(), &self.key)
    }

    fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        self.section.eq_ignore_ascii_case(section)
            && self.subsection.as_deref() == subsection
            && self.key.eq_ignore_ascii_case(key)
    }
}

fn dotted(section: &str, subsection: Option<&str>, key: &str) -> String {
    match subsection {
        Some(subsection) => format!("{section}.{subsection}.{key}"),
        None => format!("{section}.{key}"),
    }
}

/// A settings file, and the command line and the variables that go before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gcfg {
    entries: Vec<Entry>,
    /// Of the command line; their lines count from 1 as well.
    assigned: Vec<Entry>,
    prefix: String,
    variables: BTreeMap<String, String>,
}

impl Gcfg {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// With the line that is not understood.
    pub fn parse(text: &str) -> Result<Self, GcfgError> {
        Ok(Self { entries: lex::entries(text)?, ..Self::default() })
    }

    /// The same with variables of the environment that go before the file: those whose names begin with `prefix` and
    /// an underscore.
    #[must_use]
    pub fn with_variables(self, prefix: &str, all: impl IntoIterator<Item = (String, String)>) -> Self {
        let begins = format!("{prefix}_");
        let variables = all.into_iter().filter(|(name, _)| name.starts_with(&begins)).collect();
        Self { prefix: prefix.to_owned(), variables, ..self }
    }

    /// The same with what a command line says, which goes before everything: `Section.Key=value` each.
    ///
    /// # Errors
    /// With the text that is none.
    pub fn with_assignments(mut self, texts: &[String]) -> Result<Self, GcfgError> {
        for (text, line) in texts.iter().zip(1..) {
            let parts = text.split_once('=').and_then(|(name, value)| {
                let (section, rest) = name.trim().split_once('.')?;
                let (subsection, key) = rest.rsplit_once('.').map_or((None, rest), |(sub, key)| (Some(sub), key));
                (!section.is_empty() && !key.is_empty()).then_some((section, subsection, key, value.trim()))
            });
            let (section, subsection, key, value) = parts.ok_or_else(|| GcfgError::Assignment(text.clone()))?;
            self.assigned.push(Entry {
                section: section.to_owned(),
                subsection: subsection.map(str::to_owned),
                key: key.to_owned(),
                value: value.to_owned(),
                line,
            });
        }
        Ok(self)
    }

    /// The value of a setting; of several the last one. Names of sections and keys are found in any case.
    #[must_use]
    pub fn get(&self, section: &str, subsection: Option<&str>, key: &str) -> Option<Value<'_>> {
        self.all(section, subsection, key).pop()
    }

    /// All values of a setting that may be repeated, in the order of the file. A variable is one value.
    #[must_use]
    pub fn all(&self, section: &str, subsection: Option<&str>, key: &str) -> Vec<Value<'_>> {
        let name = dotted(section, subsection, key);
        let assigned: Vec<Value<'_>> = self
            .assigned
            .iter()
            .filter(|entry| entry.is(section, subsection, key))
            .map(|entry| Value { name: name.clone(), text: &entry.value, place: Place::CommandLine })
            .collect();
        if !assigned.is_empty() {
            return assigned;
        }
        let variable = variable(&self.prefix, section, subsection, key);
        if let Some((variable, text)) = self.variables.get_key_value(&variable) {
            return vec![Value { name, text, place: Place::Variable(variable) }];
        }
        self.entries
            .iter()
            .filter(|entry| entry.is(section, subsection, key))
            .map(|entry| Value { name: name.clone(), text: &entry.value, place: Place::Line(entry.line) })
            .collect()
    }

    /// The names of the subsections of a section, each once, in the order of the file.
    #[must_use]
    pub fn subsections(&self, section: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let all = self.entries.iter().chain(&self.assigned);
        for entry in all.filter(|entry| entry.section.eq_ignore_ascii_case(section)) {
            if let Some(name) = entry.subsection.as_deref().filter(|name| !names.contains(name)) {
                names.push(name);
            }
        }
        names
    }

    /// What the file has.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the command line has.
    #[must_use]
    pub fn assigned(&self) -> &[Entry] {
        &self.assigned
    }

    /// The names of the variables that begin with the prefix.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// What the file says of settings that are not among `known` pairs of section and key, to be warned of.
    #[must_use]
    pub fn unknown(&self, known: &[(&str, &str)]) -> Vec<&Entry> {
        let is_known = |entry: &&Entry| {
            known.iter().any(|(section, key)| {
                entry.section.eq_ignore_ascii_case(section) && entry.key.eq_ignore_ascii_case(key)
            })
        };
        self.entries.iter().filter(|entry| !is_known(entry)).collect()
    }
}

/// The name of the variable for a setting: letters in capitals, and underscores for what a variable's name cannot have.
#[must_use]
pub fn variable(prefix: &str, section: &str, subsection: Option<&str>, key: &str) -> String {
    let parts = [Some(prefix), Some(section), subsection, Some(key)];
    let plain = |part: &str| -> String {
        part.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    };
    parts.into_iter().flatten().map(plain).collect::<Vec<_>>().join("_")
}

/// The variables of this process's environment, for [`Gcfg::with_variables`]. To be asked once, by a command line. What is
/// no Unicode is left out.
#[must_use]
#[allow(clippy::disallowed_methods)] // settings come from here into a crate's Config
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "\u{feff}; top\r\n[Server]\r\nAddress = https://x.example/rspm ; public\r\n\
        [HTTP]\nListen=:4242\n# none\n[git]\nPollInterval = 5m\npollinterval = 90s\nFolder = /a\nFolder = \"/b ; c\"\n\
        AllowUnsandboxedGitBuilds\n[Name \"Sub \\\"x\\\"\"] Key = \"tab\\there\" and \\\n  more\nEmpty =\n";

    fn text<'a>(file: &'a Gcfg, section: &str, key: &str) -> Option<&'a str> {
        file.get(section, None, key).map(|value| value.text)
    }

    #[test]
    fn sections_keys_lists_comments_and_quotes() {
        let file = Gcfg::parse(FILE).unwrap();
        assert_eq!(text(&file, "server", "ADDRESS"), Some("https://x.example/rspm"));
        assert_eq!(text(&file, "HTTP", "Listen"), Some(":4242"));
        let folders: Vec<&str> = file.all("Git", None, "Folder").into_iter().map(|value| value.text).collect();
        assert_eq!(folders, ["/a", "/b ; c"]);
        assert_eq!(file.get("Git", None, "PollInterval").unwrap().duration().unwrap(), Duration::from_secs(90));
        assert!(file.get("Git", None, "AllowUnsandboxedGitBuilds").unwrap().bool().unwrap());
        assert_eq!(file.subsections("name"), ["Sub \"x\""]);
        assert_eq!(file.get("Name", Some("Sub \"x\""), "key").unwrap().text, "tab\there and   more");
        assert_eq!(file.get("Name", Some("Sub \"x\""), "Empty").unwrap().text, "");
        assert_eq!(file.get("Name", None, "Key"), None);
        let unknown: Vec<String> = file
            .unknown(&[("Server", "Address"), ("http", "listen"), ("Git", "Folder")])
            .iter()
            .map(|e| e.name())
            .collect();
        assert_eq!(
            unknown,
            [
                "git.PollInterval",
                "git.pollinterval",
                "git.AllowUnsandboxedGitBuilds",
                "Name.Sub \"x\".Key",
                "Name.Sub \"x\".Empty"
            ]
        );
    }

    #[test]
    fn variables_go_before_the_file() {
        let set = [("PM_GIT_POLLINTERVAL", "1h"), ("PM_NAME_SUB__X__KEY", "v"), ("OTHER_HTTP_LISTEN", ":1")];
        let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let file = Gcfg::parse(FILE).unwrap().with_variables("PM", set);
        assert_eq!(text(&file, "Git", "PollInterval"), Some("1h"));
        assert_eq!(file.get("Name", Some("Sub \"x\""), "Key").unwrap().text, "v");
        assert_eq!(text(&file, "HTTP", "Listen"), Some(":4242"));
        assert_eq!(variable("CONNECT", "Server", None, "DataDir"), "CONNECT_SERVER_DATADIR");
        let set = ["git.pollinterval=2h", "Name.Sub \"x\".Key = w", "HTTP.Listen="].map(str::to_owned);
        let file = file.with_assignments(&set).unwrap();
        assert_eq!(text(&file, "Git", "PollInterval"), Some("2h"));
        assert_eq!(file.get("Name", Some("Sub \"x\""), "Key").unwrap().text, "w");
        assert_eq!(
            file.get("HTTP", None, "Listen").unwrap().must_be("a port").to_string(),
            "--set: HTTP.Listen must be a port, not \"\""
        );
        for bad in ["Listen=1", "HTTP.Listen", ".=", "a.="] {
            assert!(Gcfg::default().with_assignments(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let problem = |text: &str| Gcfg::parse(text).unwrap_err().to_string();
        for (text, expected) in [
            ("Key = 1", "line 1: Key stands before the first [Section]"),
            ("[A]\n\n= 1", "line 3: expected the name of a key"),
            ("[A]\nKey 1", "line 2: expected = after Key"),
            ("[A\nKey = 1", "line 1: expected ] after the section A"),
            ("[]\n", "line 1: expected the name of a section"),
            ("[A \"b]\n", "line 1: the quote is not closed"),
            ("[A]\nk = \"open\nn = 2", "line 2: the quote is not closed"),
            ("[A]\nk = \"\\q\"", "line 2: \\q is none of \\\" \\\\ \\n \\t"),
            ("[A]\nk = x\u{0}", "line 2: a control character"),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
        }
        assert!(problem(&"x".repeat(LARGEST + 1)).contains("too large"));
        assert!(problem(&format!("[A]\n{}", "k\n".repeat(MOST + 1))).contains("too large"));
    }

    #[test]
    fn wrong_values_are_told_with_their_place() {
        let file = Gcfg::parse("[Git]\nBuildRetries = many\nPollInterval = 5x\nOn = maybe\n").unwrap();
        let told = |key: &str| file.get("Git", None, key).unwrap();
        assert_eq!(
            told("BuildRetries").parse::<u32>("a number").unwrap_err().to_string(),
            "line 2: Git.BuildRetries must be a number, not \"many\""
        );
        assert!(
            told("PollInterval").duration().unwrap_err().to_string().starts_with("line 3: Git.PollInterval must be")
        );
        assert!(told("On").bool().unwrap_err().to_string().contains("true or false"));
        let file = file.with_variables("PM", [("PM_GIT_ON".to_owned(), "2".to_owned())]);
        let error = file.get("Git", None, "On").unwrap().bool().unwrap_err().to_string();
        assert_eq!(error, "PM_GIT_ON: Git.On must be true or false, not \"2\"");
    }

    #[test]
    fn durations() {
        let of = |text: &str| {
            let file = Gcfg::parse(&format!("[A]\nk = \"{text}\"")).unwrap();
            file.get("A", None, "k").unwrap().duration().ok()
        };
        assert_eq!(of("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(of("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(of("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(of("0"), Some(Duration::ZERO));
        for bad in ["", "5", "h", "-5m", "1.5h", "99999999999999999999d", "18446744073709551615d", "5 m"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    /// The text of a file that has `entries`, everything in quotes.
    fn written(entries: &[(String, Option<String>, String, String)]) -> String {
        let quoted = |text: &str| {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
            format!("\"{escaped}\"")
        };
        entries
            .iter()
            .map(|(section, sub, key, value)| {
                let sub = sub.as_deref().map_or_else(String::new, |sub| format!(" {}", quoted(sub)));
                format!("[{section}{sub}]\n{key} = {} ; c\n", quoted(value))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall_over(text in "(\\PC|[\\[\\]\"\\\\;#=\\n\\r\\t a])*") {
            drop(Gcfg::parse(&text));
        }

        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::vec(
                ("[A-Za-z][A-Za-z0-9-]{0,6}", proptest::option::of("[ -~é\\t]{0,6}"), "[A-Za-z][A-Za-z0-9-]{0,6}", "[ -~é\\t\\n]{0,12}"),
                0..8,
            )
        ) {
            let file = Gcfg::parse(&written(&entries)).unwrap();
            let read: Vec<_> = file
                .entries()
                .iter()
                .map(|e| (e.section.clone(), e.subsection.clone(), e.key.clone(), e.value.clone()))
                .collect();
            prop_assert_eq!(read, entries);
        }
    }
}
