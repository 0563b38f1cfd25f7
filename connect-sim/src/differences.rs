//! What releases differ in, beside the routes that each has: fields, defaults, error texts, settings.
//!
//! Nothing else in this crate names a release: handlers ask [`Version::with`] for one of these. Together with the column
//! `since` of the table of routes it is the whole of what a personality is; `docs/VERSIONS.md` lists both.

use crate::version::Version;

/// Where a difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Where {
    Field,
    Parameter,
    ContentType,
    Status,
    Upload,
    Setting,
}

impl Where {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Parameter => "parameter",
            Self::ContentType => "content type",
            Self::Status => "status",
            Self::Upload => "upload",
            Self::Setting => "setting",
        }
    }
}

macro_rules! differences {
    ($($variant:ident $since:literal $place:ident $what:literal,)*) => {
        /// A difference; see the module.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Difference { $(#[doc = $what] $variant,)* }

        impl Difference {
            /// All of them, in the order of their releases.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The release that brought it.
            #[must_use]
            pub fn since(self) -> &'static str {
                match self { $(Self::$variant => $since,)* }
            }

            /// Where it shows.
            #[must_use]
            pub fn place(self) -> Where {
                match self { $(Self::$variant => Where::$place,)* }
            }

            /// What it is, in Markdown.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

differences! {
    VisitPath "2024.01.0" Field "`path` and `user_agent` of visits (the year is known, the release is inferred)",
    TensorFlow "2024.05.0" ContentType "`tensorflow-saved-model`; older releases refuse its bundles",
    UnclaimedTokenIs401 "2024.05.0" Status "a signature with a token that nobody has claimed is answered with 401; before, with 500",
    VanityUrlInclude "2024.06.0" Parameter "`include=vanity_url` of content; older releases add nothing for it",
    ContentLock "2024.08.0" Field "`locked` and `locked_message` of content; older releases ignore them",
    TypedLicense "2024.09.0" Setting "the licence of the server's settings has numbers and true or false; older releases say both as text (`\"1\"`)",
    OAuthLicense "2024.09.0" Setting "the licence of the server's settings has `oauth-integrations`",
    BuildLogEnvironment "2024.09.0" Setting "the log of a build names the environment that a language is taken from (the release is inferred)",
    BundleFromUrl "2024.11.0" Upload "`url` in place of a bundle's archive: the server fetches it",
    OAuthSetting "2024.12.0" Setting "`oauth_integrations_enabled` is true",
    Gradio "2024.12.0" ContentType "`python-gradio`; older releases refuse its bundles",
    VisitorApiKeys "2025.01.0" Setting "integrations of the template `connect`, which give API keys of visitors; older releases do not know the template",
    JobContentIds "2025.01.0" Field "`content_id` and `content_guid` of jobs, beside `app_id`",
    AwsCredentials "2025.03.0" Parameter "the exchange of credentials gives keys of AWS for integrations of the template `aws`; older releases give a token",
    GroupPagesWithPrefix "2025.04.0" Parameter "`page_number` of groups together with `prefix`; older releases answer with the first page",
    DeployActivate "2025.06.0" Field "`activate` of deploys and builds; older releases refuse the field",
    CredentialAudience "2025.07.0" Parameter "`audience` of the exchange of credentials; older releases do not look at it",
    BranchesResult "2025.10.0" Field "branches of a repository are a result of the type `git-repo-branches-result`; in older releases they are the list of one of the type `git-repo-ref-branch-array` (the release is inferred)",
    GroupDetails "2025.10.0" Field "`gid` and `member_count` of groups (the tests of connectapi pass at 2025.09.0 without them; the release is inferred)",
    UserExternalId "2025.10.0" Field "`external_id` of users (likewise)",
    Panel "2025.10.0" ContentType "`python-panel`; older releases refuse its bundles",
    BundleMetadata "2025.12.0" Upload "a bundle may be sent as a form with `metadata`; older releases take the archive alone",
    HitsOfContent "2026.01.0" Parameter "`content_guid` of hits; older releases answer with all",
    IdentityFederation "2026.01.0" Parameter "identity tokens of other issuers in the exchange of credentials",
    SessionTokenFile "2026.02.0" Setting "content finds its session token in the file of `CONNECT_CONTENT_SESSION_TOKEN_FILE`, beside the variable without `_FILE`",
    NodeJs "2026.04.0" ContentType "`nodejs`; older releases refuse its bundles",
    NodeVersion "2026.04.0" Field "`node_version` of content and bundles, `nodejs` of environments",
}

impl Version {
    /// Whether this release is one with a difference.
    #[must_use]
    pub fn with(self, difference: Difference) -> bool {
        self.has(difference.since())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_in_the_order_of_their_releases() {
        let since: Vec<Version> = Difference::ALL.iter().map(|one| one.since().parse().unwrap()).collect();
        assert!(since.is_sorted());
    }

    #[test]
    fn no_other_module_names_a_release() {
        fn visit(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                // Pages ask which routes there are.
                if path.is_dir() && !path.ends_with("ui") {
                    visit(&path, found);
                } else if path.is_file()
                    && !["differences.rs", "routes.rs", "version.rs"].contains(&entry.file_name().to_str().unwrap())
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.extend(text.contains(".has(\"").then(|| path.display().to_string()));
                }
            }
        }
        let mut found = Vec::new();
        visit(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.is_empty(), "put the release into `differences!`: {found:?}");
    }
}
