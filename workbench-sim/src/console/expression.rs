//! Expressions of R, as far as the scripted console reads them: strings, numbers, names (`R.version$major`,
//! `rsconnect::deployApp`) and calls of those.

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Text(String),
    Number(f64),
    Name(String),
    /// Function, and arguments with their names.
    Call(String, Vec<(Option<String>, Expression)>),
}

/// Calls within calls.
const DEEPEST: usize = 32;

/// Parses the statements of a line, separated by `;` or ends of lines.
///
/// # Errors
/// What cannot be read.
pub(crate) fn parse(text: &str) -> Result<Vec<Expression>, String> {
    let mut parser = Parser { rest: text };
    let mut statements = Vec::new();
    loop {
        parser.skip(true);
        if parser.rest.is_empty() {
            return Ok(statements);
        }
        if parser.take(';') {
            continue;
        }
        statements.push(parser.expression(0)?);
        parser.skip(false);
        if !parser.rest.is_empty() && !parser.rest.starts_with(['\n', '\r', ';']) {
            return Err(parser.unexpected());
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn skip(&mut self, lines: bool) {
        loop {
            self.rest =
                self.rest.trim_start_matches(|c: char| c.is_whitespace() && (lines || !matches!(c, '\n' | '\r')));
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn take(&mut self, c: char) -> bool {
        self.rest.strip_prefix(c).map(|rest| self.rest = rest).is_some()
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("unexpected '{c}'"),
            None => "unexpected end of input".to_owned(),
        }
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEEPEST {
            return Err("expressions are nested too deeply".to_owned());
        }
        self.skip(true);
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.text(quote).map(Expression::Text),
            Some(c) if c.is_ascii_digit() => {
                let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(self.rest.len());
                let (digits, rest) = self.rest.split_at(end);
                let number = digits.trim_end_matches('L').parse().map_err(|_| format!("cannot read {digits}"))?;
                self.rest = rest;
                Ok(Expression::Number(number))
            }
            Some(c) if c.is_ascii_alphabetic() || c == '.' => {
                let part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '$'));
                let (name, rest) = self.rest.split_at(self.rest.find(part).unwrap_or(self.rest.len()));
                let name = name.to_owned();
                self.rest = rest;
                self.skip(false);
                if self.take('(') { self.arguments(name, depth) } else { Ok(Expression::Name(name)) }
            }
            _ => Err(self.unexpected()),
        }
    }

    fn arguments(&mut self, function: String, depth: usize) -> Result<Expression, String> {
        let mut arguments = Vec::new();
        loop {
            self.skip(true);
            if self.take(')') {
                return Ok(Expression::Call(function, arguments));
            }
            let value = self.expression(depth + 1)?;
            self.skip(true);
            let argument = match value {
                Expression::Name(name) if self.rest.starts_with('=') && !self.rest.starts_with("==") => {
                    self.take('=');
                    (Some(name), self.expression(depth + 1)?)
                }
                value => (None, value),
            };
            arguments.push(argument);
            self.skip(true);
            if !self.take(',') && !self.rest.starts_with(')') {
                return Err(self.unexpected());
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("unexpected end of input in a string".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn expressions_are_read() {
        use Expression::{Call, Name, Number, Text};
        let text = |t: &str| (None, Text(t.into()));
        assert_eq!(
            parse("install.packages(c('a', \"b\"), repos = \"u\", Ncpus=2L); R.version$major # end\n").unwrap(),
            [
                Call(
                    "install.packages".into(),
                    vec![
                        (None, Call("c".into(), vec![text("a"), text("b")])),
                        (Some("repos".into()), Text("u".into())),
                        (Some("Ncpus".into()), Number(2.0)),
                    ]
                ),
                Name("R.version$major".into()),
            ]
        );
        assert_eq!(parse("cat(\"a\\n\")\nq()").unwrap().len(), 2);
        assert_eq!(parse("  ;; # nothing").unwrap(), []);
        for bad in ["x <- 1", "f(", "f(a b)", "'x", "1 + 1", ")", "1x2", "\"\\"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"f(".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
