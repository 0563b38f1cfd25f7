//! Who may do what: roles of users, and what a user is to one content item.
//!
//! | access type | who may open the content |
//! | --- | --- |
//! | `all` | anybody |
//! | `logged_in` | every user |
//! | `acl` | its owner, its collaborators, its viewers; by themselves or through a group |
//!
//! Owners and collaborators may change an item, administrators may change every item. An administrator who was given
//! nothing sees an item in lists and its settings (`app_role` is `none`), but not what it shows.

use std::fmt;
use std::str::FromStr;

use crate::auth::{Caller, Principal};
use crate::error::{Code, Error, Result};
use crate::store::content::Content;
use crate::store::{self, permissions::Grant};
use sqlx::AnyConnection;

/// Role of a user or a key. Orders from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May look.
    Viewer,
    /// May publish.
    Publisher,
    /// May do everything.
    Administrator,
}

impl Role {
    /// The product's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "publisher" => Ok(Self::Publisher),
            "administrator" => Ok(Self::Administrator),
            _ => Err(()),
        }
    }
}

/// Who may open content. Orders from fewest to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessType {
    /// Those it is shared with.
    Acl,
    /// Every user.
    LoggedIn,
    /// Anybody.
    All,
}

impl AccessType {
    /// Every one, widest first.
    pub const EVERY: [Self; 3] = [Self::All, Self::LoggedIn, Self::Acl];

    /// The product's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::LoggedIn => "logged_in",
            Self::All => "all",
        }
    }

    /// By the product's word.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|access| access.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a caller is to a content item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppRole {
    /// The one owner.
    Owner,
    /// A collaborator.
    Editor,
    /// May open it.
    Viewer,
    /// Nothing.
    None,
}

impl AppRole {
    /// The product's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
            Self::None => "none",
        }
    }

    /// What `caller` is to `content`, given what was granted to it or its groups.
    #[must_use]
    pub fn of(caller: &Caller, content: &Content, grant: Option<Grant>) -> Self {
        let Caller::User(principal) = caller else {
            return if content.access_type == "all" { Self::Viewer } else { Self::None };
        };
        match grant {
            _ if content.owner_guid == principal.user.guid => Self::Owner,
            Some(Grant::Owner) => Self::Editor,
            Some(Grant::Viewer) => Self::Viewer,
            None if content.access_type != "acl" => Self::Viewer,
            None => Self::None,
        }
    }
}

/// A content item as one caller sees it.
#[derive(Debug)]
pub struct Seen {
    /// The item.
    pub content: Content,
    /// What the caller is to it.
    pub role: AppRole,
}

/// What the caller is to an item.
///
/// # Errors
/// When the database fails.
pub async fn role_of(db: &mut AnyConnection, caller: &Caller, content: &Content) -> Result<AppRole> {
    let grant = match caller {
        Caller::User(principal) if principal.user.service => {
            let bound = store::trusted_publishers::may_publish(db, &content.guid, &principal.user.guid).await?;
            return Ok(match bound {
                true => AppRole::Editor,
                // What anybody may open, a machine may.
                false => AppRole::of(&Caller::Anonymous, content, None),
            });
        }
        Caller::User(principal) if content.owner_guid == principal.user.guid => None,
        Caller::User(principal) => store::permissions::grant(db, &content.guid, &principal.user.guid).await?,
        Caller::Anonymous => None,
    };
    Ok(AppRole::of(caller, content, grant))
}

/// Why there is no item of this id: one that is no GUID has a code of its own and is named (the tests of pins see both;
/// the status is not known).
fn no_item(guid: &str) -> Error {
    let is_guid = guid.len() == 36 && guid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_guid {
        return Error::missing("content");
    }
    let shown: String = guid.chars().take(100).collect();
    Error::bad(Code::InvalidId, format!("`{shown}` is not the GUID of content."))
}

/// An item that a signed-in caller may know of.
///
/// # Errors
/// 400 for an id that is no GUID, 404 when there is none, 403 when the caller may not see it.
pub async fn visible(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<Seen> {
    let content = store::content::by_guid(db, guid).await?.ok_or_else(|| no_item(guid))?;
    let role = role_of(db, &Caller::User(principal.clone()), &content).await?;
    match role {
        AppRole::None if principal.role < Role::Administrator => Err(Error::forbidden()),
        _ => Ok(Seen { content, role }),
    }
}

/// An item that a signed-in caller may change.
///
/// # Errors
/// 404 when there is none; 403 when the caller may not change it.
pub async fn editable(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<Seen> {
    let seen = visible(db, principal, guid).await?;
    let publisher = principal.role >= Role::Publisher || principal.user.service;
    let editor = matches!(seen.role, AppRole::Owner | AppRole::Editor) && publisher;
    if editor || principal.role == Role::Administrator { Ok(seen) } else { Err(Error::forbidden()) }
}
