//! Runs lines: commands of a shell, or in the R console expressions of R.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::words::{self, Link};
use crate::App;
use crate::environment::Environment;
use crate::terminal::{Channel, Screen};

/// Longest file that a redirection writes.
const LARGEST_CAPTURE: usize = 8 * 1024 * 1024;

/// What follows a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Exit,
}

/// The state of one console.
pub(crate) struct Interpreter {
    pub(super) app: App,
    pub(super) home: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) variables: BTreeMap<String, String>,
    screen: Screen,
    channel: Channel,
    status: i32,
    /// Output of a command that is written to a file.
    capture: Option<String>,
    exiting: bool,
}

const HELP: &str = "\
This is a simulated console. It understands:

  pip install PACKAGE… | -r FILE      resolve, download and check from Package Manager
  uv pip install PACKAGE…             the same
  pip list
  R -e 'install.packages(\"PACKAGE\")'  the same for R; also typed without R -e
  R -e 'rsconnect::deployApp(\"DIR\")'  publish an R application to Connect
  rsconnect add|list|version
  rsconnect deploy flask|fastapi|dash|streamlit|shiny|html|manifest PATH
  curl [-I] [-s] [-o FILE] URL
  ls  cat  cd  pwd  mkdir  rm  echo  env  export  whoami  clear  true  false  exit

Quotes, $VARIABLES, ;  &&  ||  >  >> and # work as in a shell. Something to publish is in ~/samples.
";

impl Interpreter {
    pub(crate) fn new(app: &App, environment: Environment, screen: Screen, channel: Channel) -> Self {
        Self {
            app: app.clone(),
            home: environment.home,
            directory: environment.directory,
            variables: environment.variables.into_iter().collect(),
            screen,
            channel,
            status: 0,
            capture: None,
            exiting: false,
        }
    }

    pub(crate) fn status(&self) -> i32 {
        self.status
    }

    /// Says what this is.
    pub(crate) fn greet(&self) {
        let what = match self.channel {
            Channel::Shell => "Simulated terminal: no shell runs here. Type help for what it understands.",
            Channel::R => {
                "Simulated R console: no R runs here. It installs from Package Manager and publishes to Connect."
            }
        };
        self.show(&format!("{what}\n"));
    }

    pub(crate) fn prompt(&self) {
        let prompt = match self.channel {
            Channel::Shell => {
                let place = match self.directory.strip_prefix(&self.home) {
                    Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
                    Ok(rest) => format!("~/{}", rest.display()),
                    Err(_) => self.directory.display().to_string(),
                };
                format!("{}@workbench:{place}$ ", self.variable("USER"))
            }
            Channel::R => "> ".to_owned(),
        };
        self.screen.write(prompt.as_bytes());
    }

    /// After Control-C.
    pub(crate) fn interrupted(&mut self) {
        self.status = 130;
        self.capture = None;
    }

    pub(super) fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            name => self.variables.get(name).cloned().unwrap_or_default(),
        }
    }

    fn show(&self, text: &str) {
        self.screen.write(text.replace('\n', "\r\n").as_bytes());
    }

    /// Standard output.
    pub(super) fn out(&mut self, text: &str) {
        match &mut self.capture {
            Some(capture) if capture.len() + text.len() <= LARGEST_CAPTURE => capture.push_str(text),
            Some(_) => {}
            None => self.show(text),
        }
    }

    /// A line of standard output.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) {
        self.out(&format!("{text}\n"));
    }

    /// A line of standard error.
    pub(super) fn error(&mut self, text: impl std::fmt::Display) {
        self.show(&format!("{text}\n"));
    }

    /// A failed command: says why and answers with the status.
    pub(super) fn fail(&mut self, text: impl std::fmt::Display) -> i32 {
        self.error(text);
        1
    }

    /// Runs one line.
    pub(crate) async fn run(&mut self, line: &str) -> Flow {
        match self.channel {
            Channel::R => self.status = self.r(line).await,
            Channel::Shell if looks_like_r(line) => self.status = self.r(line).await,
            Channel::Shell => self.shell(line).await,
        }
        if self.exiting { Flow::Exit } else { Flow::Continue }
    }

    pub(super) fn exit(&mut self) {
        self.exiting = true;
    }

    async fn shell(&mut self, line: &str) {
        let commands = match words::parse(line) {
            Ok(commands) => commands,
            Err(why) => {
                self.status = 2;
                return self.error(format!("console: {why}"));
            }
        };
        for command in commands {
            let wanted = match command.link {
                Link::Always => true,
                Link::IfDone => self.status == 0,
                Link::IfFailed => self.status != 0,
            };
            if !wanted {
                continue;
            }
            let words: Vec<String> = command.words.iter().map(|word| word.expand(|name| self.variable(name))).collect();
            let file = command.redirect.map(|(file, append)| (file.expand(|name| self.variable(name)), append));
            self.capture = file.as_ref().map(|_| String::new());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.status = self.command(&words).await;
            if let (Some(text), Some((file, append))) = (self.capture.take(), file)
                && let Err(why) = self.write_file(&file, &text, append)
            {
                self.status = self.fail(format!("console: {file}: {why}"));
            }
            if self.exiting {
                return;
            }
        }
    }

    async fn command(&mut self, words: &[&str]) -> i32 {
        match words {
            [] => 0,
            ["help", ..] => {
                self.out(HELP);
                0
            }
            ["exit" | "logout"] => {
                self.exit();
                self.status
            }
            ["exit", code] => {
                self.exit();
                code.parse().unwrap_or(2)
            }
            ["true" | ":"] => 0,
            ["false"] => 1,
            ["clear"] => {
                self.out("\x1b[H\x1b[2J");
                0
            }
            ["echo", "-n", rest @ ..] => {
                self.out(&rest.join(" "));
                0
            }
            ["echo", rest @ ..] => {
                self.line(rest.join(" "));
                0
            }
            ["eval", rest @ ..] => {
                let line = rest.join(" ");
                Box::pin(self.shell(&line)).await;
                self.status
            }
            ["whoami"] => {
                self.line(self.variable("USER"));
                0
            }
            ["env" | "printenv"] => {
                let all: Vec<String> = self.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
                self.out(&all.concat());
                0
            }
            ["printenv", name] => match self.variables.get(*name).cloned() {
                Some(value) => {
                    self.line(value);
                    0
                }
                None => 1,
            },
            ["export", settings @ ..] => self.export(settings),
            [setting] if setting.split_once('=').is_some_and(|(name, _)| is_name(name)) => self.export(&[setting]),
            ["ls" | "cat" | "cd" | "pwd" | "mkdir" | "rm", ..] => self.file_command(words),
            ["curl", rest @ ..] => self.curl(rest).await,
            ["pip" | "pip3", rest @ ..] | ["uv", "pip", rest @ ..] | ["python" | "python3", "-m", "pip", rest @ ..] => {
                self.pip(rest).await
            }
            ["R" | "Rscript", rest @ ..] => self.r_command(rest).await,
            ["rsconnect", rest @ ..] => self.rsconnect(rest).await,
            [other, ..] => {
                self.error(format!("{other}: not a command of this simulated console; type help for those it has"));
                127
            }
        }
    }

    fn export(&mut self, settings: &[&str]) -> i32 {
        for setting in settings {
            match setting.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
                None if is_name(setting) => {}
                _ => return self.fail(format!("export: `{setting}': not a valid identifier")),
            }
        }
        0
    }

    async fn r_command(&mut self, words: &[&str]) -> i32 {
        let mut expressions = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-e" => match words.next() {
                    Some(expression) => expressions.push(*expression),
                    None => return self.fail("R: option -e needs an expression"),
                },
                "--version" => {
                    let version = self.app.config().r_versions().first().cloned().unwrap_or_default();
                    self.line(format!("R version {version} (simulated)"));
                    return 0;
                }
                option if option.starts_with('-') => {}
                other => return self.fail(format!("R: {other}: only -e EXPRESSION works in this simulated console")),
            }
        }
        if expressions.is_empty() {
            return self.fail("R: only -e EXPRESSION works in this simulated console");
        }
        self.r(&expressions.join("\n")).await
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Lines that people paste from R documentation.
fn looks_like_r(line: &str) -> bool {
    let line = line.trim_start();
    ["install.packages(", "rsconnect::", "getOption(", "library("].iter().any(|start| line.starts_with(start))
}
