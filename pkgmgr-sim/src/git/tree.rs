//! What is in a repository: its branches and tags, and the files of a commit.

use std::collections::{BTreeMap, HashMap};

use pkg_formats::archive::{File, Files};
use sim_kit::gcfg::Gcfg;
use sim_kit::git::{Git, GitError};

use super::Reader;

/// Bytes of a list of branches and tags, and of a list of files.
const LIST: u64 = 16 << 20;
/// Bytes of a file of submodules.
const MODULES: u64 = 1 << 20;

/// Branches and tags, with the commits they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refs {
    /// That of the default branch.
    pub(crate) head: Option<String>,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// A commit to be read, and where it is to be found.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) sha: &'a str,
    /// The tag that names it; empty for none.
    pub(crate) tag: &'a str,
    /// The branch that it is on; empty for the default one.
    pub(crate) branch: &'a str,
    pub(crate) sub_dir: &'a str,
    /// Commits to fetch; 0 for all.
    pub(crate) depth: i64,
    /// How deep submodules are followed.
    pub(crate) submodules: i64,
}

/// The files of a commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// By path below the wanted folder.
    pub(crate) files: Files,
    /// Seconds since 1970.
    pub(crate) committed_at: i64,
}

/// A folder inside a repository in plain form: relative, nothing that leads out; empty for the top.
pub(crate) fn plain_sub_dir(text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let bad = |part: &&str| {
        *part == ".."
            || part.eq_ignore_ascii_case(".git")
            || part.chars().any(|c| c.is_control() || c == '\\' || c == ':')
    };
    (text.len() <= 1024 && !parts.iter().any(bad)).then(|| parts.join("/"))
}

fn is_sha(text: &str) -> bool {
    (text.len() == 40 || text.len() == 64) && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

fn odd(what: &str) -> GitError {
    GitError::Refused(format!("the answer is not understood: {what}"))
}

impl Refs {
    /// Asks a repository for its branches and tags.
    pub(crate) async fn of(repository: Reader<'_>) -> Result<Self, GitError> {
        let out = repository.open().await?.ls_remote(&[], &[], LIST).await?;
        Self::parse(&String::from_utf8_lossy(&out))
    }

    fn parse(text: &str) -> Result<Self, GitError> {
        let mut refs = Self::default();
        for line in text.lines() {
            let (sha, name) =
                line.split_once('\t').filter(|(sha, _)| is_sha(sha)).ok_or_else(|| odd("a list of refs"))?;
            let sha = sha.to_owned();
            if name == "HEAD" {
                refs.head = Some(sha);
            } else if let Some(branch) = name.strip_prefix("refs/heads/") {
                refs.branches.insert(branch.to_owned(), sha);
            } else if let Some(tag) = name.strip_prefix("refs/tags/") {
                // An annotated tag comes twice; the second names the commit.
                refs.tags.insert(tag.strip_suffix("^{}").unwrap_or(tag).to_owned(), sha);
            }
        }
        Ok(refs)
    }

    /// The newest commit of `branch`; of the default one when that is empty.
    pub(crate) fn tip(&self, branch: &str) -> Option<&String> {
        if branch.is_empty() { self.head.as_ref() } else { self.branches.get(branch) }
    }

    /// Whether a tag names the commit.
    pub(crate) fn is_tagged(&self, sha: &str) -> bool {
        self.tags.values().any(|tagged| tagged == sha)
    }

    /// Tags, the lowest version first.
    pub(crate) fn tags_in_order(&self) -> Vec<(&str, &str)> {
        let mut tags: Vec<(&str, &str)> = self.tags.iter().map(|(tag, sha)| (tag.as_str(), sha.as_str())).collect();
        tags.sort_by_key(|(tag, _)| numbers(tag));
        tags
    }
}

/// The numbers in a tag's name, which tell its place among the others, then the name.
fn numbers(tag: &str) -> (Vec<u64>, String) {
    let parts = tag.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    (parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect(), tag.to_owned())
}

impl Tree {
    /// Reads a commit of a repository. Says in `log` what it does and what it leaves out.
    pub(crate) async fn read(
        repository: Reader<'_>,
        wanted: &Wanted<'_>,
        log: &mut Vec<String>,
    ) -> Result<Self, GitError> {
        let git = fetched(repository, wanted, log).await?;
        let text =
            git.run(&["show", "--no-patch", "--format=%ct", "--end-of-options", wanted.sha], Vec::new(), LIST).await?;
        let committed_at = String::from_utf8_lossy(&text).trim().parse().map_err(|_| odd("the time of a commit"))?;
        let mut tree = Self { files: Files::new(), committed_at };
        let mut room = Room { bytes: repository.settings.command.bytes, files: repository.settings.files };
        let links = files_of(&git, wanted.sha, "", &mut tree.files, &mut room, log).await?;
        if !links.is_empty() && wanted.submodules > 0 {
            let mut walk = Walk { files: &mut tree.files, room: &mut room, log };
            Box::pin(walk.submodules(&git, repository, (wanted.sha, ""), links, wanted.submodules)).await?;
        } else {
            for (path, _) in links {
                log.push(format!("{path} is a submodule and is left out; --recurse-submodules brings it along"));
            }
        }
        if !wanted.sub_dir.is_empty() {
            let prefix = format!("{}/", wanted.sub_dir);
            let below =
                tree.files.into_iter().filter_map(|(path, file)| Some((path.strip_prefix(&prefix)?.to_owned(), file)));
            tree.files = below.collect();
            if tree.files.is_empty() {
                return Err(GitError::Refused(format!("the repository has nothing in {}", wanted.sub_dir)));
            }
        }
        Ok(tree)
    }
}

/// A repository with the wanted commit in it.
async fn fetched(repository: Reader<'_>, wanted: &Wanted<'_>, log: &mut Vec<String>) -> Result<Git, GitError> {
    let (git, url) = (repository.open().await?, repository.remote);
    let name = match (wanted.tag, wanted.branch) {
        ("", "") => "+HEAD:refs/wanted".to_owned(),
        ("", branch) => format!("+refs/heads/{branch}:refs/wanted"),
        (tag, _) => format!("+refs/tags/{tag}:refs/wanted"),
    };
    if wanted.depth > 0 {
        let depth = format!("--depth={}", wanted.depth);
        log.push(format!("$ git fetch {depth} {url} {name}"));
        match git.fetch(&[&depth], &[&name]).await {
            Ok(()) if has(&git, wanted.sha).await => return Ok(git),
            Ok(()) => log.push(format!("commit {} is not there: the branch has moved on", wanted.sha)),
            Err(GitError::Failed(said)) if said.contains("shallow") => {
                log.push("the server gives no shallow clones; fetching everything".to_owned());
            }
            Err(error) => return Err(error),
        }
    }
    log.push(format!("$ git fetch {url} (all branches and tags)"));
    let all = ["+HEAD:refs/wanted", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
    git.fetch(if git.is_shallow() { &["--unshallow"] } else { &[] }, &all).await?;
    match has(&git, wanted.sha).await {
        true => Ok(git),
        false => Err(GitError::Refused(format!("the repository has no commit {} (any more)", wanted.sha))),
    }
}

async fn has(git: &Git, sha: &str) -> bool {
    git.run(&["cat-file", "-e", &format!("{sha}^{{commit}}")], Vec::new(), LIST).await.is_ok()
}

/// What may still be taken.
struct Room {
    bytes: u64,
    files: usize,
}

/// Reads the files of a commit into `files`, their paths after `prefix`. Gives the submodules: path and commit.
async fn files_of(
    git: &Git,
    sha: &str,
    prefix: &str,
    files: &mut Files,
    room: &mut Room,
    log: &mut Vec<String>,
) -> Result<Vec<(String, String)>, GitError> {
    let list = git.run(&["ls-tree", "-r", "-z", "--long", "--end-of-options", sha], Vec::new(), LIST).await?;
    let mut modules = Vec::new();
    let mut wanted: Vec<(String, bool, String)> = Vec::new();
    let mut symlinks: Vec<(String, String)> = Vec::new();
    for line in list.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = std::str::from_utf8(line).map_err(|_| odd("a path that is not UTF-8"))?;
        let (about, path) = line.split_once('\t').ok_or_else(|| odd("a list of files"))?;
        let about: Vec<&str> = about.split_ascii_whitespace().collect();
        let [mode, _, object, size] = about[..] else { return Err(odd("a list of files")) };
        let plain = plain_sub_dir(path).filter(|plain| plain == path);
        let Some(plain) = plain else {
            return Err(GitError::Refused(format!(
                "the path {path:?} in the repository could not be unpacked anywhere"
            )));
        };
        let path = format!("{prefix}{plain}");
        if mode == "160000" {
            modules.push((path, object.to_owned()));
            continue;
        }
        let size: u64 = size.parse().map_err(|_| odd("the size of a file"))?;
        room.bytes = room
            .bytes
            .checked_sub(size)
            .ok_or(GitError::Refused("the files of the package are too large".to_owned()))?;
        room.files =
            room.files.checked_sub(1).ok_or(GitError::Refused("the repository has too many files".to_owned()))?;
        match mode {
            "120000" => symlinks.push((path, object.to_owned())),
            _ => wanted.push((path, mode == "100755", object.to_owned())),
        }
    }
    let objects = wanted.iter().map(|(_, _, object)| object).chain(symlinks.iter().map(|(_, object)| object));
    let contents = blobs(git, objects).await?;
    let content = |object: &String| contents.get(object).cloned().ok_or_else(|| odd("a file that is not there"));
    for (path, executable, object) in wanted {
        let bytes = content(&object)?;
        files.insert(path, File { bytes, executable });
    }
    for (path, object) in symlinks {
        let target = String::from_utf8_lossy(&content(&object)?).into_owned();
        match followed(&path, &target).and_then(|target| files.get(&target).cloned()) {
            Some(file) => drop(files.insert(path, file)),
            None => {
                log.push(format!("{path} is a link to {target:?}, which is no file of the repository; it is left out"));
            }
        }
    }
    Ok(modules)
}

/// The path that a link at `path` leads to, if that is inside.
fn followed(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The contents of objects by their names.
async fn blobs(git: &Git, objects: impl Iterator<Item = &String>) -> Result<HashMap<String, Vec<u8>>, GitError> {
    let mut asked: Vec<&String> = objects.collect();
    asked.sort_unstable();
    asked.dedup();
    let input: String = asked.iter().map(|object| format!("{object}\n")).collect();
    // Their sizes were added up before.
    let out = git.run(&["cat-file", "--batch"], input.into_bytes(), u64::MAX).await?;
    let mut rest = out.as_slice();
    let mut found = HashMap::new();
    while !rest.is_empty() {
        // {object} blob {size}\n{bytes}\n
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| odd("an object"))?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let head: Vec<&str> = head.split(' ').collect();
        let [object, "blob", size] = head[..] else { return Err(odd("an object that is no file")) };
        let size: usize = size.parse().map_err(|_| odd("the size of an object"))?;
        let bytes = rest.get(end + 1..end + 1 + size).ok_or_else(|| odd("an object that is cut"))?;
        found.insert(object.to_owned(), bytes.to_vec());
        rest = rest.get(end + 2 + size..).ok_or_else(|| odd("an object that is cut"))?;
    }
    Ok(found)
}

/// What a walk through submodules has found, and may still take.
struct Walk<'a> {
    files: &'a mut Files,
    room: &'a mut Room,
    log: &'a mut Vec<String>,
}

impl Walk<'_> {
    /// Reads the submodules `links` of commit `sha` of `repository`, whose files are after `prefix`.
    async fn submodules(
        &mut self,
        git: &Git,
        repository: Reader<'_>,
        (sha, prefix): (&str, &str),
        links: Vec<(String, String)>,
        depth: i64,
    ) -> Result<(), GitError> {
        let modules = git.run(&["cat-file", "blob", &format!("{sha}:.gitmodules")], Vec::new(), MODULES).await;
        let modules = modules.map_err(|_| GitError::Refused("there are submodules, but no .gitmodules".to_owned()))?;
        let modules = Gcfg::parse(&String::from_utf8_lossy(&modules));
        let modules = modules.map_err(|error| GitError::Refused(format!(".gitmodules: {error}")))?;
        for (path, commit) in links {
            let name = modules.subsections("submodule").into_iter().find(|name| {
                let told = modules.get("submodule", Some(name), "path");
                told.is_some_and(|told| path.strip_prefix(prefix) == Some(told.text))
            });
            let url = name.and_then(|name| modules.get("submodule", Some(name), "url"));
            let Some(url) = url else {
                return Err(GitError::Refused(format!("{path}: .gitmodules has no url for it")));
            };
            let there = repository.remote.submodule(url.text);
            let there = there.map_err(|error| GitError::Refused(format!("submodule {path}: {error}")))?;
            // A sign-in is for the server that everything began with.
            let sign_in = repository.sign_in.filter(|_| repository.remote.same_server(&there));
            let inner = Reader { remote: &there, sign_in, ..repository };
            self.log.push(format!("submodule {path}"));
            let wanted = Wanted { sha: &commit, tag: "", branch: "", sub_dir: "", depth: 1, submodules: 0 };
            let git = fetched(inner, &wanted, self.log).await?;
            let below = format!("{path}/");
            let deeper = files_of(&git, &commit, &below, self.files, self.room, self.log).await?;
            if deeper.is_empty() {
                continue;
            }
            if depth > 1 {
                Box::pin(self.submodules(&git, inner, (&commit, &below), deeper, depth - 1)).await?;
            } else {
                self.log.push(format!(
                    "submodules of {path} are left out; a higher --recurse-submodules brings them along"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_and_their_order() {
        let sha = |c: &str| c.repeat(40);
        let text = format!(
            "{}\tHEAD\n{}\trefs/heads/main\n{}\trefs/tags/v1.10\n{}\trefs/tags/v1.9\n{}\trefs/tags/v1.9^{{}}\n{}\trefs/pull/1/head\n",
            sha("a"),
            sha("a"),
            sha("b"),
            sha("c"),
            sha("d"),
            sha("e")
        );
        let refs = Refs::parse(&text).unwrap();
        assert_eq!(refs.tip(""), Some(&sha("a")));
        assert_eq!(refs.tip("main"), Some(&sha("a")));
        assert_eq!(refs.tip("other"), None);
        assert_eq!(refs.tags_in_order(), [("v1.9", &*sha("d")), ("v1.10", &*sha("b"))]);
        assert!(refs.is_tagged(&sha("d")) && !refs.is_tagged(&sha("c")));
        assert!(Refs::parse("<html>\n").is_err());
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(plain_sub_dir("/a//b/./c/").as_deref(), Some("a/b/c"));
        for bad in ["../a", "a/../b", ".git/hooks", "a/.GIT", "a\\b", "a:b", "a\nb"] {
            assert_eq!(plain_sub_dir(bad), None, "{bad}");
        }
        assert_eq!(followed("a/b/link", "../c").as_deref(), Some("a/c"));
        assert_eq!(followed("link", "../c"), None);
        assert_eq!(followed("link", "/etc/passwd"), None);
    }
}
