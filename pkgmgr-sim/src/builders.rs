//! Git builders: packages of `git` and `git-python` sources are built from commits or tags of repositories.
//!
//! A builder looks at its repository every five minutes (`Git.PollInterval`) of the World's clock. With the trigger `commits` it builds the
//! tip of its branch when that has changed; with `tags`, every tag that is new, and of those that are there when it is made the newest.
//! A commit that no tag names gets a version with a time ([`package::Stamp`]). Each build that has ended is a transaction of its source with
//! a log, whether it went well or not. The real server's rules for versions and for tags that are there already are not known.
//!
//! A build is a row that a node claims for a while; when the node dies, another one takes it over. What a build brings about is written in
//! one transaction with its end, so it happens once.

pub(crate) mod package;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim_kit::World;
use sim_kit::db::Engine;
use sim_kit::git::{GitError, Remote, SignIn};
use sim_kit::watch::{Bell, Next};
use tokio::sync::watch;

use crate::app::App;
use crate::error::Error;
use crate::git::{Reader, Refs, Tree, Wanted};
use crate::local::{BUILD, Finishing, LARGEST, Told, Upload};
use crate::record::instant;
use crate::renderings::blocking;
use crate::spool::Spool;
use crate::store::builders::{self, Build, Builder};
use crate::store::sources::Source;
use crate::store::transactions::Transaction;
use package::{Made, Stamp};

/// Those who wait for builds, and the one who makes them.
pub(crate) struct Builders {
    /// Who this process is, among the nodes that share a database.
    owner: String,
    bell: Bell,
    ended: watch::Sender<()>,
}

impl Builders {
    pub(crate) fn of(world: &World) -> Self {
        Self { owner: world.ids().secret(16), bell: Bell::new(world.clock()), ended: watch::Sender::new(()) }
    }
}

/// What of a repository has been given to builds.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Seen {
    commit: Option<String>,
    tags: BTreeMap<String, String>,
}

/// A build to be asked for: a tag, or nothing, and a commit.
type Order = (String, String);

impl Seen {
    /// What is to be built of `refs`, and what has been seen then.
    fn news(&self, builder: &Builder, refs: &Refs) -> Result<(Vec<Order>, Self), String> {
        if builder.trigger == "tags" {
            let new = refs
                .tags_in_order()
                .into_iter()
                .filter(|(tag, sha)| self.tags.get(*tag).is_none_or(|seen| seen != sha));
            let orders = new.map(|(tag, sha)| (tag.to_owned(), sha.to_owned())).collect();
            return Ok((orders, Self { commit: None, tags: refs.tags.clone() }));
        }
        let Some(tip) = refs.tip(&builder.branch) else {
            return Err(match builder.branch.as_str() {
                "" => "the repository has no commit yet".to_owned(),
                branch => format!("the repository has no branch {branch:?}"),
            });
        };
        let orders = match self.commit.as_ref() == Some(tip) {
            true => Vec::new(),
            false => vec![(String::new(), tip.clone())],
        };
        Ok((orders, Self { commit: Some(tip.clone()), tags: BTreeMap::new() }))
    }
}

/// Longer than everything that one build may take.
fn lease(app: &App) -> Duration {
    app.0.config.git.command.time * 4 + Duration::from_secs(60)
}

fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}

/// Why a build failed; `may_pass` when it may go better another time.
struct Failure {
    reason: String,
    may_pass: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, may_pass: false }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self { reason: error.to_string(), may_pass: error.may_pass() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { reason: error.to_string(), may_pass: false }
    }
}

impl App {
    /// Makes a builder from `draft` and asks for its first build, whose number it gives; none when there is nothing to build yet.
    /// The repository must be readable. Without a name it gets that of the R package.
    pub(crate) async fn create_builder(
        &self,
        source: &Source,
        mut draft: Builder,
    ) -> Result<(Builder, Option<i64>), Error> {
        let (remote, credential) = self.remote_of(&draft).await?;
        let refs = self.refs(&remote, credential.as_ref()).await.map_err(|error| refused(&draft.url, &error))?;
        let (mut orders, seen) = Seen::default().news(&draft, &refs).map_err(Error::BadRequest)?;
        orders.drain(..orders.len().saturating_sub(1));
        if draft.name.is_empty() {
            let Some((tag, sha)) = orders.first().filter(|_| !source.is_python()) else {
                return Err(Error::BadRequest(
                    "give the builder a name: there is no R package yet to take it from".to_owned(),
                ));
            };
            let mut log = Vec::new();
            let tree = self.tree(&draft, &remote, credential.as_ref(), (tag, sha), &mut log).await;
            let tree = tree.map_err(|error| refused(&draft.url, &error))?;
            draft.name = package::r_name(&tree).map_err(Error::BadRequest)?;
        }
        draft.seen = serde_json::to_string(&seen)?;
        let mut change = self.begin().await?;
        let now = self.world().clock().now_micros();
        draft.created_at = change.at;
        draft.polled_at = now;
        draft.next_poll_at = after(now, self.0.config.git.poll_interval);
        draft.id = builders::insert(&mut change.tx, &draft).await?;
        let mut build = None;
        for (tag, sha) in orders {
            build = Some(builders::enqueue(&mut change.tx, (draft.id, source.id), &tag, &sha, now).await?);
        }
        self.conclude(change, told(source, "Create git builder", &draft.name)).await?;
        self.0.builders.bell.ring();
        Ok((draft, build))
    }

    /// Changes a builder; when it reads something else from now on, it looks at once.
    pub(crate) async fn edit_builder(&self, source: &Source, before: &Builder, mut now: Builder) -> Result<(), Error> {
        self.remote_of(&now).await?;
        let reads = |builder: &Builder| (builder.url.clone(), builder.branch.clone(), builder.sub_dir.clone());
        let mut change = self.begin().await?;
        if reads(before) != reads(&now) {
            now.next_poll_at = self.world().clock().now_micros();
            builders::set_seen(&mut change.tx, (now.id, &before.seen), "{}", "", now.polled_at).await?;
        }
        builders::update(&mut change.tx, &now).await?;
        self.conclude(change, told(source, "Edit git builder", &now.name)).await?;
        self.0.builders.bell.ring();
        Ok(())
    }

    /// Takes a builder away. What it built stays.
    pub(crate) async fn delete_builder(&self, source: &Source, builder: &Builder) -> Result<(), Error> {
        let mut change = self.begin().await?;
        builders::delete(&mut change.tx, builder.id, change.at).await?;
        self.conclude(change, told(source, "Delete git builder", &builder.name)).await?;
        let _ = self.0.builders.ended.send(());
        Ok(())
    }

    /// Looks at the repository of `builder` now, and gives the builds that are new.
    pub(crate) async fn run_builder(&self, builder: &Builder) -> Result<Vec<i64>, Error> {
        let asked = self.look(builder).await?;
        asked.map_err(|reason| Error::BadRequest(format!("{}: {reason}", builder.url)))
    }

    /// Builds a tag or a commit again; without either what was built last.
    pub(crate) async fn rerun_builder(
        &self,
        builder: &Builder,
        tag: Option<String>,
        sha: Option<String>,
    ) -> Result<i64, Error> {
        let (remote, credential) = self.remote_of(builder).await?;
        let (tag, sha) = match (tag, sha) {
            (Some(_), Some(_)) => return Err(Error::BadRequest("give either a tag or a commit".to_owned())),
            (None, Some(sha)) => (String::new(), sha),
            (Some(tag), None) => {
                let refs = self.refs(&remote, credential.as_ref()).await;
                let refs = refs.map_err(|error| refused(&builder.url, &error))?;
                let sha = refs.tags.get(&tag).cloned();
                let sha = sha.ok_or_else(|| Error::BadRequest(format!("the repository has no tag {tag:?}")))?;
                (tag, sha)
            }
            (None, None) => {
                let last = builders::builds(self.world().db(), builder.source_id, Some(builder.id), 1, 0).await?.pop();
                let last = last
                    .ok_or_else(|| Error::BadRequest("nothing was built yet that could be built again".to_owned()))?;
                (last.tag, last.commit_sha)
            }
        };
        let is_sha = sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_sha {
            return Err(Error::BadRequest(format!("{sha:?} is not the full name of a commit: 40 of 0-9 and a-f")));
        }
        let mut tx = self.world().db().write().await?;
        let now = self.world().clock().now_micros();
        let id = builders::enqueue(&mut tx, (builder.id, builder.source_id), &tag, &sha, now).await?;
        tx.commit().await?;
        self.0.builders.bell.ring();
        Ok(id)
    }

    /// The build `id`, once it has ended.
    pub(crate) async fn built(&self, id: i64) -> Result<Build, Error> {
        let mut ended = self.0.builders.ended.subscribe();
        loop {
            let build = builders::build_by_id(self.world().db(), id).await?;
            let build = build.ok_or_else(|| Error::NotFound(format!("there is no git build {id}")))?;
            if build.completed_at.is_some() {
                return Ok(build);
            }
            tokio::select! {
                _ = ended.changed() => {}
                // Another node may make it.
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = self.world().ending() => return Err(Error::Refused("the server is stopping".to_owned())),
            }
        }
    }

    /// Looks at repositories and makes builds for as long as the World lives.
    pub(crate) async fn build_for_ever(self) {
        if let Err(error) = self.take_up().await {
            tracing::error!(%error, "git builds that were under way are not taken up again");
        }
        sim_kit::watch::watch(&self.0.builders.bell, || self.build_what_is_due()).await;
    }

    async fn build_what_is_due(&self) -> Next {
        let done = async {
            self.work().await?;
            Ok::<_, Error>(builders::next_due(self.world().db()).await?)
        };
        match done.await {
            Ok(due) => Next {
                due: due.map(instant),
                // What another node has asked for may be this one's to do.
                again: (self.world().db().engine() == Engine::Postgres).then_some(Duration::from_secs(60)),
            },
            Err(error) => {
                tracing::error!(%error, "git builds are not made");
                Next { due: None, again: Some(Duration::from_secs(5)) }
            }
        }
    }

    /// A database file has one process at a time: what another one had begun is nobody's any more.
    async fn take_up(&self) -> Result<(), Error> {
        if self.world().db().engine() == Engine::Sqlite {
            let mut tx = self.world().db().write().await?;
            builders::release_all(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Everything that is due.
    async fn work(&self) -> Result<(), Error> {
        let db = self.world().db();
        let now = self.world().clock().now_micros();
        for builder in builders::list(db, None).await?.into_iter().filter(|builder| builder.next_poll_at <= now) {
            let mut tx = db.write().await?;
            let mine = builders::claim_poll(&mut tx, &builder, after(now, self.0.config.git.poll_interval)).await?;
            tx.commit().await?;
            if mine && let Err(reason) = self.look(&builder).await? {
                tracing::warn!(builder = builder.name, reason, "cannot look at a git repository");
            }
        }
        loop {
            let now = self.world().clock().now_micros();
            let mut tx = db.write().await?;
            let claimed = builders::claim(&mut tx, &self.0.builders.owner, now, after(now, lease(self))).await?;
            tx.commit().await?;
            let Some(build) = claimed else { return Ok(()) };
            self.make(build).await?;
            let _ = self.0.builders.ended.send(());
        }
    }

    /// Looks at a repository and asks for builds of what is new. The inner error is the repository's.
    async fn look(&self, builder: &Builder) -> Result<Result<Vec<i64>, String>, Error> {
        let seen: Seen = serde_json::from_str(&builder.seen)?;
        let found = async {
            let (remote, credential) = self.remote_of(builder).await.map_err(|error| error.to_string())?;
            let refs = self.refs(&remote, credential.as_ref()).await.map_err(|error| error.to_string())?;
            seen.news(builder, &refs)
        };
        let found = found.await;
        let (orders, now_seen, error) = match &found {
            Ok((orders, now_seen)) => (orders.as_slice(), serde_json::to_string(now_seen)?, ""),
            Err(reason) => (&[][..], builder.seen.clone(), reason.as_str()),
        };
        let now = self.world().clock().now_micros();
        let mut tx = self.world().db().write().await?;
        let mut builds = Vec::new();
        if builders::set_seen(&mut tx, (builder.id, &builder.seen), &now_seen, error, now).await? {
            for (tag, sha) in orders {
                builds.push(builders::enqueue(&mut tx, (builder.id, builder.source_id), tag, sha, now).await?);
            }
        }
        tx.commit().await?;
        self.0.builders.bell.ring();
        Ok(found.map(|_| builds))
    }

    /// Makes a build and writes how it ended.
    async fn make(&self, build: Build) -> Result<(), Error> {
        let mut log = vec![format!("Git build {} (simulated: nothing of the repository is run)", build.id)];
        let retries = self.0.config.git.retries;
        let mut end = Build { state: "failed".to_owned(), ..build.clone() };
        let outcome = match u32::try_from(build.attempts).is_ok_and(|n| n <= retries + 1) {
            true => self.try_to_make(&build, &mut end, &mut log).await,
            false => Err(format!("the server has ended {} times while this was built", build.attempts - 1)),
        };
        // It was written with what it brought about, or another node has it.
        let Err(reason) = outcome else { return Ok(()) };
        log.push(format!("ERROR: {reason}"));
        end.log = self.keep_log(&log).await?;
        end.error = reason;
        end.completed_at = Some(self.world().clock().now_micros());
        let mut change = self.begin().await?;
        end.transaction_id = Some(change.id);
        if !builders::finish(&mut change.tx, &self.0.builders.owner, &end).await? {
            return Ok(());
        }
        let done = Transaction {
            source_id: Some(build.source_id),
            action: BUILD.to_owned(),
            tag: format!("Git build of {}", if build.tag.is_empty() { &build.commit_sha } else { &build.tag }),
            result: 1,
            error: end.error,
            ..Transaction::default()
        };
        self.conclude(change, done).await?;
        self.0.metrics.failed_builds.inc();
        Ok(())
    }

    async fn try_to_make(&self, build: &Build, end: &mut Build, log: &mut Vec<String>) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let builder = builders::get(self.world().db(), build.builder_id).await.map_err(|error| text(error.into()))?;
        let builder = builder.ok_or("the builder is gone")?;
        let source = self.view().source(build.source_id).filter(|source| !source.deleted).cloned();
        let source = source.ok_or("the source is gone")?;
        for attempt in 0..=self.0.config.git.retries {
            match self.make_once(build, &builder, &source, log).await {
                Ok((made, again)) => {
                    log.push(format!("Built {} {} from {}", made.name, made.version, build.commit_sha));
                    end.state = "succeeded".to_owned();
                    end.package.clone_from(&made.name);
                    end.version.clone_from(&made.version);
                    end.log = self.keep_log(log).await.map_err(text)?;
                    end.completed_at = Some(self.world().clock().now_micros());
                    let file = self.spooled(made.bytes).await.map_err(text)?;
                    let told = Told { filename: Some(made.filename), replace: again, ..Told::default() };
                    let uploads = vec![Upload { file, told }];
                    let finishing = Finishing { owner: &self.0.builders.owner, end };
                    let kept = self.keep(&source, uploads, Some(finishing)).await;
                    return kept.map(drop).map_err(|error| {
                        end.state = "failed".to_owned();
                        text(error)
                    });
                }
                Err(failure) if failure.may_pass && attempt < self.0.config.git.retries => {
                    log.push(format!(
                        "{}; trying again ({} of {})",
                        failure.reason,
                        attempt + 1,
                        self.0.config.git.retries
                    ));
                }
                Err(failure) => return Err(failure.reason),
            }
        }
        Err("no attempt is allowed".to_owned())
    }

    /// Makes the package of a build. True when the same commit has made it before.
    async fn make_once(
        &self,
        build: &Build,
        builder: &Builder,
        source: &Source,
        log: &mut Vec<String>,
    ) -> Result<(Made, bool), Failure> {
        let (remote, credential) = self.remote_of(builder).await?;
        let refs = self.refs(&remote, credential.as_ref()).await?;
        let which = (build.tag.as_str(), build.commit_sha.as_str());
        let tree = self.tree(builder, &remote, credential.as_ref(), which, log).await?;
        let is_released = !build.tag.is_empty() || refs.is_tagged(&build.commit_sha);
        let python = source.is_python();
        let tree = Arc::new(tree);
        let mut nth = 0;
        loop {
            let stamp = (!is_released).then_some(Stamp { committed_at: tree.committed_at, nth });
            let (tree, said) = (tree.clone(), Vec::new());
            let packed = blocking(move || {
                let mut said = said;
                let made = match python {
                    true => package::python_package(&tree, stamp, &mut said),
                    false => package::r_package(&tree, stamp, &mut said),
                };
                (made, said)
            });
            let (made, said) = packed.await?;
            let made = made.map_err(|reason| Failure { reason, may_pass: false });
            let before = match &made {
                Ok(made) => builders::sha_of(self.world().db(), source.id, &made.name, &made.version)
                    .await
                    .map_err(Error::from)?,
                Err(_) => None,
            };
            match before {
                Some(other) if other != build.commit_sha && stamp.is_some() && nth < 1000 => nth += 1,
                Some(other) if other != build.commit_sha => {
                    log.extend(said);
                    return Err(Failure::from(format!(
                        "this version was built from commit {other} before; give the package a new version"
                    )));
                }
                before => {
                    log.extend(said);
                    return Ok((made?, before.is_some()));
                }
            }
        }
    }

    async fn spooled(&self, bytes: Vec<u8>) -> Result<Spool, Error> {
        let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(bytes))]);
        Spool::receive(self.world(), LARGEST, whole).await
    }

    async fn keep_log(&self, log: &[String]) -> Result<String, Error> {
        let text = log.join("\n") + "\n";
        Ok(self.world().blobs().put(Bytes::from(text)).await?.to_string())
    }

    /// Where a builder reads, and what it shows there.
    async fn remote_of(&self, builder: &Builder) -> Result<(Remote, Option<SignIn>), Error> {
        let url = &builder.url;
        let remote = Remote::parse(url, &self.0.config.git.command.folders)
            .map_err(|why| Error::BadRequest(format!("{url:?} cannot be read as a git repository: {why}")))?;
        let Some(name) = &builder.credential else { return Ok((remote, None)) };
        let all = builders::credentials(self.world().db()).await?;
        let credential = all.into_iter().find(|credential| credential.name == *name);
        let credential = credential.ok_or_else(|| Error::BadRequest(format!("there is no git credential {name:?}")))?;
        Ok((remote, Some(SignIn { username: credential.username, password: credential.password })))
    }

    fn reader<'a>(&'a self, remote: &'a Remote, sign_in: Option<&'a SignIn>) -> Reader<'a> {
        Reader { world: self.world(), remote, sign_in, settings: &self.0.config.git }
    }

    async fn refs(&self, remote: &Remote, sign_in: Option<&SignIn>) -> Result<Refs, GitError> {
        Refs::of(self.reader(remote, sign_in)).await
    }

    async fn tree(
        &self,
        builder: &Builder,
        remote: &Remote,
        sign_in: Option<&SignIn>,
        (tag, sha): (&str, &str),
        log: &mut Vec<String>,
    ) -> Result<Tree, GitError> {
        let wanted = Wanted {
            sha,
            tag,
            branch: &builder.branch,
            sub_dir: &builder.sub_dir,
            depth: builder.clone_depth,
            submodules: builder.submodules,
        };
        Tree::read(self.reader(remote, sign_in), &wanted, log).await
    }
}

fn refused(url: &str, error: &GitError) -> Error {
    match error {
        GitError::Missing => Error::Conflict(error.to_string()),
        GitError::Io(error) => Error::Internal(error.to_string()),
        _ => Error::BadRequest(format!("{url}: {error}")),
    }
}

fn told(source: &Source, action: &str, name: &str) -> Transaction {
    Transaction {
        source_id: Some(source.id),
        action: action.to_owned(),
        tag: format!("Git builder {name}"),
        ..Transaction::default()
    }
}
