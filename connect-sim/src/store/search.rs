//! Lists of content, and finding it. They go by `listed`, which has a row for each item, written with it: short, and in a
//! form that both engines compare alike.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pep440_rs::VersionSpecifiers;
use pkg_formats::python::name::normalize;
use sim_kit::Db;
use sim_kit::known::Known;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query as Statement;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _};

use super::content::{self, Content};
use super::users::escaped;
use super::variants::{self, Variant};
use crate::auth::Principal;
use crate::content_type::{ContentType, Kind};
use crate::error::{Code, Error, Result};
use crate::search::query::{Filter, Property, Query, fold, version};
use crate::tags::path_of;

/// The most values in a statement; SQLite takes 32,766.
const MOST: usize = 30_000;

/// Writes what lists go by.
pub(super) async fn note(db: &mut AnyConnection, content: &Content) -> sqlx::Result<()> {
    let title = content.title.as_deref();
    // A line each, so that no text is found across two of them.
    let words = [&content.name, title.unwrap_or_default(), &content.description].map(fold).join("\n");
    let image = content.settings.default_image_name.as_deref().unwrap_or("Local").to_lowercase();
    sqlx::query(
        "INSERT INTO listed (content_id, guid, owner_guid, name, access_type, locked, app_mode, content_category, \
         bundle_id, created, deployed, words, sorted, image, py_version, r_version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (content_id) DO UPDATE SET owner_guid = excluded.owner_guid, name = excluded.name, \
         access_type = excluded.access_type, locked = excluded.locked, app_mode = excluded.app_mode, \
         content_category = excluded.content_category, bundle_id = excluded.bundle_id, deployed = excluded.deployed, \
         words = excluded.words, sorted = excluded.sorted, image = excluded.image, \
         py_version = excluded.py_version, r_version = excluded.r_version",
    )
    .bind(content.id)
    .bind(&content.guid)
    .bind(&content.owner_guid)
    .bind(&content.name)
    .bind(&content.access_type)
    .bind(i64::from(content.locked))
    .bind(&content.app_mode)
    .bind(&content.content_category)
    .bind(content.bundle_id)
    .bind(content.created)
    .bind(content.deployed)
    .bind(words)
    .bind(title.unwrap_or(&content.name).to_lowercase())
    .bind(image)
    .bind(&content.settings.runtime.py_version)
    .bind(&content.settings.runtime.r_version)
    .execute(db)
    .await?;
    Ok(())
}

/// The state of a database of PostgreSQL. While it is the same text, no transaction that writes has ended.
///
/// # Errors
/// When the database fails.
pub async fn state(db: &mut AnyConnection) -> sqlx::Result<String> {
    sqlx::query("SELECT CAST(pg_current_snapshot() AS TEXT)").fetch_one(db).await?.try_get(0)
}

/// Lists the items that were written before there was a table for it.
///
/// # Errors
/// When the database fails.
pub async fn complete(db: &mut AnyConnection) -> sqlx::Result<()> {
    let sql = "SELECT * FROM content WHERE id NOT IN (SELECT content_id FROM listed)";
    for row in sqlx::query(sql).fetch_all(&mut *db).await? {
        note(&mut *db, &content::from_row(&row)?).await?;
    }
    Ok(())
}

/// The name of a package as PEP 503 has it, as the index of the table says it.
const NORMAL: &str = "REPLACE(REPLACE(REPLACE(REPLACE(LOWER(name), '_', '-'), '.', '-'), '---', '-'), '--', '-')";

/// What rows of `listed` have to be.
#[derive(Debug, Default)]
pub struct Condition {
    sql: String,
    values: Vec<String>,
}

impl Condition {
    /// A placeholder for a value.
    fn value(&mut self, text: impl Into<String>) -> String {
        self.values.push(text.into());
        format!("${}", self.values.len())
    }

    /// That a column holds one of the texts.
    fn one_of<'a>(&mut self, column: &str, texts: impl IntoIterator<Item = &'a str>) -> String {
        let places: Vec<String> = texts.into_iter().map(|text| self.value(text)).collect();
        if places.is_empty() { "1 = 0".to_owned() } else { format!("{column} IN ({})", places.join(", ")) }
    }

    fn and(&mut self, sql: &str) {
        let glue = if self.sql.is_empty() { "WHERE" } else { " AND" };
        write!(self.sql, "{glue} {sql}").expect("strings take all text");
    }

    /// And with that text in a column of `listed`.
    fn with(mut self, column: &str, text: &str) -> Self {
        let text = self.value(text);
        self.and(&format!("listed.{column} = {text}"));
        self
    }

    /// Of what is there, what a user may open; for administrators all of it.
    #[must_use]
    pub fn open_to(principal: &Principal) -> Self {
        let mut condition = Self::default();
        if !principal.is_administrator() {
            let me = condition.value(&principal.user.guid);
            condition.and(&format!(
                "(listed.owner_guid = {me} OR listed.access_type <> 'acl' OR listed.guid IN \
                 (SELECT content_guid FROM permissions WHERE principal_guid = {me} OR principal_guid IN \
                 (SELECT group_guid FROM group_members WHERE user_guid = {me})))"
            ));
        }
        condition
    }

    /// And of that name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.with("name", name)
    }

    /// And with that text in its name or its title.
    #[must_use]
    pub fn called_like(mut self, text: &str) -> Self {
        let text = self.value(format!("%{}%", escaped(&text.to_lowercase())));
        self.and(&format!("(LOWER(listed.name) LIKE {text} ESCAPE '\\' OR listed.sorted LIKE {text} ESCAPE '\\')"));
        self
    }

    /// And of that category, such as `pin`.
    #[must_use]
    pub fn of_category(self, category: &str) -> Self {
        self.with("content_category", category)
    }

    /// And that user's.
    #[must_use]
    pub fn owned_by(self, guid: &str) -> Self {
        self.with("owner_guid", guid)
    }

    /// And documents whose variants are looked at by a user, who sees the private ones of what it may change.
    #[must_use]
    pub fn rendered_for(mut self, principal: &Principal) -> Self {
        let rendered = ContentType::ALL.iter().filter(|one| one.kind() == Kind::Rendered).map(|one| one.name());
        let modes = self.one_of("listed.app_mode", rendered);
        self.and(&modes);
        if !principal.is_administrator() {
            let mine = self.changed_by(principal);
            self.and(&format!("(variants.is_private = 0 OR {mine})"));
        }
        self
    }

    /// And that a user owns or works on.
    #[must_use]
    pub fn editable_by(mut self, principal: &Principal) -> Self {
        let mine = self.changed_by(principal);
        self.and(&mine);
        self
    }

    fn changed_by(&mut self, principal: &Principal) -> String {
        let me = self.value(&principal.user.guid);
        format!(
            "(listed.owner_guid = {me} OR listed.guid IN \
             (SELECT content_guid FROM permissions WHERE role = 'owner' AND (principal_guid = {me} OR \
             principal_guid IN (SELECT group_guid FROM group_members WHERE user_guid = {me}))))"
        )
    }

    /// And with one of the tags, or with one below them.
    #[must_use]
    pub fn with_tags(mut self, tags: &[i64]) -> Self {
        // None has the number 0.
        let tags: Vec<String> = tags.iter().chain(&[0]).map(ToString::to_string).collect();
        self.and(&format!(
            "listed.guid IN (WITH RECURSIVE below (id) AS (SELECT id FROM tags WHERE id IN ({}) UNION ALL \
             SELECT tags.id FROM tags JOIN below ON tags.parent_id = below.id) \
             SELECT content_guid FROM content_tags WHERE tag_id IN (SELECT id FROM below))",
            tags.join(", ")
        ));
        self
    }

    /// And of that, what a query finds for the user `me`.
    ///
    /// # Errors
    /// 400 when a condition stands for too many versions; or when the database fails.
    pub async fn matching(mut self, db: &mut AnyConnection, query: &Query, me: &str) -> Result<Self> {
        for term in &query.terms {
            let mut any = Vec::with_capacity(term.any.len());
            for filter in &term.any {
                any.push(self.filter(&mut *db, filter, me).await?);
            }
            // None of the conditions is ever null, so that NOT turns it around.
            self.and(&format!("{}({})", if term.negated { "NOT " } else { "" }, any.join(" OR ")));
        }
        if self.values.len() > MOST {
            let text = "`q` stands for too many versions or tags; ask for fewer of them.";
            return Err(Error::bad(Code::TooManyResults, text));
        }
        Ok(self)
    }

    async fn filter(&mut self, db: &mut AnyConnection, filter: &Filter, me: &str) -> Result<String> {
        Ok(match filter {
            Filter::Text(text) => {
                let pattern = self.value(format!("%{}%", escaped(text)));
                format!("listed.words LIKE {pattern} ESCAPE '!'")
            }
            Filter::Owner(name) if name == "@me" => format!("listed.owner_guid = {}", self.value(me)),
            Filter::Owner(name) => {
                let name = self.value(name);
                format!(
                    "(listed.owner_guid = {name} OR listed.owner_guid IN \
                     (SELECT guid FROM users WHERE username_folded = {name} AND service = 0))"
                )
            }
            Filter::Type(name) => {
                let name = self.value(name);
                format!("(listed.app_mode = {name} OR listed.content_category = {name})")
            }
            Filter::Tag(path) => {
                let tags = super::tags::all(&mut *db).await?;
                let below = |id: &i64| path_of(&tags, *id).windows(path.len()).any(|part| part == path);
                let ids: Vec<String> = tags.iter().map(|tag| tag.id).filter(below).map(|id| id.to_string()).collect();
                if ids.is_empty() {
                    return Ok("1 = 0".to_owned());
                }
                let ids = ids.join(", ");
                format!("listed.guid IN (SELECT content_guid FROM content_tags WHERE tag_id IN ({ids}))")
            }
            Filter::Is(property, wanted) => {
                let not = if *wanted { "" } else { "NOT " };
                match property {
                    Property::Published => format!("{not}(listed.bundle_id IS NOT NULL)"),
                    Property::Locked => format!("listed.locked = {}", i64::from(*wanted)),
                    Property::Bookmarked => {
                        let me = self.value(me);
                        format!("listed.guid {not}IN (SELECT content_guid FROM bookmarks WHERE user_guid = {me})")
                    }
                    Property::Scheduled => format!(
                        "listed.guid {not}IN (SELECT content_guid FROM variants \
                         JOIN schedules ON schedules.variant_id = variants.id)"
                    ),
                }
            }
            Filter::Python(wanted) => self.runtime(db, "py_version", wanted).await?,
            Filter::R(wanted) => self.runtime(db, "r_version", wanted).await?,
            Filter::Package(name, wanted) => {
                let same = |normal: &str, name: &str| {
                    format!("{NORMAL} = {normal} AND (language = 'python' OR LOWER(name) = {name})")
                };
                let normal = normalize(name);
                let versions = if wanted.is_empty() {
                    String::new()
                } else {
                    let sql = format!("SELECT DISTINCT version FROM packages WHERE {}", same("$1", "$2"));
                    let known = sqlx::query(AssertSqlSafe(sql)).bind(&normal).bind(name).fetch_all(db).await?;
                    format!(" AND {}", self.one_of("version", satisfying(&known, wanted)?.iter().map(String::as_str)))
                };
                let (normal, name) = (self.value(normal), self.value(name));
                format!(
                    "(listed.bundle_id IS NOT NULL AND listed.bundle_id IN \
                     (SELECT bundle_id FROM packages WHERE {}{versions}))",
                    same(&normal, &name)
                )
            }
            Filter::Image(name) => {
                let pattern = self.value(format!("%{}%", escaped(name)));
                format!("(listed.bundle_id IS NOT NULL AND listed.image LIKE {pattern} ESCAPE '!')")
            }
        })
    }

    /// Versions are compared here, since SQL cannot; a server has few.
    async fn runtime(&mut self, db: &mut AnyConnection, column: &str, wanted: &VersionSpecifiers) -> Result<String> {
        let sql = format!("SELECT DISTINCT {column} FROM listed WHERE {column} IS NOT NULL");
        let known = sqlx::query(AssertSqlSafe(sql)).fetch_all(db).await?;
        let one_of = self.one_of(&format!("listed.{column}"), satisfying(&known, wanted)?.iter().map(String::as_str));
        Ok(format!("(listed.{column} IS NOT NULL AND {one_of})"))
    }

    fn bind<'q>(&'q self, sql: String) -> Statement<'q, Any, AnyArguments> {
        self.values.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| query.bind(value))
    }
}

fn satisfying(known: &[AnyRow], wanted: &VersionSpecifiers) -> sqlx::Result<Vec<String>> {
    let known = known.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    Ok(known.into_iter().filter(|text| version(text).is_some_and(|version| wanted.contains(&version))).collect())
}

/// What a list goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The last deploy, or the creation.
    Deployed,
    /// The creation.
    Created,
    /// The name, whatever its case.
    Name,
    /// The title, or the name; whatever its case.
    Title,
}

/// An order of items. Those that are equal are ordered by their ids.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// What it goes by.
    pub sort: Sort,
    /// The largest first.
    pub descending: bool,
}

impl Order {
    /// What was deployed last is first.
    pub const NEWEST: Self = Self { sort: Sort::Deployed, descending: true };

    fn sql(self, db: &AnyConnection) -> String {
        // SQLite compares bytes; PostgreSQL as people of some country do, unless it is told.
        let bytes = if db.backend_name() == "PostgreSQL" { " COLLATE \"C\"" } else { "" };
        let by = match self.sort {
            Sort::Deployed => "listed.deployed".to_owned(),
            Sort::Created => "listed.created".to_owned(),
            Sort::Name => format!("LOWER(listed.name){bytes}"),
            Sort::Title => format!("listed.sorted{bytes}"),
        };
        let direction = if self.descending { "DESC" } else { "ASC" };
        format!("{by} {direction}, listed.content_id {direction}")
    }
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The most elements.
    pub limit: i64,
    /// Elements before it.
    pub offset: i64,
}

impl Part {
    /// How many elements there are in all, if that follows from how many were `read`.
    fn total(self, read: usize) -> Option<i64> {
        let read = i64::try_from(read).unwrap_or(i64::MAX);
        (read < self.limit && (read > 0 || self.offset == 0)).then(|| self.offset.saturating_add(read))
    }
}

/// How many rows lists have in all, as they were counted before: every page of a list tells it.
pub struct Totals {
    db: Db,
    known: Known<String, i64>,
}

impl Totals {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone(), known: Known::new(1000) }
    }
}

/// Reads a part of a list of `columns` from `from`, and how many rows there are in all.
async fn part_of(
    db: &mut AnyConnection,
    totals: &Totals,
    (columns, from): (&str, &str),
    condition: &Condition,
    order: &str,
    part: Part,
) -> sqlx::Result<(Vec<AnyRow>, i64)> {
    let (rest, count) = (&condition.sql, condition.values.len());
    let (limit, offset) = (count + 1, count + 2);
    let sql = format!("SELECT {columns} FROM {from} {rest} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}");
    let rows = condition.bind(sql).bind(part.limit).bind(part.offset).fetch_all(&mut *db).await?;
    let total = match part.total(rows.len()) {
        Some(total) => total,
        None => {
            let sql = format!("SELECT COUNT(*) FROM {from} {rest}");
            let counted = format!("{sql} {:?}", condition.values);
            let count = async || condition.bind(sql).fetch_one(db).await?.try_get(0);
            totals.known.get(&totals.db, counted.as_str(), count).await?
        }
    };
    Ok((rows, total))
}

/// A part of the items, and how many there are in all.
///
/// # Errors
/// When the database fails.
pub async fn items(
    db: &mut AnyConnection,
    totals: &Totals,
    condition: &Condition,
    order: Order,
    part: Part,
) -> sqlx::Result<(Vec<Content>, i64)> {
    let order = order.sql(db);
    let (rows, total) = part_of(db, totals, ("listed.content_id", "listed"), condition, &order, part).await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<_>>>()?;
    Ok((content::by_ids(db, &ids).await?, total))
}

/// A part of the variants of the items, each with its item, those of an item together and the default one first; and how
/// many there are in all.
///
/// # Errors
/// When the database fails.
pub async fn variants(
    db: &mut AnyConnection,
    totals: &Totals,
    condition: &Condition,
    order: Order,
    part: Part,
) -> sqlx::Result<(Vec<(Variant, Content)>, i64)> {
    let order = format!("{}, variants.is_default DESC, variants.id", order.sql(db));
    let from = "variants JOIN listed ON listed.guid = variants.content_guid";
    let (rows, total) = part_of(db, totals, ("variants.*, listed.content_id", from), condition, &order, part).await?;
    let ids = rows.iter().map(|row| row.try_get("content_id")).collect::<sqlx::Result<BTreeSet<i64>>>()?;
    let items = content::by_ids(db, &Vec::from_iter(ids)).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let variant = variants::from_row(row)?;
        if let Some(item) = items.iter().find(|item| item.guid == variant.content_guid) {
            found.push((variant, item.clone()));
        }
    }
    Ok((found, total))
}

/// The ids of all items, in order. They are small, so that a list of everything can be read in pieces that are.
///
/// # Errors
/// When the database fails.
pub async fn ids(db: &mut AnyConnection, condition: &Condition, order: Order) -> sqlx::Result<Vec<i64>> {
    let sql = format!("SELECT listed.content_id FROM listed {} ORDER BY {}", condition.sql, order.sql(db));
    condition.bind(sql).fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}
