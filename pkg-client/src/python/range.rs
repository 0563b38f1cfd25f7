//! PEP 440 specifiers as sets of versions, which is what the solver computes with.
//!
//! A set is an interval in the order of versions, so the exceptions of PEP 440 (`<1.0` takes no pre-release of 1.0, `>1.0`
//! no post-release, `==1.0` takes `1.0+local`) become bounds at the neighbours of a version. Post-releases and
//! pre-releases that are at the same time development releases (`1.0.post1.dev0`) follow the plain order.

use pep440_rs::{Operator, Prerelease, Version, VersionSpecifier, VersionSpecifiers};
use pubgrub::Ranges;

/// The versions that satisfy every one of the specifiers.
pub(crate) fn of(specifiers: &VersionSpecifiers) -> Ranges<Version> {
    specifiers.iter().map(of_one).fold(Ranges::full(), |all, one| all.intersection(&one))
}

fn of_one(specifier: &VersionSpecifier) -> Ranges<Version> {
    let v = specifier.version();
    match specifier.operator() {
        Operator::Equal => equal(v),
        Operator::ExactEqual => Ranges::singleton(v.clone()),
        Operator::NotEqual => equal(v).complement(),
        Operator::EqualStar => prefix(v),
        Operator::NotEqualStar => prefix(v).complement(),
        Operator::TildeEqual => {
            let series = v.release().split_last().map_or(v.release(), |(_, series)| series);
            let series = Version::new(series).with_epoch(v.epoch());
            Ranges::higher_than(v.clone()).intersection(&prefix(&series))
        }
        Operator::GreaterThanEqual => Ranges::higher_than(v.clone()),
        Operator::LessThanEqual => Ranges::strictly_lower_than(after_locals(v)),
        Operator::LessThan if v.any_prerelease() => Ranges::strictly_lower_than(v.clone()),
        Operator::LessThan => {
            let base = base(v);
            Ranges::strictly_lower_than(base.clone().with_dev(Some(0))).union(&between(base, v.clone()))
        }
        Operator::GreaterThan if v.is_post() => Ranges::higher_than(after_locals(v)),
        Operator::GreaterThan => {
            let base = base(v);
            let first_post = base.clone().with_post(Some(0)).with_dev(Some(0));
            between(after_locals(v), first_post).union(&Ranges::strictly_higher_than(base.with_max(Some(0))))
        }
    }
}

/// From `low` on, before `high`; nothing when they are not in this order.
fn between(low: Version, high: Version) -> Ranges<Version> {
    if low < high { Ranges::between(low, high) } else { Ranges::empty() }
}

/// `==v`: a version without a local part stands for all its local builds.
fn equal(v: &Version) -> Ranges<Version> {
    if v.is_local() { Ranges::singleton(v.clone()) } else { between(v.clone(), after_locals(v)) }
}

/// `==v.*`.
fn prefix(v: &Version) -> Ranges<Version> {
    let next = if let Some(post) = v.post() {
        v.clone().with_post(Some(post.saturating_add(1)))
    } else if let Some(Prerelease { kind, number }) = v.pre() {
        v.clone().with_pre(Some(Prerelease { kind, number: number.saturating_add(1) }))
    } else {
        let mut release = v.release().to_vec();
        if let Some(last) = release.last_mut() {
            *last = last.saturating_add(1);
        }
        v.clone().with_release(release)
    };
    between(v.clone().with_dev(Some(0)), next.with_dev(Some(0)))
}

/// The first version after `v` and all its local builds.
fn after_locals(v: &Version) -> Version {
    let v = v.clone().without_local();
    match (v.dev(), v.post()) {
        (Some(dev), _) => v.with_dev(Some(dev.saturating_add(1))),
        (None, post) => v.with_post(Some(post.map_or(0, |post| post.saturating_add(1)))).with_dev(Some(0)),
    }
}

/// Epoch and release alone.
fn base(v: &Version) -> Version {
    v.only_release().with_epoch(v.epoch())
}

/// True when one of the specifiers names a pre-release, which asks for pre-releases of that package.
pub(crate) fn asks_for_prereleases(specifiers: &VersionSpecifiers) -> bool {
    specifiers.iter().any(|s| s.any_prerelease() && *s.operator() != Operator::NotEqual)
}

/// The version that the specifiers pin with `==` or `===`, if they do.
pub(crate) fn pinned(specifiers: &VersionSpecifiers) -> Option<&Version> {
    specifiers.iter().find(|s| matches!(s.operator(), Operator::Equal | Operator::ExactEqual)).map(|s| s.version())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Ranges<Version> {
        of(&VersionSpecifiers::from_str(text).unwrap())
    }

    #[test]
    fn exceptions_of_pep_440() {
        for (specifier, version, expected) in [
            ("==1.0", "1.0+cpu", true),
            ("==1.0+cpu", "1.0", false),
            ("==1.0", "1.0.0", true),
            ("==1.0", "1.0.post1", false),
            ("!=1.0", "1.0+cpu", false),
            ("<=1.0", "1.0+cpu", true),
            ("<1.0", "1.0rc1", false),
            ("<1.0", "0.9rc1", true),
            ("<1.0rc2", "1.0rc1", true),
            ("<1.0.post1", "1.0", true),
            ("<1.0.post1", "1.0rc1", false),
            (">1.0", "1.0.post1", false),
            (">1.0", "1.0+cpu", false),
            (">1.0", "1.0.1", true),
            (">1.0.post1", "1.0.post2", true),
            (">1.0a1", "1.0", true),
            ("~=1.4.5", "1.4.9", true),
            ("~=1.4.5", "1.5", false),
            ("~=1.4", "1.9", true),
            ("==1.4.*", "1.4", true),
            ("==1.4.*", "1.4.2.post3", true),
            ("==1.4.*", "1.40", false),
            ("==1.4.*", "1.4rc1", true),
            (">=1!1.0", "2.0", false),
        ] {
            let version = Version::from_str(version).unwrap();
            assert_eq!(set(specifier).contains(&version), expected, "{version} in {specifier}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let max = u64::MAX;
        for specifier in [format!("=={max}.*"), format!("~=1.{max}"), format!("==1.post{max}"), format!(">1.dev{max}")]
        {
            let _ = set(&specifier);
        }
    }

    /// What the reference implementation of PEP 440 says, one rule at a time.
    fn oracle(op: &str, spec: &Version, v: &Version) -> bool {
        let public = v.clone().without_local();
        let same_base = base(spec) == base(v);
        match op {
            "==" => public == *spec,
            "!=" => public != *spec,
            "<=" => public <= *spec,
            ">=" => public >= *spec,
            "<" => v < spec && !(!spec.any_prerelease() && v.any_prerelease() && same_base),
            ">" => v > spec && !(!spec.is_post() && v.is_post() && same_base) && !(v.is_local() && same_base),
            _ => unreachable!("the strategy makes no other operator"),
        }
    }

    fn version() -> impl Strategy<Value = String> {
        let suffix = prop_oneof![
            Just(String::new()),
            (0..3u8).prop_map(|n| format!("a{n}")),
            (0..3u8).prop_map(|n| format!("rc{n}")),
            (0..3u8).prop_map(|n| format!(".post{n}")),
            (0..3u8).prop_map(|n| format!(".dev{n}")),
        ];
        (prop::collection::vec(0..3u8, 1..4), suffix).prop_map(|(release, suffix)| {
            let release: Vec<_> = release.iter().map(ToString::to_string).collect();
            format!("{}{suffix}", release.join("."))
        })
    }

    proptest! {
        #[test]
        fn sets_agree_with_the_rules(op in prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), spec in version(), v in version()) {
            let specifier = set(&format!("{op}{spec}"));
            let (spec, v) = (Version::from_str(&spec).unwrap(), Version::from_str(&v).unwrap());
            prop_assert_eq!(specifier.contains(&v), oracle(op, &spec, &v), "{} in {}{}", v, op, spec);
        }
    }
}
