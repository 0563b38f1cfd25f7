//! Platforms: which distributions there are, and how clients say what they run on.
//!
//! R has no binary package type on Linux, so Package Manager serves binaries under the names of source packages to those
//! who ask for them: by a `User-Agent` that contains `R (4.4.2 x86_64-pc-linux-gnu x86_64 linux-gnu)`, by the query
//! `?r_version=4.4&arch=x86_64`, or by a path that spells the platform.

use pkg_formats::psp;
use serde::Serialize;

/// A row of `distros` in the status document. The spelling of its members is the vendor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Distro {
    /// Unique name.
    pub name: String,
    /// `linux`, `windows` or `macos`.
    pub os: String,
    /// Shown beside binary URLs.
    #[serde(rename = "binaryDisplay")]
    pub binary_display: String,
    /// The URL segment; empty where URLs have none.
    #[serde(rename = "binaryURL")]
    pub binary_url: String,
    /// Shown in lists.
    pub display: String,
    /// As system requirements name it.
    pub distribution: String,
    /// Its release.
    pub release: String,
    /// Where its binaries are built.
    pub build_distribution: String,
    /// Whether system requirements are known for it.
    #[serde(rename = "sysReqs")]
    pub sys_reqs: bool,
    /// Whether binaries are offered for it.
    pub binaries: bool,
    /// Not offered any more, but served.
    pub hidden: bool,
    /// Whether the vendor supports running the server on it.
    pub official_rspm: bool,
    /// CPUs.
    pub arch: Vec<String>,
    /// How its package manager installs packages, which are written behind it.
    #[serde(skip)]
    pub install_command: Option<String>,
}

impl From<psp::Distro> for Distro {
    /// What the package service does not tell follows from what it tells.
    fn from(distro: psp::Distro) -> Self {
        let is_linux = distro.os == "linux";
        Self {
            binary_display: distro.display.clone(),
            // macOS packages are cross-built there.
            build_distribution: if distro.os == "macos" { "jammy".to_owned() } else { distro.code.clone() },
            official_rspm: is_linux && distro.sysreqs,
            name: distro.name,
            os: distro.os,
            binary_url: distro.code,
            display: distro.display,
            distribution: distro.distribution,
            release: distro.release,
            sys_reqs: distro.sysreqs,
            binaries: distro.binaries,
            hidden: distro.hidden,
            arch: distro.arch,
            install_command: distro.install_command,
        }
    }
}

/// What there is until the package service has told: Linux distributions as the vendor's public instance listed them in 2025
/// and 2026, by name, URL segment, display, distribution, release and whether they are on both CPUs.
const LINUX: &[(&str, &str, &str, &str, &str, bool)] = &[
    ("centos7", "centos7", "CentOS 7", "centos", "7", false),
    ("rhel7", "centos7", "Red Hat Enterprise Linux 7", "redhat", "7", false),
    ("centos8", "centos8", "CentOS 8", "centos", "8", false),
    ("rhel8", "centos8", "Red Hat Enterprise Linux 8", "redhat", "8", false),
    ("rhel9", "rhel9", "Rocky Linux 9", "rockylinux", "9", true),
    ("rhel9-redhat", "rhel9", "Red Hat Enterprise Linux 9", "redhat", "9", true),
    ("rhel10", "rhel10", "Rocky Linux 10", "rockylinux", "10", true),
    ("rhel10-redhat", "rhel10", "Red Hat Enterprise Linux 10", "redhat", "10", true),
    ("opensuse42", "opensuse42", "openSUSE 42.3", "opensuse", "42.3", false),
    ("sles12", "opensuse42", "SLES 12 SP3", "sle", "12.3", false),
    ("opensuse15", "opensuse15", "openSUSE 15", "opensuse", "15", false),
    ("sles15", "opensuse15", "SLES 15", "sle", "15", false),
    ("opensuse152", "opensuse152", "openSUSE 15.2", "opensuse", "15.2", false),
    ("sles152", "opensuse152", "SLES 15 SP2", "sle", "15.2", false),
    ("opensuse153", "opensuse153", "openSUSE 15.3", "opensuse", "15.3", false),
    ("sles153", "opensuse153", "SLES 15 SP3", "sle", "15.3", false),
    ("opensuse154", "opensuse154", "openSUSE 15.4", "opensuse", "15.4", false),
    ("sles154", "opensuse154", "SLES 15 SP4", "sle", "15.4", false),
    ("opensuse155", "opensuse155", "openSUSE 15.5", "opensuse", "15.5", false),
    ("sles155", "opensuse155", "SLES 15 SP5", "sle", "15.5", false),
    ("opensuse156", "opensuse156", "openSUSE 15.6", "opensuse", "15.6", false),
    ("sles156", "opensuse156", "SLES 15 SP6", "sle", "15.6", false),
    ("xenial", "xenial", "Ubuntu 16.04 (Xenial)", "ubuntu", "16.04", false),
    ("bionic", "bionic", "Ubuntu 18.04 (Bionic)", "ubuntu", "18.04", false),
    ("focal", "focal", "Ubuntu 20.04 (Focal)", "ubuntu", "20.04", false),
    ("jammy", "jammy", "Ubuntu 22.04 (Jammy)", "ubuntu", "22.04", false),
    ("noble", "noble", "Ubuntu 24.04 (Noble)", "ubuntu", "24.04", true),
    ("resolute", "resolute", "Ubuntu 26.04 (Resolute)", "ubuntu", "26.04", true),
    ("buster", "buster", "Debian 10 (Buster)", "debian", "10", false),
    ("bullseye", "bullseye", "Debian 11 (Bullseye)", "debian", "11", false),
    ("bookworm", "bookworm", "Debian 12 (Bookworm)", "debian", "12", false),
    ("trixie", "trixie", "Debian 13 (Trixie)", "debian", "13", false),
    ("manylinux_2_28", "manylinux_2_28", "Portable Linux (manylinux_2_28)", "centos", "8", true),
];

/// Not offered any more, but served.
const HIDDEN: [&str; 5] = ["centos8", "opensuse42", "opensuse155", "focal", "bullseye"];

/// [`LINUX`], and the others.
pub(crate) fn built_in() -> Vec<Distro> {
    let row = |os: &str, (name, code, display, distribution, release, both): (&str, &str, &str, &str, &str, bool)| {
        let generic = os != "linux" || name.starts_with("manylinux");
        Distro::from(psp::Distro {
            arch: if both { vec!["x86_64".to_owned(), "arm64".to_owned()] } else { vec!["x86_64".to_owned()] },
            binaries: name != "buster",
            code: code.to_owned(),
            display: display.to_owned(),
            distribution: distribution.to_owned(),
            hidden: HIDDEN.contains(&name),
            install_command: None,
            name: name.to_owned(),
            os: os.to_owned(),
            release: release.to_owned(),
            sysreqs: !generic,
        })
    };
    let mut all: Vec<Distro> = LINUX.iter().map(|known| row("linux", *known)).collect();
    all.push(row("windows", ("windows", "", "Windows", "windows", "all", false)));
    all.push(row("macos", ("macos", "", "macOS", "macos", "all", true)));
    all
}

/// R versions for which binaries are built, newest first.
pub const R_VERSIONS: &[&str] = &["4.6", "4.5", "4.4", "4.3", "4.2", "3.6"];

/// The path segment of macOS packages by R's minor version and CPU; empty for none. The last holds for all later ones.
pub const MACOS: &[(&str, &[(&str, &str)])] = &[
    ("3.6", &[("x86_64", "el-capitan")]),
    ("4.0", &[("x86_64", "")]),
    ("4.1", &[("arm64", "big-sur-arm64"), ("x86_64", "")]),
    ("4.2", &[("arm64", "big-sur-arm64"), ("x86_64", "")]),
    ("4.3", &[("arm64", "big-sur-arm64"), ("x86_64", "big-sur-x86_64")]),
    ("4.4", &[("arm64", "big-sur-arm64"), ("x86_64", "big-sur-x86_64")]),
    ("4.5", &[("arm64", "big-sur-arm64"), ("x86_64", "big-sur-x86_64")]),
    ("4.6", &[("arm64", "sonoma-arm64"), ("x86_64", "big-sur-x86_64")]),
    ("default", &[("arm64", "sonoma-arm64"), ("x86_64", "big-sur-x86_64")]),
];

/// The CPU that a flavor of macOS is for with a minor version of R; none where R has no such flavor.
#[must_use]
pub fn macos_cpu(r: &str, flavor: &str) -> Option<&'static str> {
    let (_, flavors) = MACOS.iter().find(|(minor, _)| *minor == r)?;
    flavors.iter().find(|(_, known)| *known == flavor).map(|(arch, _)| *arch)
}

/// What a client runs, as far as it matters for binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// R's minor version, such as `4.4`.
    pub r: String,
    /// `x86_64` or `arm64`.
    pub arch: String,
}

impl Client {
    /// From a version such as `4.4` or `4.4.2` and a CPU such as `x86_64` or `aarch64`.
    #[must_use]
    pub fn new(r_version: &str, arch: &str) -> Option<Self> {
        let mut parts = r_version.split('.');
        let number = |part: Option<&str>| {
            part.filter(|p| !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit())).map(str::to_owned)
        };
        let (major, minor) = (number(parts.next())?, number(parts.next())?);
        let arch = match arch {
            "x86_64" | "amd64" => "x86_64",
            "aarch64" | "arm64" => "arm64",
            _ => return None,
        };
        Some(Self { r: format!("{major}.{minor}"), arch: arch.to_owned() })
    }

    /// From a `User-Agent` that contains `R (version platform arch os)` anywhere.
    #[must_use]
    pub fn from_user_agent(agent: &str) -> Option<Self> {
        agent.match_indices("R (").find_map(|(at, found)| {
            let words = agent[at + found.len()..].split(')').next()?;
            let mut words = words.split(' ');
            let (version, _platform, arch) = (words.next()?, words.next()?, words.next()?);
            words.next()?;
            Self::new(version, arch)
        })
    }

    /// The value of `X-Package-Binary-Tag`: `4.4-noble`, `4.4-noble-arm64`.
    #[must_use]
    pub fn tag(&self, distro: &str) -> String {
        match self.arch.as_str() {
            "x86_64" => format!("{}-{distro}", self.r),
            arch => format!("{}-{distro}-{arch}", self.r),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_that_real_clients_send() {
        let client = |agent: &str| Client::from_user_agent(agent).map(|c| c.tag("noble"));
        for (agent, expected) in [
            ("R (4.4.2 x86_64-pc-linux-gnu x86_64 linux-gnu)", Some("4.4-noble")),
            ("R (4.6.1 aarch64-unknown-linux-gnu aarch64 linux-gnu)", Some("4.6-noble-arm64")),
            ("R/4.2.2 R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)", Some("4.2-noble")),
            ("renv (1.2.4.9000); R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)", Some("4.2-noble")),
            ("libcurl/7.88.1", None),
            ("R (4.4)", None),
            ("R (4.4.2 x86_64-pc-linux-gnu x86_64", None),
            ("R (x.y a b c)", None),
            ("R (4.4.2 riscv64-linux riscv64 linux-gnu)", None),
            ("", None),
        ] {
            assert_eq!(client(agent).as_deref(), expected, "{agent}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_user_agent_panics(agent in ".{0,200}") {
            let _ = Client::from_user_agent(&agent);
            let _ = Client::from_user_agent(&format!("R ({agent})"));
        }
    }
}
