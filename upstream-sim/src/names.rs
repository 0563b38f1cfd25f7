//! Made-up package names: two words, and a number when the pairs run out.

use crate::draw::Draw;

const FIRST: [&str; 64] = [
    "amber", "ancient", "arctic", "autumn", "azure", "bitter", "blazing", "bold", "brave", "brisk", "bronze", "calm",
    "candid", "cedar", "clever", "cobalt", "copper", "coral", "crimson", "crystal", "curious", "dapper", "dusty",
    "eager", "early", "ebony", "elder", "emerald", "faint", "fallow", "fern", "fleet", "floral", "frosty", "gentle",
    "gilded", "glassy", "golden", "granite", "hazel", "hidden", "humble", "indigo", "ivory", "jolly", "keen", "lively",
    "lucid", "lunar", "mellow", "misty", "noble", "olive", "opal", "patient", "placid", "quiet", "rustic", "silent",
    "silver", "solar", "spry", "velvet", "woven",
];

const SECOND: [&str; 64] = [
    "acorn", "anchor", "badger", "barrel", "beacon", "bishop", "bobbin", "canyon", "castle", "compass", "cricket",
    "dolphin", "drum", "ember", "falcon", "ferret", "fjord", "gander", "garden", "glacier", "hammer", "harbor",
    "heron", "island", "jackdaw", "juniper", "kettle", "ladder", "lantern", "ledger", "lichen", "magpie", "mallet",
    "marble", "meadow", "mortar", "nettle", "orchard", "osprey", "otter", "parcel", "pebble", "pepper", "pigeon",
    "plover", "quarry", "rafter", "raven", "river", "saddle", "sparrow", "spindle", "spruce", "starling", "tangle",
    "thimble", "thistle", "timber", "tundra", "valley", "walnut", "weaver", "willow", "wren",
];

/// The words of made-up package `index`: no two indices give the same.
fn words(index: u32) -> (&'static str, &'static str, Option<u32>) {
    // An odd factor permutes the 4,096 pairs, so that neighbours in rank are not neighbours in the alphabet.
    let pair = (index % 4096).wrapping_mul(2_654_435_761) % 4096;
    let number = index / 4096;
    (FIRST[(pair / 64) as usize], SECOND[(pair % 64) as usize], (number > 0).then_some(number + 1))
}

/// A CRAN name, such as `quietLedger`, `dusty.wren2` or `solarpebble`.
pub(crate) fn cran(seed: u64, index: u32) -> String {
    let (first, second, number) = words(index);
    let number = number.map(|n| n.to_string()).unwrap_or_default();
    // The spelling is drawn by the words, not the index, so that one pair has one spelling and names stay distinct.
    match Draw::new(seed, "cran", &format!("{first}{second}{number}"), "spelling").below(4) {
        0 => format!("{first}{second}{number}"),
        1 => format!("{first}.{second}{number}"),
        _ => format!("{first}{}{}{number}", &second[..1].to_ascii_uppercase(), &second[1..]),
    }
}

/// A PyPI project name as its authors write it, such as `quiet-ledger`, `Dusty_Wren.2` or `solar.pebble`.
pub(crate) fn pypi(seed: u64, index: u32) -> String {
    let (first, second, number) = words(index);
    let number = number.map(|n| format!("-{n}")).unwrap_or_default();
    let plain = format!("{first}-{second}{number}");
    match Draw::new(seed, "pypi", &plain, "spelling").below(10) {
        0 => plain.replace('-', "_"),
        1 => plain.replace('-', "."),
        2 => {
            let capital = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
            format!("{}_{}{}", capital(first), capital(second), number.replace('-', "."))
        }
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_well_formed() {
        let cran: HashSet<String> = (0..30_000).map(|i| cran(1, i).to_ascii_lowercase().replace('.', "")).collect();
        assert_eq!(cran.len(), 30_000);
        assert!((0..30_000).all(|i| pkg_formats::r::is_package_name(&super::cran(1, i))));
        let pypi: HashSet<String> = (0..110_000).map(|i| pkg_formats::python::name::normalize(&pypi(1, i))).collect();
        assert_eq!(pypi.len(), 110_000);
    }
}
