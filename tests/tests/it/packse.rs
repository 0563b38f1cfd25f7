//! Every scenario file of the package service, played by real clients against Package Manager: what they install, or that
//! they refuse, is what the file expects.
//!
//! | client | plays |
//! |---|---|
//! | pip | `pip install --target`; of scenarios with `universal` it installs the lock that uv made |
//! | uv | `uv pip install --target`; of scenarios with `universal` first `uv lock` and `uv export` |
//! | R | `install.packages` of what Package Manager offers for Linux, then loads it |

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use harness::stack::StackConfig;
use tests::{Done, Team, need_tool, workspace};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use upstream_sim::scenario::{Content, Scenario, Scenarios, python};

/// Clients at work at the same time.
const AT_ONCE: usize = 4;

/// The groups that packse's scenarios come in, and which of ours are in each.
const GROUPS: [(&str, &[&str]); 13] = [
    (
        "does_not_exist",
        &[
            "nobody-publishes-it",
            "exact-version-nobody-made",
            "above-the-newest",
            "below-the-oldest",
            "missing-of-missing",
        ],
    ),
    ("incompatible_versions", &["asks-against-itself", "two-sides-one-pin"]),
    ("backtracking", &["newest-needs-the-absent", "steps-back-for-a-friend"]),
    ("excluded", &["holes-in-the-range", "nothing-left-of-the-range"]),
    ("extras", &["extra-brings-its-own", "extra-nobody-declared", "extras-at-odds", "extra-made-of-extras"]),
    (
        "prereleases",
        &[
            "final-before-candidate",
            "only-candidates",
            "candidate-asked-for",
            "candidates-for-all",
            "bound-keeps-candidates-out",
        ],
    ),
    ("post", &["post-counts-as-newer", "post-is-not-its-base", "post-is-not-greater"]),
    ("local", &["local-fits-its-public-pin", "local-is-not-greater", "local-by-its-name"]),
    (
        "requires_python",
        &["older-for-this-python", "for-pythons-to-come", "for-pythons-of-the-past", "for-another-python"],
    ),
    ("yanked", &["yanked-unless-pinned", "nothing-but-yanked", "yanked-in-the-middle", "yanked-behind-another"]),
    (
        "wheels",
        &[
            "wheel-for-another-machine",
            "source-when-no-wheel-fits",
            "wheels-alone",
            "sources-alone",
            "sources-not-to-be-built",
            "wheels-not-to-be-used",
            "older-has-the-wheel",
        ],
    ),
    ("tag_and_markers", &["one-wheel-of-many", "marker-of-another-system", "marker-of-a-chosen-system"]),
    ("fork", &["fork-by-platform", "fork-by-python", "fork-without-an-answer", "wheel-for-each-environment"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Pip,
    Uv,
}

/// Why a client cannot play a scenario, if it cannot.
fn unfit(client: Client, name: &str, options: &python::ResolverOptions) -> Option<&'static str> {
    match client {
        Client::Pip if options.python_platform.is_some() => {
            Some("pip --platform chooses wheels, but markers are still those of the system it runs on")
        }
        Client::Uv if name == "for-pythons-of-the-past" => Some("uv takes no notice of an upper bound on Python"),
        _ => None,
    }
}

/// The service and Package Manager with the scenarios of a folder, and these.
async fn scenarios(folder: &str) -> (Arc<Team>, Vec<Scenario>) {
    let folder = workspace("upstream-sim/scenarios").join(folder);
    let scenarios = Scenarios::load(&folder).unwrap().all;
    let upstream = upstream_sim::Config { scenarios: Some(folder), ..upstream_sim::Config::only(&[]) };
    (Arc::new(Team::with(StackConfig { upstream, ..StackConfig::default() }).await), scenarios)
}

/// Name and version of what is installed in a folder of Python packages.
fn installed(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for entry in entries {
        let metadata = entry.unwrap().path().join("METADATA");
        let Ok(text) = std::fs::read_to_string(metadata) else { continue };
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        found.insert(field("Name: "), field("Version: "));
    }
    found
}

/// What a client did, and what is there now.
struct Played {
    done: Done,
    installed: BTreeMap<String, String>,
}

async fn play_python(team: &Team, client: Client, program: &Path, uv: &Path, scenario: &Scenario) -> Played {
    let Content::Python(content) = &scenario.content else { unreachable!("the folder holds scenarios for Python") };
    let options = &content.resolver_options;
    let own = format!("{client:?}-{}", scenario.name());
    let target = team.path(&own).join("target");
    let text = |path: &Path| path.display().to_string();
    let mut arguments: Vec<String> = match client {
        Client::Pip => vec!["install".into(), "--disable-pip-version-check".into(), "--no-input".into()],
        Client::Uv => vec!["pip".into(), "install".into(), "--python=python3".into()],
    };
    arguments.push(format!("--target={}", text(&target)));
    let only = |package: &String| format!("{}-{package}", scenario.name());
    for (flag, packages) in [("--only-binary", &options.no_build), ("--no-binary", &options.no_binary)] {
        arguments.extend(packages.iter().flat_map(|package| [flag.to_owned(), only(package)]));
    }
    match (client, options.prereleases) {
        (Client::Pip, Some(true)) => arguments.push("--pre".into()),
        (Client::Uv, Some(true)) => arguments.push("--prerelease=allow".into()),
        _ => {}
    }
    if let Some(python) = options.python.as_ref().or(content.environment.python.as_ref()) {
        arguments.push(format!("--python-version={python}"));
        // pip's condition for another Python: what would have to be built cannot be.
        arguments.extend((client == Client::Pip).then(|| "--only-binary=:all:".into()));
    }
    arguments.extend(options.python_platform.iter().map(|platform| format!("--python-platform={platform}")));
    if options.universal || !options.required_environments.is_empty() {
        let dependencies = format!("{:?}", scenario.requires());
        let python = content.root.requires_python.clone().unwrap_or_default();
        let environments = format!("{:?}", options.required_environments);
        team.write(
            &format!("{own}/project/pyproject.toml"),
            format!(
                "[project]\nname = \"project\"\nversion = \"1\"\nrequires-python = {python:?}\ndependencies = {dependencies}\n\
                 [tool.uv]\nrequired-environments = {environments}\n"
            ),
        );
        let project = text(&team.path(&own).join("project"));
        let lock = team.client(uv, &["lock", "--python", "python3", "--project", &project]).await;
        if !lock.ok {
            return Played { done: lock, installed: BTreeMap::new() };
        }
        let file = text(&team.path(&own).join("lock.txt"));
        let export = ["export", "--frozen", "--no-emit-project", "--project", &project, "-o", &file];
        let _ = team.client(uv, &export).await.well();
        let lines = std::fs::read_to_string(&file).unwrap();
        let first = format!("{}-a==", scenario.name());
        assert_eq!(lines.lines().filter(|line| line.starts_with(&first)).count(), 2, "both sides are locked:\n{lines}");
        arguments.extend(["--requirement".into(), file]);
    } else {
        arguments.extend(scenario.requires());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = team.client_with(program, &arguments, &[("UV_PYTHON_DOWNLOADS", "never")]).await;
    Played { done, installed: installed(&target) }
}

/// Compares what came of a scenario with what should; the difference in words.
fn compare(scenario: &Scenario, played: &Played) -> Result<(), String> {
    let expected = scenario.expected();
    let good = played.done.ok == expected.satisfiable
        && (!expected.satisfiable || expected.packages.is_empty() || played.installed == expected.packages);
    let Played { done, installed } = played;
    // A client that refuses must have looked for an answer.
    let refusals = ["No matching distribution found", "ResolutionImpossible", "No solution found", "not available"];
    let refused = refusals.iter().any(|words| done.output.contains(words));
    if good && (done.ok || refused) {
        Ok(())
    } else {
        Err(format!("expected {expected:#?}\nfound {installed:#?}\n{}", done.output))
    }
}

/// Plays `games` at most [`AT_ONCE`] at the same time and fails with all that went wrong.
async fn play_all(games: Vec<(String, impl Future<Output = Result<(), String>> + Send + 'static)>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (name, game) in games {
        let turns = turns.clone();
        running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            game.await.map_err(|difference| format!("{name}: {difference}"))
        });
    }
    let wrong: Vec<String> = running.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} went wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn pip_and_uv_find_what_every_scenario_expects() {
    let (Some(pip), Some(uv)) = (need_tool("pip"), need_tool("uv")) else { return };
    let (team, scenarios) = scenarios("python").await;
    let mut names: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    names.sort_unstable();
    assert_eq!(names, scenarios.iter().map(Scenario::name).collect::<Vec<_>>(), "every scenario is in one group");
    let mut games = Vec::new();
    let mut left_out = 0;
    for scenario in scenarios.into_iter().map(Arc::new) {
        for (client, program) in [(Client::Pip, &pip), (Client::Uv, &uv)] {
            let Content::Python(content) = &scenario.content else { continue };
            if let Some(reason) = unfit(client, scenario.name(), &content.resolver_options) {
                println!("{client:?} does not play {}: {reason}", scenario.name());
                left_out += 1;
                continue;
            }
            let (team, program, uv, scenario) = (team.clone(), program.clone(), uv.clone(), scenario.clone());
            games.push((format!("{client:?} and {}", scenario.name()), async move {
                compare(&scenario, &play_python(&team, client, &program, &uv, &scenario).await)
            }));
        }
    }
    assert!(games.len() >= 90 && left_out <= 2, "{} games, {left_out} left out", games.len());
    play_all(games).await;
}

/// Installs, loads (which fails unless all that is needed is there in the right version) and tells what is there.
const R: &str = r#"
arguments <- commandArgs(TRUE)
library <- arguments[1]; repository <- arguments[2]; r <- arguments[3]; wanted <- arguments[-(1:3)]
if (r == "own") r <- as.character(getRversion())
options(HTTPUserAgent = sprintf("R/%s R (%s x86_64-pc-linux-gnu x86_64 linux-gnu)", r, r), warn = 1)
.libPaths(library)
install.packages(wanted, lib = library, repos = c(CRAN = repository))
there <- installed.packages(lib.loc = library, noCache = TRUE)
for (name in rownames(there)) cat("\nINSTALLED", name, there[name, "Version"], "\n")
for (name in wanted) base::library(name, character.only = TRUE, lib.loc = library)
"#;

async fn play_r(team: &Team, rscript: &Path, script: &str, scenario: &Scenario) -> Result<(), String> {
    let Content::R(content) = &scenario.content else { unreachable!("the folder holds scenarios for R") };
    let library = team.path(scenario.name());
    std::fs::create_dir_all(&library).unwrap();
    let snapshot = content.root.snapshot.map_or_else(|| "latest".to_owned(), |date| date.to_string());
    let repository = format!("{}/cran/__linux__/bookworm/{snapshot}", team.urls.package_manager);
    let r = content.root.r.as_ref().map_or_else(|| "own".to_owned(), |minor| format!("{minor}.0"));
    let library = library.display().to_string();
    let wanted = scenario.requires();
    let mut arguments = vec!["--vanilla", script, &library, &repository, &r];
    arguments.extend(wanted.iter().map(String::as_str));
    let done = team.client(rscript, &arguments).await;
    let mut installed = BTreeMap::new();
    for line in done.output.lines().filter_map(|line| line.strip_prefix("INSTALLED ")) {
        let (name, version) = line.split_once(' ').unwrap();
        installed.insert(name.to_owned(), version.trim().to_owned());
    }
    let asked_as = content.root.r.as_deref().unwrap_or("4.2");
    let played = Played { done, installed };
    compare(scenario, &played)?;
    // What has a binary for the R that asks comes as one, and nothing else does.
    let output = &played.done.output;
    for (package, version) in &scenario.expected().packages {
        let versions = content.packages.iter().find(|(name, _)| package.ends_with(&format!(".{name}"))).unwrap().1;
        let built =
            versions.versions[version].binaries.as_ref().is_none_or(|minors| minors.iter().any(|m| m == asked_as));
        let kind = if built { "binary" } else { "source" };
        let said =
            ['\'', '‘'].iter().any(|quote| output.contains(&format!("installing *{kind}* package {quote}{package}")));
        if !said {
            return Err(format!("{package} should come as {kind}\n{output}"));
        }
    }
    // What is archived can still be had by its version.
    for (package, versions) in content.packages.iter().filter(|(_, versions)| versions.archived.is_some()) {
        let dotted = scenario.name().replace('-', ".");
        let (version, _) = versions.versions.last_key_value().unwrap();
        let url = format!("{repository}/src/contrib/Archive/{dotted}.{package}/{dotted}.{package}_{version}.tar.gz");
        let code = format!(
            "install.packages('{url}', lib = '{library}', repos = NULL); library('{dotted}.{package}', lib.loc = '{library}')"
        );
        let done = team.client(rscript, &["--vanilla", "-e", &code]).await;
        if !done.ok {
            return Err(format!("{url} cannot be installed\n{}", done.output));
        }
    }
    Ok(())
}

#[tokio::test]
async fn r_finds_what_every_scenario_expects() {
    let Some(rscript) = need_tool("Rscript") else { return };
    let (team, scenarios) = scenarios("r").await;
    assert!(scenarios.len() >= 13);
    // Written once: a game that wrote it again would empty it under the eyes of another.
    let script = team.write("play.R", R).display().to_string();
    let games = scenarios.into_iter().map(|scenario| {
        let (team, rscript, script) = (team.clone(), rscript.clone(), script.clone());
        (scenario.name().to_owned(), async move { play_r(&team, &rscript, &script, &scenario).await })
    });
    play_all(games.collect()).await;
}
