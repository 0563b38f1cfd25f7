//! Runs scenarios.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Client;
use serde_json::{Value, json};
use sim_kit::journal::Direction;
use sim_kit::seed::{SeedUser, users};
use url::Url;
use workbench_sim::client::{Client as Workbench, LaunchedSession, Terminal};

use crate::cli::ScenarioArgs;
use crate::scenario::browser::Browser;
use crate::scenario::file::{Action, Scenario, Server, read};
use crate::scenario::report::{Outcome, Report, html, junit};
use crate::stack::{Ports, Stack};

/// Where a team is and how to get in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Workbench, with a slash at the end.
    pub workbench: Url,
    /// Connect, with a slash at the end.
    pub connect: Url,
    /// Package Manager, with a slash at the end.
    pub package_manager: Url,
    /// For the control planes.
    pub control_token: Option<String>,
    /// Seed of the users' keys.
    pub seed: u64,
}

impl Target {
    fn url(&self, server: Server) -> &Url {
        match server {
            Server::Workbench => &self.workbench,
            Server::Connect => &self.connect,
            Server::PackageManager => &self.package_manager,
        }
    }

    fn user(&self, name: &str) -> anyhow::Result<SeedUser> {
        users(self.seed)
            .into_iter()
            .find(|user| user.username == name)
            .with_context(|| format!("no user {name:?}; there are admin, publisher and viewer"))
    }
}

/// `teamsim scenario run`.
///
/// # Errors
/// When a file cannot be read, or the team does not start; a step that fails is no error but a failure code.
pub async fn command(args: &ScenarioArgs) -> anyhow::Result<ExitCode> {
    sim_kit::logging::start(&args.team.log, args.team.log_json);
    let scenarios = args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let with_slash =
        |url: &Url| -> anyhow::Result<Url> { Ok(format!("{}/", url.as_str().trim_end_matches('/')).parse()?) };
    let mut reports = Vec::new();
    for scenario in &scenarios {
        let (stack, target) = match (&args.workbench_url, &args.connect_url, &args.pkgmgr_url) {
            (Some(workbench), Some(connect), Some(package_manager)) => {
                let target = Target {
                    workbench: with_slash(workbench)?,
                    connect: with_slash(connect)?,
                    package_manager: with_slash(package_manager)?,
                    control_token: args.team.control_token.clone(),
                    seed: args.team.seed,
                };
                (None, target)
            }
            _ => {
                // A team of its own for each scenario: what one leaves behind is no concern of the next.
                let stack = Stack::start(args.team.stack(Ports::default())?).await?;
                let target = target_of(&stack, args.team.seed, args.team.control_token.clone())?;
                (Some(stack), target)
            }
        };
        reports.push(run(scenario, &target).await);
        if let Some(stack) = stack {
            stack.stop().await;
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&reports)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.html {
        std::fs::write(path, html(&reports)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if reports.iter().all(Report::passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The target that `stack` is.
///
/// # Errors
/// Never, for a stack that runs.
pub fn target_of(stack: &Stack, seed: u64, control_token: Option<String>) -> anyhow::Result<Target> {
    let urls = stack.urls();
    Ok(Target {
        workbench: format!("{}/", urls.workbench).parse()?,
        connect: format!("{}/", urls.connect).parse()?,
        package_manager: format!("{}/", urls.package_manager).parse()?,
        control_token,
        seed,
    })
}

/// Runs one scenario and tells the progress on standard error.
pub async fn run(scenario: &Scenario, target: &Target) -> Report {
    let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let mut outcomes = Vec::new();
    let mut failed = false;
    eprintln!("{}", scenario.name);
    let mut player = Player::new(target).await;
    for step in &scenario.steps {
        let title = step.title();
        if failed {
            outcomes.push(Outcome { title, took: Duration::ZERO, failure: None, skipped: true });
            continue;
        }
        let bar = ProgressBar::new_spinner().with_style(style.clone()).with_message(title.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        let started = Instant::now();
        let result = match &mut player {
            Ok(player) => player.play(&step.action).await,
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let took = started.elapsed();
        bar.finish_and_clear();
        let failure = result.err().map(|error| format!("{error:#}"));
        match &failure {
            None => eprintln!("  ✓ {title} ({:.2} s)", took.as_secs_f64()),
            Some(why) => eprintln!("  ✗ {title}\n    {}", why.replace('\n', "\n    ")),
        }
        failed = failure.is_some();
        outcomes.push(Outcome { title, took, failure, skipped: false });
    }
    Report { name: scenario.name.clone(), outcomes }
}

/// The person (and the operator's hand on the control planes) that a scenario plays.
struct Player<'a> {
    target: &'a Target,
    /// For APIs and control planes; no cookies.
    client: Client,
    /// One browser a user, kept from step to step.
    browsers: HashMap<String, Browser>,
    workbench: Option<Workbench>,
    session: Option<(LaunchedSession, Terminal)>,
    /// The journals' newest entries before the scenario began.
    began: HashMap<Server, u64>,
}

impl<'a> Player<'a> {
    async fn new(target: &'a Target) -> anyhow::Result<Self> {
        let client = crate::http_client();
        let mut player =
            Self { target, client, browsers: HashMap::new(), workbench: None, session: None, began: HashMap::new() };
        for server in [Server::Workbench, Server::Connect, Server::PackageManager] {
            let journal = player.control(server, "journal?limit=0", None).await?;
            player.began.insert(server, journal["counters"]["total"].as_u64().unwrap_or(0));
        }
        Ok(player)
    }

    async fn play(&mut self, action: &Action) -> anyhow::Result<()> {
        match action {
            Action::SignIn { user } => {
                let user = self.target.user(user)?;
                let signed_in =
                    Workbench::sign_in(self.target.workbench.as_str(), user.username, &user.password).await?;
                self.workbench = Some(signed_in);
                Ok(())
            }
            Action::Session { ide, session } => {
                let workbench = self.workbench.as_ref().context("nobody is signed in; put workbench.sign_in before")?;
                let session = workbench.launch(ide, session).await?;
                workbench.wait_until_active(&session, Duration::from_secs(90)).await?;
                let terminal = workbench.terminal(&session).await?;
                self.session = Some((session, terminal));
                Ok(())
            }
            Action::Run { command, expect, reject, timeout } => {
                let (_, terminal) = self.session.as_mut().context("no session; put workbench.session before")?;
                let ran = terminal.run(command, Duration::from_secs(*timeout)).await?;
                let output = ran.output;
                if let Some(text) = expect {
                    ensure!(output.contains(text.as_str()), "the output does not hold {text:?}:\n{output}");
                }
                if let Some(text) = reject {
                    ensure!(!output.contains(text.as_str()), "the output holds {text:?}:\n{output}");
                }
                ensure!(ran.status == 0 || expect.is_some(), "the command ended with status {}:\n{output}", ran.status);
                Ok(())
            }
            Action::Quit {} => {
                let workbench = self.workbench.as_ref().context("nobody is signed in")?;
                let (session, _) = self.session.take().context("no session to quit")?;
                Ok(workbench.quit(&session).await?)
            }
            Action::Wait { content, timeout } => self.wait_for_deployment(content, Duration::from_secs(*timeout)).await,
            Action::Access { content, access } => {
                let guid = self.content(content).await?["guid"].as_str().unwrap_or_default().to_owned();
                self.connect_api(
                    reqwest::Method::PATCH,
                    &format!("v1/content/{guid}"),
                    Some(json!({ "access_type": access })),
                )
                .await
                .map(drop)
            }
            Action::Open { content, user, expect, status } => {
                self.open(content, user.as_deref(), expect.as_deref(), *status).await
            }
            Action::Journal { on, direction, peer, path, user_agent, ever } => {
                let after = if *ever { 0 } else { self.began.get(on).copied().unwrap_or(0) };
                let mut query = url::form_urlencoded::Serializer::new(format!("journal?after={after}&"));
                for (name, value) in [("peer", peer), ("path", path)] {
                    if let Some(value) = value {
                        query.append_pair(name, value);
                    }
                }
                if let Some(direction) = direction {
                    query.append_pair("direction", if *direction == Direction::In { "in" } else { "out" });
                }
                let journal = self.control(*on, query.finish().trim_end_matches('&'), None).await?;
                let entries = journal["entries"].as_array().cloned().unwrap_or_default();
                let agent = |entry: &Value| entry["user_agent"].as_str().unwrap_or_default().to_owned();
                let found =
                    entries.iter().any(|entry| user_agent.as_deref().is_none_or(|part| agent(entry).contains(part)));
                ensure!(found, "no such entry in the journal of {on:?} (of {} looked at)", entries.len());
                Ok(())
            }
            Action::Fault { on, rule } => self.control(*on, "faults", Some(rule.clone())).await.map(drop),
            Action::ClearFaults { on } => {
                let url = self.target.url(*on).join("__sim__/v1/faults")?;
                self.authorised(self.client.delete(url)).send().await?.error_for_status()?;
                Ok(())
            }
        }
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.target.control_token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GETs from a control plane, or POSTs `body` to it.
    async fn control(&self, server: Server, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = self.target.url(server).join("__sim__/v1/")?.join(path)?;
        let request = match body {
            None => self.client.get(url),
            Some(body) => self.client.post(url).json(&body),
        };
        let answer = self.authorised(request).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the control plane of {server:?} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Calls Connect's API as the administrator.
    async fn connect_api(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let admin = self.target.user("admin")?;
        let url = self.target.connect.join("__api__/")?.join(path)?;
        let mut request = self.client.request(method, url).header("authorization", format!("Key {}", admin.api_key));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The content item of that name or title.
    async fn content(&self, wanted: &str) -> anyhow::Result<Value> {
        let all = self.connect_api(reqwest::Method::GET, "v1/content", None).await?;
        let all = all.as_array().context("the list of content is no list")?;
        let found = all.iter().find(|item| item["name"] == wanted || item["title"] == wanted);
        found.cloned().with_context(|| {
            let names: Vec<_> = all.iter().filter_map(|item| item["name"].as_str()).collect();
            format!("no content {wanted:?} on Connect; there is {names:?}")
        })
    }

    async fn wait_for_deployment(&self, wanted: &str, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        loop {
            let content = self.content(wanted).await?;
            let guid = content["guid"].as_str().unwrap_or_default();
            let bundles = self.connect_api(reqwest::Method::GET, &format!("v1/content/{guid}/bundles"), None).await?;
            let newest = &bundles[0]["id"];
            if !newest.is_null() && content["bundle_id"] == *newest {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "bundle {newest} of {wanted:?} is not the active one after {} s; see its log on {}",
                    limit.as_secs(),
                    content["dashboard_url"]
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn open(
        &mut self,
        wanted: &str,
        user: Option<&str>,
        expect: Option<&str>,
        status: u16,
    ) -> anyhow::Result<()> {
        let guid = self.content(wanted).await?["guid"].as_str().unwrap_or_default().to_owned();
        // By the address that this side knows: the server's own may be that of a container.
        let url = self.target.connect.join(&format!("content/{guid}/"))?;
        let name = user.unwrap_or_default();
        if !self.browsers.contains_key(name) {
            let browser = Browser::new();
            if let Some(user) = user {
                let user = self.target.user(user)?;
                browser.sign_in_to_connect(&self.target.connect, user.username, &user.password).await?;
            }
            self.browsers.insert(name.to_owned(), browser);
        }
        let answer = self.browsers[name].open(url).await?;
        let (got, landed) = (answer.status().as_u16(), answer.url().clone());
        let page = answer.text().await?;
        let start: String = page.chars().take(2000).collect();
        ensure!(got == status, "{landed} answered {got}, not {status}:\n{start}");
        if let Some(text) = expect {
            ensure!(page.contains(text), "{landed} does not hold {text:?}:\n{start}");
        }
        Ok(())
    }
}
