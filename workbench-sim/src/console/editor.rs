//! Typing on a line: echo, erase, history, what a terminal's driver and a shell's line editor do between them.

use std::collections::VecDeque;

/// Lines remembered for the arrow keys.
const HISTORY: usize = 200;
/// Longest line, in characters.
const LONGEST: usize = 16 * 1024;

/// What a key brings about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Nothing yet.
    None,
    /// Enter.
    Line(String),
    /// Control-C.
    Interrupt,
    /// Control-D on an empty line.
    End,
    /// Control-L.
    Clear,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    No,
    Started,
    Sequence,
}

/// A line in the making.
#[derive(Default)]
pub(crate) struct Editor {
    line: String,
    /// Bytes of a character that has not come whole.
    partial: Vec<u8>,
    escape: Escape,
    history: VecDeque<String>,
    /// How far back in the history the arrow keys are.
    back: usize,
    after_return: bool,
}

impl Editor {
    /// What is typed so far.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Takes one byte; what is to be shown is appended to `echo`.
    pub(crate) fn key(&mut self, byte: u8, echo: &mut Vec<u8>) -> Event {
        let after_return = std::mem::take(&mut self.after_return);
        match std::mem::take(&mut self.escape) {
            Escape::Started => {
                if matches!(byte, b'[' | b'O') {
                    self.escape = Escape::Sequence;
                }
                return Event::None;
            }
            Escape::Sequence => {
                match byte {
                    b'A' => self.recall(self.back + 1, echo),
                    b'B' => self.recall(self.back.saturating_sub(1), echo),
                    0x40..=0x7e => {}
                    _ => self.escape = Escape::Sequence,
                }
                return Event::None;
            }
            Escape::No => {}
        }
        match byte {
            // A line may end with both; it is one end.
            b'\n' if after_return => {}
            b'\r' | b'\n' => {
                self.after_return = byte == b'\r';
                echo.extend(b"\r\n");
                self.partial.clear();
                let line = std::mem::take(&mut self.line);
                self.back = 0;
                if !line.trim().is_empty() && self.history.back() != Some(&line) {
                    self.history.push_back(line.clone());
                    if self.history.len() > HISTORY {
                        self.history.pop_front();
                    }
                }
                return Event::Line(line);
            }
            0x1b => self.escape = Escape::Started,
            0x7f | 0x08 => {
                if self.line.pop().is_some() {
                    echo.extend(b"\x08 \x08");
                }
            }
            0x03 => {
                echo.extend(b"^C\r\n");
                self.line.clear();
                self.back = 0;
                return Event::Interrupt;
            }
            0x04 if self.line.is_empty() => return Event::End,
            0x0c => return Event::Clear,
            0x15 => self.replace(String::new(), echo),
            0x17 => {
                let kept = self.line.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.replace(self.line[..kept].to_owned(), echo);
            }
            0..0x20 => {}
            byte => self.character(byte, echo),
        }
        Event::None
    }

    fn character(&mut self, byte: u8, echo: &mut Vec<u8>) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                if self.line.len() < LONGEST {
                    self.line.push_str(text);
                    echo.extend(&self.partial);
                }
                self.partial.clear();
            }
            Err(error) if error.error_len().is_some() || self.partial.len() >= 4 => self.partial.clear(),
            Err(_) => {}
        }
    }

    fn recall(&mut self, back: usize, echo: &mut Vec<u8>) {
        if back > self.history.len() {
            return;
        }
        self.back = back;
        let line = if back == 0 { String::new() } else { self.history[self.history.len() - back].clone() };
        self.replace(line, echo);
    }

    fn replace(&mut self, line: String, echo: &mut Vec<u8>) {
        for _ in self.line.chars() {
            echo.extend(b"\x08 \x08");
        }
        echo.extend(line.as_bytes());
        self.line = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(editor: &mut Editor, keys: &[u8]) -> (Vec<String>, String) {
        let (mut lines, mut echo) = (Vec::new(), Vec::new());
        for key in keys {
            if let Event::Line(line) = editor.key(*key, &mut echo) {
                lines.push(line);
            }
        }
        (lines, String::from_utf8(echo).unwrap())
    }

    #[test]
    fn keys_make_lines() {
        let mut editor = Editor::default();
        assert_eq!(lines(&mut editor, b"lx\x7fs\r\n"), (vec!["ls".into()], "lx\x08 \x08s\r\n".into()));
        assert_eq!(lines(&mut editor, "é\x7fü\r".as_bytes()).0, ["ü"]);
        assert_eq!(lines(&mut editor, b"\x1b[A\x1b[A\r").0, ["ls"]);
        assert_eq!(lines(&mut editor, b"\x1b[A\x1b[B\x1b[1;5Cx\r").0, ["x"]);
        assert_eq!(lines(&mut editor, b"pip install x\x17\x17flask\x15ok\n\n").0, ["ok", ""]);
        assert_eq!(editor.key(3, &mut Vec::new()), Event::Interrupt);
        assert_eq!(editor.key(4, &mut Vec::new()), Event::End);
    }

    proptest! {
        #[test]
        fn no_keys_panic(keys in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (mut editor, mut echo) = (Editor::default(), Vec::new());
            for key in keys {
                editor.key(key, &mut echo);
            }
        }
    }
}
