//! Extensions of editors, as the feed `vsx`.
//!
//! Names, publishers, categories and licences are facts (see `data/README.md`); versions, days and contents are made up, and the
//! contents say so: an extension has one command, which tells that it is simulated. A package is a VSIX: a zip with a manifest of
//! its own, `[Content_Types].xml`, and the extension's files below `extension/`.

use chrono::NaiveDate;
use pkg_formats::archive::{self, File};
use pkg_formats::psp::{Digest, FeedKind, Op, VSIX, VsxFile, VsxRecord, VsxVersion, canonical_json};
use serde_json::json;

use crate::catalogue;
use crate::draw::Draw;
use crate::history::{self, DAY, Event, HORIZON, grow, moment, time};
use crate::packages::{Package, Packages, Record};

const FEED: &str = "vsx";

/// 2022-01-01.
const START: i64 = 18_993;

/// The day (2025-06-01) on which those go that go.
const GONE: i64 = 20_240;

/// What extensions with parts for each machine are built for.
const PLATFORMS: [&str; 5] = ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-x64"];
const UNIVERSAL: [&str; 1] = ["universal"];

/// The gallery's words for the files of a version, and what they are called in the package.
const ASSETS: [(&str, &str); 6] = [
    (VSIX, ""),
    ("Microsoft.VisualStudio.Services.VsixManifest", "extension.vsixmanifest"),
    ("Microsoft.VisualStudio.Code.Manifest", "extension/package.json"),
    ("Microsoft.VisualStudio.Services.Content.Details", "extension/README.md"),
    ("Microsoft.VisualStudio.Services.Content.Changelog", "extension/CHANGELOG.md"),
    ("Microsoft.VisualStudio.Services.Content.License", "extension/LICENSE.txt"),
];

struct Entry {
    name: &'static str,
    display_name: &'static str,
    publisher: &'static str,
    categories: &'static str,
    license: &'static str,
    /// `p` has parts for each machine, `x` also offers unfinished versions, `r` is taken away one day.
    flags: &'static str,
    dependencies: &'static str,
}

struct Release {
    at: i64,
    version: String,
    pre_release: bool,
}

/// The extensions.
pub(crate) struct Vsx {
    seed: u64,
    entries: Vec<Entry>,
}

fn list(cell: &str) -> Vec<String> {
    cell.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

impl Vsx {
    /// All, or those of `only`.
    pub(crate) fn new(seed: u64, only: Option<&[String]>) -> Self {
        let entries = catalogue::rows(include_str!("../data/vsx.tsv")).map(|row| {
            let [name, display_name, publisher, categories, license, flags, dependencies, ..] = row;
            Entry { name, display_name, publisher, categories, license, flags, dependencies }
        });
        let wanted = |entry: &Entry| only.is_none_or(|only| only.iter().any(|name| name == entry.name));
        Self { seed, entries: entries.filter(wanted).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn releases(&self, entry: &Entry) -> Vec<Release> {
        let mut draw = Draw::new(self.seed, FEED, entry.name, "releases");
        let end = if entry.flags.contains('r') { GONE } else { HORIZON };
        let mut numbers = [draw.below(2), draw.below(20), 0];
        let mut day = START + draw.between(0, 500);
        let mut releases = Vec::new();
        while day < end {
            // By a custom of publishers, odd second numbers are unfinished.
            let pre_release = entry.flags.contains('x') && numbers[1] % 2 == 1;
            let [x, y, z] = numbers;
            releases.push(Release { at: moment(&mut draw, day), version: format!("{x}.{y}.{z}"), pre_release });
            grow(&mut draw, &mut numbers);
            day += draw.between(60, 400);
        }
        releases
    }
}

impl Entry {
    fn platforms(&self) -> &'static [&'static str] {
        if self.flags.contains('p') { &PLATFORMS } else { &UNIVERSAL }
    }

    fn summary(&self) -> String {
        format!("{} (synthetic contents made by teamsim; not the real extension)", self.display_name)
    }

    /// The files of a version for a platform, in the order of [`ASSETS`].
    fn files(&self, release: &Release, platform: &str) -> [Vec<u8>; 6] {
        let (publisher, name) = self.name.split_once('.').unwrap_or(("", self.name));
        let Release { version, .. } = release;
        let said = "This extension is simulated: teamsim made it up for tests and training. It is not the real one.";
        let command = format!("{}.simulated", self.name);
        let manifest = json!({
            "name": name,
            "displayName": self.display_name,
            "description": self.summary(),
            "publisher": publisher,
            "version": version,
            "license": self.license,
            "engines": {"vscode": ENGINE},
            "categories": list(self.categories),
            "extensionDependencies": list(self.dependencies),
            "main": "./extension.js",
            "activationEvents": [],
            "contributes": {"commands": [{"command": command, "title": format!("{}: is it simulated?", self.display_name)}]},
            "preview": release.pre_release,
            "simulated": true,
        });
        let code = format!(
            "const vscode = require('vscode');\nexports.activate = (context) => context.subscriptions.push(\n  \
             vscode.commands.registerCommand({}, () => vscode.window.showInformationMessage({})));\n",
            json!(command),
            json!(said),
        );
        let target = if platform == UNIVERSAL[0] { String::new() } else { format!(" TargetPlatform=\"{platform}\"") };
        let pre = if release.pre_release {
            "<Property Id=\"Microsoft.VisualStudio.Code.PreRelease\" Value=\"true\"/>"
        } else {
            ""
        };
        let assets: String = ASSETS[2..]
            .iter()
            .map(|(kind, path)| format!("    <Asset Type=\"{kind}\" Path=\"{path}\" Addressable=\"true\"/>\n"))
            .collect();
        let vsixmanifest = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <PackageManifest Version=\"2.0.0\" xmlns=\"http://schemas.microsoft.com/developer/vsx-schema/2011\">\n  <Metadata>\n    \
             <Identity Language=\"en-US\" Id=\"{name}\" Version=\"{version}\" Publisher=\"{publisher}\"{target}/>\n    \
             <DisplayName>{}</DisplayName>\n    <Description>{}</Description>\n    <Categories>{}</Categories>\n    \
             <Properties><Property Id=\"Microsoft.VisualStudio.Code.Engine\" Value=\"{ENGINE}\"/>{pre}</Properties>\n  </Metadata>\n  \
             <Installation><InstallationTarget Id=\"Microsoft.VisualStudio.Code\"/></Installation>\n  <Dependencies/>\n  <Assets>\n\
             {assets}  </Assets>\n</PackageManifest>\n",
            self.display_name,
            self.summary(),
            self.categories,
        );
        let mut files = [
            Vec::new(),
            vsixmanifest.into_bytes(),
            format!("{manifest:#}\n").into_bytes(),
            format!("# {}\n\n{said}\n", self.display_name).into_bytes(),
            format!("# Changes\n\n## {version}\n\nNothing real.\n").into_bytes(),
            format!("{said}\nThe real one is licensed under {}.\n", self.license).into_bytes(),
        ];
        let types = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
                     <Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
                     <Default Extension=\".json\" ContentType=\"application/json\"/>\
                     <Default Extension=\".vsixmanifest\" ContentType=\"text/xml\"/>\
                     <Default Extension=\".md\" ContentType=\"text/markdown\"/>\
                     <Default Extension=\".txt\" ContentType=\"text/plain\"/>\
                     <Default Extension=\".js\" ContentType=\"application/javascript\"/></Types>\n";
        let mut packed: Vec<(&str, File)> =
            ASSETS.iter().zip(&files).skip(1).map(|((_, path), bytes)| (*path, File::from(bytes.clone()))).collect();
        packed.insert(1, ("[Content_Types].xml", File::from(types)));
        packed.push(("extension/extension.js", File::from(code)));
        files[0] = archive::zip(packed.iter().map(|(path, file)| (*path, file)))
            .expect("the paths are plain and the files small");
        files
    }
}

/// Old enough for every editor in use.
const ENGINE: &str = "^1.80.0";

/// A file's number is made of those of its release, its platform and its asset.
fn number(release: usize, platform: usize, asset: usize) -> u32 {
    u32::try_from((release * PLATFORMS.len() + platform) * ASSETS.len() + asset).expect("releases are few")
}

impl Packages for Vsx {
    fn feed(&self) -> &'static str {
        FEED
    }

    fn kind(&self) -> FeedKind {
        FeedKind::Vsx
    }

    fn history_from(&self) -> NaiveDate {
        history::date(START)
    }

    fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.entries[package as usize].name.to_owned()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let entry = &self.entries[package as usize];
        let mut events: Vec<Event> = Vec::new();
        for release in self.releases(entry) {
            let op = if events.is_empty() { Op::Add } else { Op::Update };
            events.push(Event { at: release.at, op, version: release.version });
        }
        if entry.flags.contains('r') {
            events.push(Event { at: GONE * DAY, op: Op::Remove, version: String::new() });
        }
        events
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let entry = &self.entries[package as usize];
        let mut files = Vec::new();
        let mut versions = Vec::new();
        for (nth, release) in self.releases(entry).iter().enumerate().take_while(|(_, release)| release.at < cut) {
            for (place, platform) in entry.platforms().iter().enumerate() {
                let assets = entry.files(release, platform);
                let named = ASSETS.iter().zip(&assets).enumerate().map(|(asset, ((kind, _), bytes))| {
                    let sha256 = Digest::of(bytes);
                    files.push((sha256, number(nth, place, asset)));
                    VsxFile { asset: (*kind).to_owned(), sha256, size: bytes.len() as u64 }
                });
                versions.push(VsxVersion {
                    engine: ENGINE.to_owned(),
                    files: named.collect(),
                    pre_release: release.pre_release,
                    published_at: time(release.at),
                    target_platform: (*platform).to_owned(),
                    version: release.version.clone(),
                });
            }
        }
        let record = VsxRecord {
            categories: list(entry.categories),
            display_name: entry.display_name.to_owned(),
            extension_dependencies: list(entry.dependencies),
            license: Some(entry.license.to_owned()),
            name: entry.name.to_owned(),
            publisher: entry.publisher.to_owned(),
            removed_at: (entry.flags.contains('r') && GONE * DAY < cut).then(|| time(GONE * DAY)),
            summary: entry.summary(),
            versions,
        };
        Record { json: canonical_json(&record), files }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let entry = &self.entries[package as usize];
        let (rest, asset) = (file as usize / ASSETS.len(), file as usize % ASSETS.len());
        let (release, place) = (rest / PLATFORMS.len(), rest % PLATFORMS.len());
        let mut files = entry.files(&self.releases(entry)[release], entry.platforms()[place]);
        std::mem::take(&mut files[asset])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_extension_needs_is_there_and_files_are_what_the_record_says() {
        let vsx = Vsx::new(1, None);
        let names: Vec<String> = (0..vsx.count()).map(|package| vsx.name(package)).collect();
        for (package, entry) in (0..).zip(&vsx.entries) {
            assert!(list(entry.dependencies).iter().all(|name| names.contains(name)), "{}", entry.name);
            assert!(entry.name.split('.').count() == 2 && !entry.license.is_empty(), "{}", entry.name);
            let record = vsx.record(package, 20_000 * DAY);
            let (digest, file) = record.files[record.files.len() / 2];
            assert_eq!(Digest::of(&vsx.file(package, file)), digest);
            let times: Vec<i64> = vsx.events(package).iter().map(|event| event.at).collect();
            assert!(times.is_sorted() && times[0] / DAY >= START, "{}", entry.name);
        }
        assert!(Vsx::new(1, Some(&["flask".to_owned()])).is_empty());
    }
}
