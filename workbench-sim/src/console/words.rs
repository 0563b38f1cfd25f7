//! A line of shell, split into commands and words: quotes, `\`, `$NAME`, `${NAME}`, `$?`, `~`, `;`, `&&`, `||`, `>`, `>>`
//! and `#`. What a real shell has beyond that is refused by name rather than misread.

/// How a command follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// `;`, or the first of a line.
    Always,
    /// `&&`
    IfDone,
    /// `||`
    IfFailed,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A variable to expand when the command runs.
    Variable(String),
}

/// A word before expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Word(Vec<Piece>);

impl Word {
    /// Its text, with variables looked up by `value`.
    pub(crate) fn expand(&self, value: impl Fn(&str) -> String) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(name) => value(name),
            })
            .collect()
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.0.push(Piece::Text(c.to_string())),
        }
    }
}

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) link: Link,
    pub(crate) words: Vec<Word>,
    /// File for its output, and whether to append.
    pub(crate) redirect: Option<(Word, bool)>,
}

/// Splits a line.
///
/// # Errors
/// What is wrong with it, as a shell would say.
pub(crate) fn parse(line: &str) -> Result<Vec<Command>, String> {
    let mut chars = line.chars().peekable();
    let mut commands = Vec::new();
    let mut current = Command { link: Link::Always, words: Vec::new(), redirect: None };
    let mut word: Option<Word> = None;
    // Some(append) after `>`: the next word is the file.
    let mut file: Option<bool> = None;
    let finish_word = |word: &mut Option<Word>, current: &mut Command, file: &mut Option<bool>| {
        if let Some(word) = word.take() {
            match file.take() {
                Some(append) => current.redirect = Some((word, append)),
                None => current.words.push(word),
            }
        }
    };
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => finish_word(&mut word, &mut current, &mut file),
            '#' if word.is_none() => break,
            '\'' => {
                let word = word.get_or_insert_default();
                word.0.push(Piece::Text(String::new()));
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("unexpected end of line while looking for a matching `''".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                word.0.push(Piece::Text(String::new()));
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') if matches!(chars.peek(), Some('"' | '\\' | '$' | '`')) => {
                            chars.next().into_iter().for_each(|c| word.push(c));
                        }
                        Some('$') => variable(&mut chars, word)?,
                        Some('`') => return Err(unsupported("`command substitution`")),
                        Some(c) => word.push(c),
                        None => return Err("unexpected end of line while looking for a matching `\"'".to_owned()),
                    }
                }
            }
            '\\' => {
                let escaped = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(escaped);
            }
            '$' => variable(&mut chars, word.get_or_insert_default())?,
            '~' if word.is_none() && matches!(chars.peek(), None | Some('/' | ' ')) => {
                word = Some(Word(vec![Piece::Variable("HOME".to_owned())]));
            }
            '>' => {
                finish_word(&mut word, &mut current, &mut file);
                file = Some(chars.next_if_eq(&'>').is_some());
            }
            ';' | '&' | '|' => {
                let link = match (c, chars.next_if_eq(&c).is_some()) {
                    (';', false) => Link::Always,
                    ('&', true) => Link::IfDone,
                    ('|', true) => Link::IfFailed,
                    ('&', false) => return Err(unsupported("running in the background with `&'")),
                    ('|', false) => return Err(unsupported("piping with `|'")),
                    _ => return Err("syntax error near unexpected token `;;'".to_owned()),
                };
                finish_word(&mut word, &mut current, &mut file);
                if current.words.is_empty() {
                    return Err(format!("syntax error near unexpected token `{c}'"));
                }
                commands.push(std::mem::replace(&mut current, Command { link, words: Vec::new(), redirect: None }));
            }
            '<' => return Err(unsupported("reading from `<'")),
            '`' => return Err(unsupported("`command substitution`")),
            '(' | ')' => return Err(format!("syntax error near unexpected token `{c}'")),
            c => word.get_or_insert_default().push(c),
        }
    }
    finish_word(&mut word, &mut current, &mut file);
    if file.is_some() {
        return Err("syntax error near unexpected token `newline'".to_owned());
    }
    if !current.words.is_empty() || current.redirect.is_some() {
        commands.push(current);
    }
    Ok(commands)
}

fn unsupported(what: &str) -> String {
    format!("{what} is beyond this simulated console")
}

fn variable(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut Word) -> Result<(), String> {
    let name_char = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let mut name = String::new();
    match chars.peek() {
        Some('?') => name.extend(chars.next()),
        Some('(') => return Err(unsupported("$(command substitution)")),
        Some('{') => {
            chars.next();
            while let Some(c) = chars.next_if(name_char) {
                name.push(c);
            }
            if name.is_empty() || chars.next() != Some('}') {
                return Err(unsupported("this form of ${…}"));
            }
        }
        _ => {
            while let Some(c) = chars.next_if(name_char) {
                name.push(c);
            }
        }
    }
    if name.is_empty() {
        word.push('$');
    } else {
        word.0.push(Piece::Variable(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Result<Vec<(Link, Vec<String>)>, String> {
        let value = |name: &str| format!("<{name}>");
        let commands = parse(line)?;
        Ok(commands.iter().map(|c| (c.link, c.words.iter().map(|w| w.expand(value)).collect())).collect())
    }

    #[test]
    fn lines_are_split_as_a_shell_splits_them() {
        let one = |words: &[&str]| Ok(vec![(Link::Always, words.iter().map(ToString::to_string).collect::<Vec<_>>())]);
        assert_eq!(split("  pip  install flask # now"), one(&["pip", "install", "flask"]));
        assert_eq!(split(r#"R -e 'install.packages("x")'"#), one(&["R", "-e", "install.packages(\"x\")"]));
        assert_eq!(
            split(r#"echo "a"'b'\ c "" $X"${Y}z" '$X' $? $"#),
            one(&["echo", "ab c", "", "<X><Y>z", "$X", "<?>", "$"])
        );
        assert_eq!(split("ls ~ ~/x a~"), one(&["ls", "<HOME>", "<HOME>/x", "a~"]));
        assert_eq!(split(""), Ok(vec![]));
        let links: Vec<Link> = split("a; b && c || d;").unwrap().into_iter().map(|(link, _)| link).collect();
        assert_eq!(links, [Link::Always, Link::Always, Link::IfDone, Link::IfFailed]);
        let redirected = parse("echo x >>  out.txt").unwrap();
        assert_eq!(redirected[0].words.len(), 2);
        let (file, append) = redirected[0].redirect.clone().unwrap();
        assert_eq!((file.expand(|_| String::new()).as_str(), append), ("out.txt", true));
        for bad in ["echo 'x", "echo \"x", "a | b", "a &", "$(x)", "`x`", "; a", "a > ", "a < b", "${", "a ;; b"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,200}") {
            let _ = parse(&line);
        }
    }
}
