//! Platforms: which distributions there are, and how clients say what they run on.
//!
//! R has no binary package type on Linux, so Package Manager serves binaries under the names of source packages to those
//! who ask for them: by a `User-Agent` that contains `R (4.4.2 x86_64-pc-linux-gnu x86_64 linux-gnu)`, by the query
//! `?r_version=4.4&arch=x86_64`, or by a path that spells the platform.

use serde::Serialize;

/// A row of `distros` in the status document. The spelling of its members is the vendor's.
#[derive(Debug, Clone, Serialize)]
pub struct Distro {
    /// Unique name.
    pub name: &'static str,
    /// `linux`, `windows` or `macos`.
    pub os: &'static str,
    /// Shown beside binary URLs.
    #[serde(rename = "binaryDisplay")]
    pub binary_display: &'static str,
    /// The URL segment; empty where URLs have none.
    #[serde(rename = "binaryURL")]
    pub binary_url: &'static str,
    /// Shown in lists.
    pub display: &'static str,
    /// As system requirements name it.
    pub distribution: &'static str,
    /// Its release.
    pub release: &'static str,
    /// Where its binaries are built.
    pub build_distribution: &'static str,
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
    pub arch: &'static [&'static str],
}

const X86: &[&str] = &["x86_64"];
const BOTH: &[&str] = &["x86_64", "arm64"];

/// A Linux row with what most of them have in common.
const fn linux(
    name: &'static str,
    binary_url: &'static str,
    display: &'static str,
    distribution: &'static str,
    release: &'static str,
    arch: &'static [&'static str],
) -> Distro {
    Distro {
        name,
        os: "linux",
        binary_display: display,
        binary_url,
        display,
        distribution,
        release,
        build_distribution: binary_url,
        sys_reqs: true,
        binaries: true,
        hidden: false,
        official_rspm: true,
        arch,
    }
}

const fn hidden(mut distro: Distro) -> Distro {
    distro.hidden = true;
    distro
}

/// All of them, as the vendor's public instance listed them in 2025 and 2026.
pub const DISTROS: &[Distro] = &[
    linux("centos7", "centos7", "CentOS 7", "centos", "7", X86),
    linux("rhel7", "centos7", "Red Hat Enterprise Linux 7", "redhat", "7", X86),
    hidden(linux("centos8", "centos8", "CentOS 8", "centos", "8", X86)),
    linux("rhel8", "centos8", "Red Hat Enterprise Linux 8", "redhat", "8", X86),
    linux("rhel9", "rhel9", "Rocky Linux 9", "rockylinux", "9", BOTH),
    linux("rhel9-redhat", "rhel9", "Red Hat Enterprise Linux 9", "redhat", "9", BOTH),
    linux("rhel10", "rhel10", "Rocky Linux 10", "rockylinux", "10", BOTH),
    linux("rhel10-redhat", "rhel10", "Red Hat Enterprise Linux 10", "redhat", "10", BOTH),
    hidden(linux("opensuse42", "opensuse42", "openSUSE 42.3", "opensuse", "42.3", X86)),
    linux("sles12", "opensuse42", "SLES 12 SP3", "sle", "12.3", X86),
    linux("opensuse15", "opensuse15", "openSUSE 15", "opensuse", "15", X86),
    linux("sles15", "opensuse15", "SLES 15", "sle", "15", X86),
    linux("opensuse152", "opensuse152", "openSUSE 15.2", "opensuse", "15.2", X86),
    linux("sles152", "opensuse152", "SLES 15 SP2", "sle", "15.2", X86),
    linux("opensuse153", "opensuse153", "openSUSE 15.3", "opensuse", "15.3", X86),
    linux("sles153", "opensuse153", "SLES 15 SP3", "sle", "15.3", X86),
    linux("opensuse154", "opensuse154", "openSUSE 15.4", "opensuse", "15.4", X86),
    linux("sles154", "opensuse154", "SLES 15 SP4", "sle", "15.4", X86),
    hidden(linux("opensuse155", "opensuse155", "openSUSE 15.5", "opensuse", "15.5", X86)),
    linux("sles155", "opensuse155", "SLES 15 SP5", "sle", "15.5", X86),
    linux("opensuse156", "opensuse156", "openSUSE 15.6", "opensuse", "15.6", X86),
    linux("sles156", "opensuse156", "SLES 15 SP6", "sle", "15.6", X86),
    linux("xenial", "xenial", "Ubuntu 16.04 (Xenial)", "ubuntu", "16.04", X86),
    linux("bionic", "bionic", "Ubuntu 18.04 (Bionic)", "ubuntu", "18.04", X86),
    hidden(linux("focal", "focal", "Ubuntu 20.04 (Focal)", "ubuntu", "20.04", X86)),
    linux("jammy", "jammy", "Ubuntu 22.04 (Jammy)", "ubuntu", "22.04", X86),
    linux("noble", "noble", "Ubuntu 24.04 (Noble)", "ubuntu", "24.04", BOTH),
    linux("resolute", "resolute", "Ubuntu 26.04 (Resolute)", "ubuntu", "26.04", BOTH),
    Distro { binaries: false, ..linux("buster", "buster", "Debian 10 (Buster)", "debian", "10", X86) },
    hidden(linux("bullseye", "bullseye", "Debian 11 (Bullseye)", "debian", "11", X86)),
    linux("bookworm", "bookworm", "Debian 12 (Bookworm)", "debian", "12", X86),
    linux("trixie", "trixie", "Debian 13 (Trixie)", "debian", "13", X86),
    Distro {
        sys_reqs: false,
        official_rspm: false,
        ..linux("manylinux_2_28", "manylinux_2_28", "Portable Linux (manylinux_2_28)", "centos", "8", BOTH)
    },
    Distro {
        os: "windows",
        sys_reqs: false,
        official_rspm: false,
        ..linux("windows", "", "Windows", "windows", "all", X86)
    },
    Distro {
        os: "macos",
        build_distribution: "jammy",
        official_rspm: false,
        ..linux("macos", "", "macOS", "macos", "all", BOTH)
    },
];

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

/// Whether `code` is the URL segment of a Linux distribution.
#[must_use]
pub fn is_distro(code: &str) -> bool {
    DISTROS.iter().any(|d| d.os == "linux" && d.binary_url == code)
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
