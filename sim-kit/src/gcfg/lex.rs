//! From text to entries.

use std::iter::Peekable;
use std::str::Chars;

use super::{Entry, GcfgError, LARGEST, MOST};

/// Reads all entries of a file.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, GcfgError> {
    if text.len() > LARGEST {
        return Err(GcfgError::TooLarge("a settings file has at most 1 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer { rest: text.chars().peekable(), line: 1 };
    let mut entries = Vec::new();
    let mut section: Option<(String, Option<String>)> = None;
    loop {
        lexer.skip(char::is_whitespace);
        match lexer.peek() {
            None => return Ok(entries),
            Some(';' | '#') => lexer.skip(|c| c != '\n'),
            Some('[') => section = Some(lexer.section()?),
            Some(_) => {
                let line = lexer.line;
                let key = lexer.name("a key")?;
                let Some((section, subsection)) = section.clone() else {
                    return Err(lexer.problem(format!("{key} stands before the first [Section]")));
                };
                let value = lexer.value(&key)?;
                entries.push(Entry { section, subsection, key, value, line });
                if entries.len() > MOST {
                    return Err(GcfgError::TooLarge("a settings file has at most 10000 values"));
                }
            }
        }
    }
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Lexer<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn skip(&mut self, which: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&which) {
            self.next();
        }
    }

    /// Blanks within a line.
    fn skip_blanks(&mut self) {
        self.skip(|c| c == ' ' || c == '\t' || c == '\r');
    }

    fn problem(&self, problem: impl Into<String>) -> GcfgError {
        GcfgError::Syntax { line: self.line, problem: problem.into() }
    }

    fn name(&mut self, what: &str) -> Result<String, GcfgError> {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '.' || *c == '_') {
            name.push(c);
            self.next();
        }
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Ok(name);
        }
        Err(self.problem(format!("expected the name of {what}, which begins with a letter")))
    }

    fn section(&mut self) -> Result<(String, Option<String>), GcfgError> {
        self.next();
        self.skip_blanks();
        let name = self.name("a section")?;
        self.skip_blanks();
        let mut subsection = None;
        if self.peek() == Some('"') {
            let mut text = String::new();
            self.quoted(&mut text)?;
            subsection = Some(text);
            self.skip_blanks();
        }
        if self.peek() != Some(']') {
            return Err(self.problem(format!("expected ] after the section {name}")));
        }
        self.next();
        Ok((name, subsection))
    }

    /// What stands between two quotes, the first of which is next.
    fn quoted(&mut self, out: &mut String) -> Result<(), GcfgError> {
        self.next();
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.problem("the quote is not closed")),
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('\\') => self.escaped(out)?,
                Some(c) => self.plain(c, out)?,
            }
        }
    }

    fn escaped(&mut self, out: &mut String) -> Result<(), GcfgError> {
        self.next();
        match self.peek() {
            Some(c @ ('"' | '\\')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            // The value goes on in the next line.
            Some('\n') => {}
            Some('\r') => {
                self.next();
                if self.peek() != Some('\n') {
                    return Err(self.problem("\\ stands before a carriage return alone"));
                }
            }
            Some(c) => return Err(self.problem(format!("\\{c} is none of \\\" \\\\ \\n \\t"))),
            None => return Err(self.problem("the file ends with \\")),
        }
        self.next();
        Ok(())
    }

    fn plain(&mut self, c: char, out: &mut String) -> Result<(), GcfgError> {
        if c.is_control() && c != '\t' {
            return Err(self.problem(format!("a control character ({}) in a value", c.escape_default())));
        }
        out.push(c);
        self.next();
        Ok(())
    }

    /// What follows a key, to the end of the line.
    fn value(&mut self, key: &str) -> Result<String, GcfgError> {
        self.skip_blanks();
        match self.peek() {
            None | Some('\n' | ';' | '#') => return Ok("true".to_owned()),
            Some('=') => drop(self.next()),
            Some(_) => return Err(self.problem(format!("expected = after {key}"))),
        }
        self.skip_blanks();
        let mut out = String::new();
        // How much of it counts: blanks at the end do not, unless in quotes.
        let mut whole = 0;
        loop {
            match self.peek() {
                None | Some('\n' | ';' | '#') => break,
                Some('"') => {
                    self.quoted(&mut out)?;
                    whole = out.len();
                }
                Some('\\') => {
                    let before = out.len();
                    self.escaped(&mut out)?;
                    if out.len() > before {
                        whole = out.len();
                    }
                }
                Some('\r') => drop(self.next()),
                Some(c) => {
                    self.plain(c, &mut out)?;
                    if c != ' ' && c != '\t' {
                        whole = out.len();
                    }
                }
            }
        }
        out.truncate(whole);
        Ok(out)
    }
}
