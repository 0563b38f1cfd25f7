//! System requirements, distributions, vulnerabilities.

use std::collections::{BTreeMap, HashSet};

use pkg_formats::psp::{Distro, DocumentRecord, FeedKind, SysreqsRule, Vulnerability};
use pkg_formats::python::version;
use pkg_formats::{dcf, r};
use serde::de::DeserializeOwned;
use upstream_sim::Config;

use crate::support::{Follower, Service, followed, service_at};

const NOW: &str = "2026-11-24T12:00:00Z";

fn documents<T: DeserializeOwned>(follower: &Follower) -> BTreeMap<String, T> {
    let record = |bytes: &[u8]| serde_json::from_slice::<DocumentRecord>(bytes).unwrap();
    follower
        .records
        .iter()
        .map(|(name, bytes)| {
            let record = record(bytes);
            assert_eq!(record.name, *name);
            (name.clone(), serde_json::from_value(record.document).unwrap())
        })
        .collect()
}

async fn all<T: DeserializeOwned>(service: &Service, feed: &str) -> BTreeMap<String, T> {
    let root = service.root().await;
    assert_eq!(root.feeds.iter().find(|info| info.name == feed).unwrap().kind, FeedKind::Documents);
    documents(&followed(service, feed).await)
}

#[tokio::test]
async fn rules_say_what_to_install_where() {
    let service = service_at(Config::only(&["curl", "xml2", "openssl", "igraph"]), 1, NOW).await;
    let rules: BTreeMap<String, SysreqsRule> = all(&service, "sysreqs").await;
    let distros: BTreeMap<String, Distro> = all(&service, "distros").await;
    let packages = |rule: &str, distribution: &str, release: &str| {
        rules[rule].install_on(distribution, release).map(|install| install.packages.join(" ")).unwrap_or_default()
    };
    assert_eq!(packages("libcurl", "ubuntu", "24.04"), "libcurl4-openssl-dev");
    assert_eq!(packages("libxml2", "rockylinux", "9"), "libxml2-devel");
    assert_eq!(packages("openssl", "opensuse", "15.6"), "libopenssl-devel");
    assert_eq!(packages("gdal", "debian", "12"), "gdal-bin libgdal-dev");
    let java = rules["java"].install_on("ubuntu", "22.04").unwrap();
    assert_eq!((java.packages[0].as_str(), java.post_install[0].as_str()), ("default-jdk", "R CMD javareconf"));
    let before = |release: &str| rules["gdal"].install_on("centos", release).unwrap().pre_install[0].clone();
    assert_eq!(
        (before("7").as_str(), before("8").as_str()),
        ("yum install -y epel-release", "dnf install -y epel-release")
    );

    // Every distribution that is said to have rules has some, and no other.
    for distro in distros.values() {
        let count =
            rules.values().filter(|rule| rule.install_on(&distro.distribution, &distro.release).is_some()).count();
        assert_eq!(
            distro.install_command.is_some() && count > 40,
            distro.sysreqs || distro.name.starts_with("manylinux")
        );
    }
    // What the packages of the catalogue say is understood.
    let cran = followed(&service, "cran").await;
    for (package, rule) in [("curl", "libcurl"), ("xml2", "libxml2"), ("openssl", "openssl")] {
        let version = cran.r(package).versions.pop().unwrap();
        let described = dcf::parse_one(&version.description).unwrap();
        let text = described.get("SystemRequirements").unwrap_or_default();
        assert!(rules[rule].holds_for(package, text), "{package}: {text}");
        assert!(!rules["java"].holds_for(package, text));
    }
}

#[tokio::test]
async fn distributions_come_as_time_goes_by() {
    let early = service_at(Config::only(&[]), 1, "2024-01-15T12:00:00Z").await;
    let then: BTreeMap<String, Distro> = all(&early, "distros").await;
    assert!(then.contains_key("jammy") && !then.contains_key("noble"));
    let service = service_at(Config::only(&[]), 1, NOW).await;
    let now: BTreeMap<String, Distro> = all(&service, "distros").await;
    assert_eq!((now["noble"].code.as_str(), now["noble"].release.as_str()), ("noble", "24.04"));
    assert_eq!(now["noble"].arch, ["x86_64", "arm64"]);
    assert!(!now["buster"].binaries && now["windows"].code.is_empty());
    let rows: HashSet<(&str, &str)> = now
        .values()
        .filter(|distro| distro.sysreqs)
        .map(|distro| (distro.distribution.as_str(), distro.release.as_str()))
        .collect();
    assert_eq!(rows.len(), now.values().filter(|distro| distro.sysreqs).count(), "each release once");
}

#[tokio::test]
async fn vulnerabilities_are_marked_as_invented_and_spare_the_newest_version() {
    let service = service_at(Config::default(), 1, NOW).await;
    let mut follower = followed(&service, "vulns").await;
    let known: BTreeMap<String, Vulnerability> = documents(&follower);
    assert!(known.len() >= 40);
    let cran = followed(&service, "cran").await;
    let pypi = followed(&service, "pypi").await;
    let mut open = 0;
    for (id, vulnerability) in &known {
        assert!(id.starts_with("TEAMSIM-20") && *id == vulnerability.id, "{id}");
        assert!(vulnerability.database_specific.invented && vulnerability.summary.starts_with("Invented "));
        let affected = &vulnerability.affected[0];
        let [_, fixed] = affected.ranges[0].events.as_slice() else { panic!("{affected:?}") };
        let (fixed, name) = (&fixed["fixed"], &affected.package.name);
        match affected.package.ecosystem.as_str() {
            "CRAN" => {
                let versions = cran.r(name).versions;
                let order: Vec<r::RVersion> = versions.iter().map(|v| v.version.parse().unwrap()).collect();
                let fixed: r::RVersion = fixed.parse().unwrap();
                assert!(*order.last().unwrap() >= fixed);
                open += usize::from(order[0] < fixed);
            }
            "PyPI" => {
                let files = pypi.python(name).files;
                let fixed = version::parse(fixed).unwrap();
                assert!(files.iter().any(|file| version::parse(&file.version).unwrap() >= fixed));
                open += usize::from(files.iter().any(|file| version::parse(&file.version).unwrap() < fixed));
            }
            other => panic!("{other}"),
        }
    }
    assert!(open * 10 > known.len() * 8, "only {open} affect a version that is there");
    assert!(known.values().any(|vulnerability| vulnerability.withdrawn.is_some()));

    service.world.clock().advance(std::time::Duration::from_secs(120 * 86_400)).await;
    follower.follow(&service, "vulns").await;
    let later: BTreeMap<String, Vulnerability> = documents(&follower);
    assert!(later.len() > known.len() && known.keys().all(|id| later.contains_key(id)));
}
