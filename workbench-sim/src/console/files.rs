//! Files of the home folder. Nothing outside of it can be read or written.

use std::path::{Component, Path, PathBuf};

use super::shell::Interpreter;

/// Largest file that is shown or read whole.
pub(super) const LARGEST_FILE: u64 = 4 * 1024 * 1024;

impl Interpreter {
    /// The real path of `path`, which need not exist, if it is in the home folder.
    pub(super) fn path(&self, path: &str) -> Result<PathBuf, String> {
        let mut plain = if Path::new(path).is_absolute() { PathBuf::from("/") } else { self.directory.clone() };
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => {
                    plain.pop();
                }
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        // Links may lead out: what counts is where the existing part really is.
        let mut existing = plain.as_path();
        let mut missing = Vec::new();
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(_) => match (existing.parent(), existing.file_name()) {
                    (Some(parent), Some(name)) => {
                        missing.push(name.to_owned());
                        existing = parent;
                    }
                    _ => return Err("No such file or directory".to_owned()),
                },
            }
        };
        let home = self.home.canonicalize().map_err(|error| error.to_string())?;
        if !real.starts_with(home) {
            return Err("Permission denied: a simulated console sees the home folder only".to_owned());
        }
        Ok(missing.into_iter().rev().fold(existing.to_owned(), |path, name| path.join(name)))
    }

    pub(super) fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.path(path)?;
        let size = std::fs::metadata(&path).map_err(|error| said(&error))?;
        if size.is_dir() {
            return Err("Is a directory".to_owned());
        }
        if size.len() > LARGEST_FILE {
            return Err(format!("larger than {LARGEST_FILE} bytes"));
        }
        std::fs::read(&path).map_err(|error| said(&error))
    }

    pub(super) fn write_file(&self, path: &str, text: &str, append: bool) -> Result<(), String> {
        let path = self.path(path)?;
        let mut bytes = if append { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        bytes.extend(text.as_bytes());
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(format!("larger than {LARGEST_FILE} bytes"));
        }
        std::fs::write(&path, bytes).map_err(|error| said(&error))
    }

    pub(super) fn file_command(&mut self, words: &[&str]) -> i32 {
        let (command, operands) = words.split_first().expect("the caller matched the command");
        let (options, operands): (Vec<&str>, Vec<&str>) = operands.iter().partition(|word| word.starts_with('-'));
        let result = match (*command, operands.as_slice()) {
            ("pwd", []) => {
                let place = self.directory.display().to_string();
                self.line(place);
                Ok(())
            }
            ("cd", []) => self.change_to(None),
            ("cd", [place]) => self.change_to(Some(place)).map_err(|why| format!("{place}: {why}")),
            ("ls", []) => self.list(".", options.concat().contains('a')),
            ("cat" | "mkdir" | "rm", []) => Err("missing operand".to_owned()),
            (_, operands) => operands.iter().try_for_each(|operand| {
                let done = match *command {
                    "ls" => self.list(operand, options.concat().contains('a')),
                    "cat" => self.read_file(operand).map(|bytes| self.out(&String::from_utf8_lossy(&bytes))),
                    "mkdir" => {
                        self.path(operand).and_then(|path| std::fs::create_dir_all(path).map_err(|error| said(&error)))
                    }
                    "rm" => self.remove(operand, options.concat().contains('r')),
                    _ => Err("too many arguments".to_owned()),
                };
                done.map_err(|why| format!("{operand}: {why}"))
            }),
        };
        match result {
            Ok(()) => 0,
            Err(why) => self.fail(format!("{command}: {why}")),
        }
    }

    fn change_to(&mut self, place: Option<&str>) -> Result<(), String> {
        let path = match place {
            None => self.home.clone(),
            Some(place) => self.path(place)?,
        };
        if !path.is_dir() {
            return Err(if path.exists() { "Not a directory" } else { "No such file or directory" }.to_owned());
        }
        self.directory = path;
        Ok(())
    }

    fn list(&mut self, place: &str, all: bool) -> Result<(), String> {
        let path = self.path(place)?;
        if path.is_file() {
            self.line(place);
            return Ok(());
        }
        let entries = std::fs::read_dir(path).map_err(|error| said(&error))?;
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.path().is_dir() { format!("{name}/") } else { name }
            })
            .filter(|name| all || !name.starts_with('.'))
            .collect();
        names.sort();
        for name in names {
            self.line(name);
        }
        Ok(())
    }

    fn remove(&mut self, place: &str, folders: bool) -> Result<(), String> {
        let path = self.path(place)?;
        if self.home.starts_with(&path) || self.directory.starts_with(&path) {
            return Err("refusing to remove the folder one is in".to_owned());
        }
        match (path.is_dir(), folders) {
            (true, true) => std::fs::remove_dir_all(path),
            (true, false) => return Err("Is a directory".to_owned()),
            (false, _) => std::fs::remove_file(path),
        }
        .map_err(|error| said(&error))
    }
}

/// What a shell would say.
fn said(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        std::io::ErrorKind::IsADirectory => "Is a directory".to_owned(),
        std::io::ErrorKind::NotADirectory => "Not a directory".to_owned(),
        _ => error.to_string(),
    }
}
