//! The Python environment to resolve for: its markers (PEP 508) and the wheel tags that it accepts (PEP 425, 600).

use std::str::FromStr;

use pep440_rs::Version;
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};

use crate::Error;

/// A CPython on Linux. Nothing is asked from the machine that runs the resolver.
#[derive(Clone, Debug)]
pub struct Target {
    python: Version,
    minor: u32,
    machine: String,
    /// The `N` of glibc 2.N.
    glibc: u32,
    markers: MarkerEnvironment,
}

/// How well a wheel fits: lower is better.
pub(crate) type Rank = (u8, u32, u32);

impl Target {
    /// CPython `python` (`3.11` or `3.11.4`) on a Linux with glibc 2.35, on `machine` (`x86_64`, `aarch64`).
    ///
    /// # Errors
    /// [`Error::Target`] when `python` is not a version of Python 3.
    pub fn linux(python: &str, machine: &str) -> Result<Self, Error> {
        let bad = || Error::Target { python: python.to_owned() };
        let version = Version::from_str(python).map_err(|_| bad())?;
        let &[3, minor, ref rest @ ..] = version.release() else { return Err(bad()) };
        let minor = u32::try_from(minor).map_err(|_| bad())?;
        let full = if rest.is_empty() { format!("{version}.0") } else { version.to_string() };
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine: machine,
            platform_python_implementation: "CPython",
            platform_release: "5.15.0",
            platform_system: "Linux",
            platform_version: "#1 SMP",
            python_full_version: &full,
            python_version: &format!("3.{minor}"),
            sys_platform: "linux",
        })
        .map_err(|_| bad())?;
        let python = Version::from_str(&full).map_err(|_| bad())?;
        Ok(Self { python, minor, machine: machine.to_owned(), glibc: 35, markers })
    }

    /// The full version of Python, as `3.11.4`.
    #[must_use]
    pub fn python(&self) -> &Version {
        &self.python
    }

    /// What markers such as `python_version < "3.9"` are compared with.
    #[must_use]
    pub fn markers(&self) -> &MarkerEnvironment {
        &self.markers
    }

    /// The rank of one wheel tag, `None` when this Python cannot use it. The order is pip's: the exact interpreter first,
    /// then the stable ABI, then pure Python; newer platforms before older ones.
    pub(crate) fn rank(&self, python: &str, abi: &str, platform: &str) -> Option<Rank> {
        let own = format!("cp3{}", self.minor);
        if platform == "any" {
            return match (python, abi) {
                (p, "none") if p == own => Some((5, 0, 0)),
                (p, "none") => Some((6, self.pure_python(p)?, 0)),
                _ => None,
            };
        }
        let platform = self.platform(platform)?;
        match (python, abi) {
            (p, a) if p == own && a == own => Some((0, 0, platform)),
            (p, "abi3") => {
                let minor: u32 = p.strip_prefix("cp3")?.parse().ok()?;
                (2..=self.minor).contains(&minor).then(|| (1, self.minor - minor, platform))
            }
            (p, "none") if p == own => Some((2, 0, platform)),
            (p, "none") => Some((3, self.pure_python(p)?, platform)),
            _ => None,
        }
    }

    /// `py311` before `py3` before `py310` and older.
    fn pure_python(&self, tag: &str) -> Option<u32> {
        let minor = tag.strip_prefix("py3")?;
        if minor.is_empty() {
            return Some(1);
        }
        let minor: u32 = minor.parse().ok()?;
        match self.minor.checked_sub(minor)? {
            0 => Some(0),
            older => Some(1 + older),
        }
    }

    fn platform(&self, tag: &str) -> Option<u32> {
        let tag = tag.strip_suffix(&self.machine)?.strip_suffix('_')?;
        let glibc = match tag {
            "linux" => return Some(1000),
            "manylinux1" => 5,
            "manylinux2010" => 12,
            "manylinux2014" => 17,
            other => other.strip_prefix("manylinux_2_")?.parse().ok()?,
        };
        self.glibc.checked_sub(glibc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_ranked_as_pip_ranks_them() {
        let target = Target::linux("3.11.4", "x86_64").unwrap();
        let order = [
            ("cp311", "cp311", "manylinux_2_34_x86_64"),
            ("cp311", "cp311", "manylinux2014_x86_64"),
            ("cp311", "cp311", "linux_x86_64"),
            ("cp39", "abi3", "manylinux_2_28_x86_64"),
            ("py3", "none", "manylinux1_x86_64"),
            ("py311", "none", "any"),
            ("py3", "none", "any"),
            ("py39", "none", "any"),
        ];
        let ranks: Vec<_> = order.iter().map(|(p, a, f)| target.rank(p, a, f).unwrap()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        for (p, a, f) in [
            ("cp312", "cp312", "manylinux2014_x86_64"),
            ("cp312", "abi3", "manylinux2014_x86_64"),
            ("cp311", "cp311", "manylinux2014_aarch64"),
            ("cp311", "cp311", "manylinux_2_39_x86_64"),
            ("cp311", "cp311", "musllinux_1_2_x86_64"),
            ("cp311", "cp311", "win_amd64"),
            ("py2", "none", "any"),
            ("py312", "none", "any"),
        ] {
            assert_eq!(target.rank(p, a, f), None, "{p}-{a}-{f}");
        }
    }

    #[test]
    fn markers_see_the_target() {
        let target = Target::linux("3.11", "aarch64").unwrap();
        assert_eq!(target.python().to_string(), "3.11.0");
        for (requirement, expected) in [
            ("x; python_version < '3.12' and sys_platform == 'linux'", true),
            ("x; platform_machine == 'x86_64'", false),
            ("x; python_full_version >= '3.11.1'", false),
            ("x; os_name == 'nt'", false),
        ] {
            let requirement = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(requirement).unwrap();
            assert_eq!(requirement.evaluate_markers(target.markers(), &[]), expected, "{requirement}");
        }
        for bad in ["2.7", "3", "three", ""] {
            assert!(Target::linux(bad, "x86_64").is_err(), "{bad}");
        }
    }
}
