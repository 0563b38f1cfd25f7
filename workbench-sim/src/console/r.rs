//! The few functions of R that the scripted console has.

use super::expression::{Expression, parse};
use super::shell::Interpreter;

/// A value of R.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// `NULL`, or what a function returns invisibly.
    Nothing,
    Texts(Vec<String>),
    Number(f64),
    /// A named list or vector of texts.
    Named(Vec<(String, String)>),
}

impl Value {
    fn printed(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Texts(texts) if texts.is_empty() => Some("character(0)".to_owned()),
            Self::Texts(texts) => {
                let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
                Some(format!("[1] {}", quoted.join(" ")))
            }
            Self::Number(number) => Some(format!("[1] {number}")),
            Self::Named(pairs) => {
                let width = pairs.iter().map(|(n, v)| n.len().max(v.len() + 2)).max().unwrap_or(0);
                let names: Vec<String> = pairs.iter().map(|(name, _)| format!("{name:>width$}")).collect();
                let values: Vec<String> =
                    pairs.iter().map(|(_, value)| format!("{:>width$}", format!("{value:?}"))).collect();
                Some(format!("{} \n{} ", names.join(" "), values.join(" ")))
            }
        }
    }

    fn texts(&self) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Texts(texts) => texts.clone(),
            Self::Number(number) => vec![number.to_string()],
            Self::Named(pairs) => pairs.iter().map(|(_, value)| value.clone()).collect(),
        }
    }
}

const KNOWN: &str = "install.packages(), library(), getOption(\"repos\"), R.version.string, Sys.getenv(), print(), cat(), \
                     paste0(), c(), rsconnect::deployApp(), rsconnect::writeManifest(), q()";

impl Interpreter {
    /// Runs the expressions of `text`; 1 when one of them fails.
    pub(super) async fn r(&mut self, text: &str) -> i32 {
        let statements = match parse(text) {
            Ok(statements) => statements,
            Err(why) => {
                return self.fail(format!("Error: {why}\n(this is a simulated R console; it understands {KNOWN})"));
            }
        };
        for statement in statements {
            match self.evaluate(&statement).await {
                Ok(value) => {
                    if let Some(printed) = value.printed() {
                        self.line(printed);
                    }
                }
                Err(why) => return self.fail(if why.starts_with("Error") { why } else { format!("Error: {why}") }),
            }
        }
        0
    }

    fn repositories(&self) -> Vec<(String, String)> {
        let url = self.app.config().cran.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        url.map_or(Vec::new(), |url| vec![("CRAN".to_owned(), url.clone()), ("RSPM".to_owned(), url)])
    }

    /// Values of constants and of calls whose arguments are evaluated first.
    async fn evaluate(&mut self, expression: &Expression) -> Result<Value, String> {
        let (function, arguments) = match expression {
            Expression::Text(text) => return Ok(Value::Texts(vec![text.clone()])),
            Expression::Number(number) => return Ok(Value::Number(*number)),
            Expression::Name(name) => return self.constant(name),
            Expression::Call(function, arguments) => (function.as_str(), arguments),
        };
        // The argument of these is a name that stands for itself.
        if let (
            "library" | "require" | "requireNamespace",
            Some((_, Expression::Name(name) | Expression::Text(name))),
        ) = (function, arguments.first())
        {
            return self.library(name);
        }
        let mut values = Vec::new();
        for (name, argument) in arguments {
            values.push((name.as_deref(), Box::pin(self.evaluate(argument)).await?));
        }
        let texts = |values: &[(Option<&str>, Value)]| -> Vec<String> {
            values.iter().filter(|(name, _)| name.is_none()).flat_map(|(_, value)| value.texts()).collect()
        };
        let named = |wanted: &str| {
            values
                .iter()
                .find(|(name, _)| *name == Some(wanted))
                .and_then(|(_, value)| value.texts().into_iter().next())
        };
        match function {
            "c" => Ok(Value::Texts(texts(&values))),
            "paste0" => Ok(Value::Texts(vec![texts(&values).concat()])),
            "paste" => Ok(Value::Texts(vec![texts(&values).join(named("sep").as_deref().unwrap_or(" "))])),
            "print" => {
                let printed = values.first().and_then(|(_, value)| value.printed()).unwrap_or("NULL".to_owned());
                self.line(printed);
                Ok(Value::Nothing)
            }
            "cat" => {
                let text = texts(&values).join(named("sep").as_deref().unwrap_or(" "));
                self.out(&text);
                Ok(Value::Nothing)
            }
            "getOption" if texts(&values) == ["repos"] => Ok(Value::Named(self.repositories())),
            "getOption" => Ok(Value::Nothing),
            "Sys.getenv" => Ok(Value::Texts(texts(&values).iter().map(|name| self.variable(name)).collect())),
            "getwd" => Ok(Value::Texts(vec![self.directory.display().to_string()])),
            "install.packages" | "utils::install.packages" => {
                let (names, given) = (texts(&values), named("repos"));
                let url = given.or_else(|| self.repositories().into_iter().next().map(|(_, url)| url));
                let url = url.ok_or("no repository is set; give repos = \"URL\"")?;
                if names.is_empty() {
                    return Err("no packages were specified".to_owned());
                }
                self.install_r(&url, &names).await?;
                Ok(Value::Nothing)
            }
            "rsconnect::deployApp" | "deployApp" => {
                let place = named("appDir").or_else(|| texts(&values).into_iter().next()).unwrap_or(".".to_owned());
                self.deploy_r(&place, named("appTitle").as_deref()).await?;
                Ok(Value::Nothing)
            }
            "rsconnect::writeManifest" | "writeManifest" => {
                let place = named("appDir").or_else(|| texts(&values).into_iter().next()).unwrap_or(".".to_owned());
                self.write_r_manifest(&place).await?;
                Ok(Value::Nothing)
            }
            "q" | "quit" => {
                self.exit();
                Ok(Value::Nothing)
            }
            other => Err(format!(
                "could not find function \"{other}\" (this is a simulated R console; it understands {KNOWN})"
            )),
        }
    }

    fn constant(&self, name: &str) -> Result<Value, String> {
        let version = self.r_version();
        let text = |text: String| Ok(Value::Texts(vec![text]));
        match name {
            "R.version.string" | "R.version$version.string" => text(format!("R version {version} (simulated)")),
            "R.version$major" => text(version.split('.').next().unwrap_or_default().to_owned()),
            "R.version$minor" => text(version.split_once('.').map_or(String::new(), |(_, minor)| minor.to_owned())),
            "NULL" => Ok(Value::Nothing),
            "TRUE" | "FALSE" => text(name.to_owned()),
            other => Err(format!("object '{other}' not found (this is a simulated R console; it understands {KNOWN})")),
        }
    }

    fn library(&mut self, name: &str) -> Result<Value, String> {
        match self.installed("r").get(name) {
            Some(version) => {
                let told = format!("{name} {version} was installed; nothing is loaded, this console is simulated");
                self.error(told);
                Ok(Value::Nothing)
            }
            None => Err(format!("there is no package called ‘{name}’")),
        }
    }
}
