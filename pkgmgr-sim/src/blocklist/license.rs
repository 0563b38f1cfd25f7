//! Types of licenses, for rules that go by them and for what clients are told.
//!
//! That the real product sorts licenses into types is known, and that rules name them; which types there are is not. Here they are
//! those that people usually tell apart.

/// The types, and words that licenses of each have in their names. The first that fits counts, so that `LGPL` is not `GPL`.
const TYPES: [(&str, &[&str]); 4] = [
    (
        "weak-copyleft",
        &["lgpl", "lesser general public", "mpl", "mozilla public", "epl-", "eclipse public", "cddl", "eupl"],
    ),
    ("strong-copyleft", &["agpl", "affero", "gpl", "general public license", "cc-by-sa", "cc by-sa"]),
    ("public-domain", &["cc0", "unlicense", "public domain", "0bsd"]),
    (
        "permissive",
        &[
            "mit",
            "bsd",
            "apache",
            "isc",
            "zlib",
            "boost",
            "bsl-1.0",
            "artistic",
            "psf",
            "python software",
            "postgresql",
            "cc-by",
            "cc by",
            "hpnd",
            "ncsa",
            "unicode",
            "wtfpl",
        ],
    ),
];

/// What a license is when nothing in its name is known, or a package says none.
pub(crate) const UNKNOWN: &str = "unknown";

/// All names of types.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name).chain([UNKNOWN])
}

/// The types of a license; of one that offers a choice, each that it offers.
pub(crate) fn types(license: Option<&str>) -> Vec<&'static str> {
    let text = license.unwrap_or_default().to_lowercase();
    let mut found = Vec::new();
    for one in text.split('|').flat_map(|part| part.split(" or ")) {
        let is_it = |(_, words): &&(&str, &[&str])| words.iter().any(|word| one.contains(word));
        let kind = TYPES.iter().find(is_it).map_or(UNKNOWN, |(name, _)| name);
        if !found.contains(&kind) {
            found.push(kind);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_have_types() {
        for (license, expected) in [
            ("MIT + file LICENSE", vec!["permissive"]),
            ("GPL (>= 2)", vec!["strong-copyleft"]),
            ("LGPL-3", vec!["weak-copyleft"]),
            ("GPL-2 | MIT + file LICENSE", vec!["strong-copyleft", "permissive"]),
            ("MIT OR Apache-2.0", vec!["permissive"]),
            ("CC0", vec!["public-domain"]),
            ("file LICENSE", vec!["unknown"]),
        ] {
            assert_eq!(types(Some(license)), expected, "{license}");
        }
        assert_eq!(types(None), ["unknown"]);
    }
}
