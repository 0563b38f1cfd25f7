//! What the handlers share.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sim_kit::World;
use sim_kit::db::Engine;
use sim_kit::http_client::Link;
use sim_kit::identity::Issuers;
use sim_kit::origin::Origin;

use crate::auth::{self, Known};
use crate::blocklist::Rule;
use crate::builders::Builders;
use crate::config::Config;
use crate::documents::Documents;
use crate::downloads::Downloads;
use crate::error::Error;
use crate::files::Files;
use crate::hot::Hot;
use crate::metrics::Metrics;
use crate::nodes::Here;
use crate::renderings::Renderings;
use crate::snapshot::Snapshots;
use crate::stamp::Stamps;
use crate::store::repos::Repo;
use crate::store::sources::Source;
use crate::store::transactions::Point;
use crate::store::{metadata, repos, rules, sources, tokens, transactions};
use crate::sync::{Held, Progress};

/// How long a node may not see what another one did.
const SHARED_VIEW: Duration = Duration::from_secs(1);

/// The state of a Package Manager in a World. Clones share it.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) world: World,
    /// Whose identity tokens are taken.
    pub(crate) issuers: Issuers,
    pub(crate) config: Config,
    pub(crate) upstream: Link,
    pub(crate) files: Files,
    pub(crate) renderings: Renderings,
    pub(crate) snapshots: Snapshots,
    pub(crate) hot: Hot,
    pub(crate) pages: minijinja::Environment<'static>,
    token_key: String,
    view: RwLock<Arc<View>>,
    /// Held while the view is read anew: of two that read it the later one must write it last.
    refreshing: tokio::sync::Mutex<()>,
    /// When the view was read.
    viewed: Mutex<Instant>,
    syncs: Mutex<HashMap<i64, Progress>>,
    pub(crate) stamps: Stamps,
    pub(crate) downloads: Downloads,
    pub(crate) metrics: Metrics,
    pub(crate) builders: Builders,
    pub(crate) here: Here,
    /// One synchronisation of a source at a time.
    pub(crate) turns: Mutex<HashMap<i64, Arc<tokio::sync::Mutex<Held>>>>,
}

/// What there is now: small, kept in memory, replaced as a whole after every change.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) repos: HashMap<String, Arc<Repo>>,
    pub(crate) sources: Vec<Source>,
    /// The newest state of each source that has one.
    pub(crate) newest: HashMap<i64, Point>,
    /// The first time that a source fed by a feed can be asked for.
    pub(crate) history_from: HashMap<i64, i64>,
    /// Tokens by their ids.
    pub(crate) tokens: HashMap<String, Known>,
    /// Blocklist rules with their history.
    pub(crate) rules: Vec<(rules::Row, Rule)>,
    /// Custom metadata by number.
    pub(crate) metadata: Vec<metadata::Record>,
    /// What tokens are signed with.
    pub(crate) token_key: String,
    /// What the package service tells about packages.
    pub(crate) documents: Documents,
}

impl View {
    pub(crate) fn source(&self, id: i64) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// By number or name, as the API addresses things.
    pub(crate) fn repo(&self, id_or_name: &str) -> Result<Arc<Repo>, Error> {
        let by_id = || {
            let id: i64 = id_or_name.parse().ok()?;
            self.repos.values().find(|repo| repo.id == id)
        };
        self.repos
            .get(id_or_name)
            .or_else(by_id)
            .cloned()
            .ok_or_else(|| Error::NotFound(format!("there is no repository {id_or_name:?}")))
    }

    /// By number or name, of those that are shown.
    pub(crate) fn source_named(&self, id_or_name: &str) -> Result<&Source, Error> {
        let id = id_or_name.parse::<i64>().ok();
        self.sources
            .iter()
            .filter(|source| !source.deleted && !source.holds_documents())
            .find(|source| source.name == id_or_name || Some(source.id) == id)
            .ok_or_else(|| Error::NotFound(format!("there is no source {id_or_name:?}")))
    }

    /// All sources that are shown, by number.
    pub(crate) fn sources_in_order(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| !source.deleted && !source.holds_documents())
    }

    /// The source that is or was part of `repo` and is a release of Bioconductor, such as `3.22`.
    pub(crate) fn release(&self, repo: &Repo, release: &str) -> Result<i64, Error> {
        if repo.kind != "Bioconductor" {
            let Repo { name, kind, .. } = repo;
            return Err(Error::NotFound(format!("repository {name} holds {kind} packages, not Bioconductor packages")));
        }
        let ever = || repo.subscriptions.iter().rev().flat_map(|then| &then.sources).filter_map(|id| self.source(*id));
        ever().find(|source| source.release() == Some(release)).map(|source| source.id).ok_or_else(|| {
            let known: BTreeSet<&str> = ever().filter_map(Source::release).collect();
            let known = if known.is_empty() { "none yet".to_owned() } else { Vec::from_iter(known).join(", ") };
            Error::NotFound(format!("repository {} has no Bioconductor {release:?}; it has {known}", repo.name))
        })
    }

    /// All repos by number.
    pub(crate) fn repos_in_order(&self) -> Vec<&Arc<Repo>> {
        let mut repos: Vec<_> = self.repos.values().collect();
        repos.sort_by_key(|repo| repo.id);
        repos
    }
}

impl App {
    /// Opens the state of `world`, with the repos every fresh world has.
    pub(crate) async fn open(world: World, config: Config) -> Result<Self, Error> {
        seed(&world).await?;
        let token_key = auth::seed(&world).await?;
        let upstream = Link::new(&world, "package-service");
        let files = Files::new(&world, &upstream, &config)?;
        crate::sync::import::sweep(&world)?;
        let renderings = Renderings::new(world.folder("renderings")?);
        let app = Self(Arc::new(Inner {
            files,
            renderings,
            snapshots: Snapshots::default(),
            hot: Hot::default(),
            pages: crate::ui::templates()?,
            upstream,
            issuers: Issuers::new(&world),
            config,
            token_key,
            view: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
            viewed: Mutex::new(Instant::now()),
            syncs: Mutex::default(),
            stamps: Stamps::default(),
            downloads: Downloads::default(),
            metrics: Metrics::of(&world)?,
            builders: Builders::of(&world),
            here: Here::join(&world).await?,
            turns: Mutex::default(),
            world,
        }));
        app.refresh().await?;
        Ok(app)
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// Where clients think this server is.
    pub(crate) fn origin(&self, of_request: Origin) -> Origin {
        self.0.config.address.as_deref().map_or(of_request, Origin::fixed)
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.0.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads what there is anew; to be called after every change.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let db = self.0.world.db();
        let _one_at_a_time = self.0.refreshing.lock().await;
        let mut view = View { sources: sources::list(db).await?, ..View::default() };
        for source in &view.sources {
            if let Some(point) = transactions::point(db, source.id, i64::MAX).await? {
                view.newest.insert(source.id, point);
            }
            if let Some(feed) = sources::feed(db, source.id).await? {
                view.history_from.insert(source.id, feed.history_from);
            }
        }
        let newest = |kind: &str| {
            let source = view.sources.iter().find(|source| source.kind == kind)?.id;
            Some((source, *view.newest.get(&source)?))
        };
        view.documents = Documents::read(db, newest, &self.view().documents).await?;
        for row in rules::list(db).await? {
            let rule = serde_json::from_str(&row.rule)?;
            view.rules.push((row, rule));
        }
        view.metadata = metadata::list(db).await?;
        view.token_key.clone_from(&self.0.token_key);
        for token in tokens::list(db).await? {
            let grants = serde_json::from_str(&token.scopes)?;
            view.tokens.insert(token.id.clone(), Known { token, grants });
        }
        view.repos = repos::list(db).await?.into_iter().map(|repo| (repo.name.clone(), Arc::new(repo))).collect();
        *self.0.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
        self.0.snapshots.forget();
        self.0.hot.forget();
        Ok(())
    }

    /// Sees to it that what transaction `tx` has made of `source` is shown: it is in the database a moment before the view has it.
    pub(crate) async fn catch_up(&self, source: i64, tx: i64) -> Result<(), Error> {
        if self.view().newest.get(&source).is_some_and(|at| at.tx >= tx) {
            return Ok(());
        }
        self.refresh().await
    }

    /// Reads anew what other nodes may have changed: on a shared database, once a second.
    pub(crate) async fn look_again(&self) -> Result<(), Error> {
        if self.0.world.db().engine() == Engine::Sqlite {
            return Ok(());
        }
        {
            let mut viewed = self.0.viewed.lock().unwrap_or_else(PoisonError::into_inner);
            if viewed.elapsed() < SHARED_VIEW {
                return Ok(());
            }
            *viewed = Instant::now();
        }
        self.refresh().await
    }

    /// How the synchronisation of `source` stands in this process.
    pub(crate) fn progress(&self, source: i64) -> Progress {
        self.0.syncs.lock().unwrap_or_else(PoisonError::into_inner).get(&source).cloned().unwrap_or_default()
    }

    pub(crate) fn set_progress(&self, source: i64, change: impl FnOnce(&mut Progress)) {
        change(self.0.syncs.lock().unwrap_or_else(PoisonError::into_inner).entry(source).or_default());
    }
}

/// Makes the built-in sources and the repos of the same names in a world that has none.
async fn seed(world: &World) -> Result<(), Error> {
    let db = world.db();
    if !sources::list(db).await?.is_empty() {
        return Ok(());
    }
    let now = world.clock().now_micros();
    let mut tx = db.write().await?;
    for (name, kind, description) in [
        ("cran", "R", "R packages of the package service (simulated)"),
        ("pypi", "Python", "Python packages of the package service (simulated)"),
        ("bioconductor", "Bioconductor", "Bioconductor packages of the package service (simulated)"),
    ] {
        let repo = repos::create(&mut tx, name, kind, description, now).await?;
        let id = crate::store::take_numbers(&mut tx, "transactions", 1).await?;
        // The sources of Bioconductor appear with the first synchronisation.
        if kind != "Bioconductor" {
            let source = sources::create(&mut tx, name, name, Some(name), now).await?;
            repos::subscribe(&mut tx, repo, id, now, &[source]).await?;
        }
        let created = transactions::Transaction {
            id,
            repo_id: Some(repo),
            action: "Create".to_owned(),
            tag: format!("Repository {name}"),
            created_at: now,
            completed_at: now,
            ..transactions::Transaction::default()
        };
        transactions::insert(&mut tx, &created).await?;
    }
    tx.commit().await?;
    Ok(())
}
