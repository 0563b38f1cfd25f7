//! The packages whose names people really type: names, versions, dates, dependency edges and licences are facts, the
//! rest is made up. See `data/README.md`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The day (since 1970) the facts are of. Releases after it are made up.
pub(crate) const FACTS_OF: i64 = 20_781;

/// An R package.
pub(crate) struct CranEntry {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Day since 1970 on which `version` came.
    pub(crate) day: i64,
    pub(crate) license: &'static str,
    pub(crate) compiled: bool,
    pub(crate) recommended: bool,
    pub(crate) title: &'static str,
    pub(crate) depends: &'static str,
    pub(crate) imports: &'static str,
    pub(crate) linking_to: &'static str,
    pub(crate) suggests: &'static str,
    pub(crate) system_requirements: &'static str,
}

/// A Python project.
pub(crate) struct PypiEntry {
    /// As its authors write it.
    pub(crate) project: &'static str,
    /// Normalised.
    pub(crate) name: String,
    pub(crate) requires_python: &'static str,
    pub(crate) license: &'static str,
    pub(crate) title: &'static str,
    /// Paths of its modules; `=x` is a single file. Empty: one module of the project's name.
    pub(crate) modules: &'static str,
    pub(crate) scripts: &'static str,
    pub(crate) extras: &'static str,
    /// Versions and the day (since 1970) each came, in the order of versions.
    pub(crate) history: Vec<(&'static str, i64)>,
    /// Of the newest version, as in `Requires-Dist`.
    pub(crate) requires: Vec<&'static str>,
}

/// A package of Bioconductor.
pub(crate) struct BiocEntry {
    pub(crate) name: &'static str,
    /// One of [`pkg_formats::psp::BIOC_COMPONENTS`].
    pub(crate) component: &'static str,
    /// In release 3.16.
    pub(crate) version: &'static str,
    pub(crate) license: &'static str,
    pub(crate) compiled: bool,
    pub(crate) title: &'static str,
    pub(crate) imports: &'static str,
    pub(crate) linking_to: &'static str,
}

impl BiocEntry {
    /// The version's three numbers.
    pub(crate) fn numbers(&self) -> [u32; 3] {
        let mut parts = self.version.split('.').map(|part| part.parse().expect("the embedded table has three numbers"));
        std::array::from_fn(|_| parts.next().expect("the embedded table has three numbers"))
    }

    /// The broadest of the terms that Bioconductor files packages under.
    pub(crate) fn view(&self) -> &'static str {
        match self.component {
            "data/annotation" => "AnnotationData",
            "data/experiment" => "ExperimentData",
            "workflows" => "Workflow",
            "books" => "Book",
            _ => "Software",
        }
    }
}

/// Entries and their places by (normalised) name.
pub(crate) struct Entries<T> {
    pub(crate) all: Vec<T>,
    pub(crate) places: HashMap<String, usize>,
}

static CRAN: LazyLock<Entries<CranEntry>> = LazyLock::new(|| {
    let all: Vec<CranEntry> = rows(include_str!("../data/cran.tsv"))
        .map(|row| CranEntry {
            name: row[0],
            version: row[1],
            day: row[2].parse().expect("the embedded table has numbers for days"),
            license: row[3],
            compiled: row[4].contains('c'),
            recommended: row[4].contains('r'),
            title: row[5],
            depends: row[6],
            imports: row[7],
            linking_to: row[8],
            suggests: row[9],
            system_requirements: row[10],
        })
        .collect();
    let places = all.iter().enumerate().map(|(place, entry)| (entry.name.to_owned(), place)).collect();
    Entries { all, places }
});

static PYPI: LazyLock<Entries<PypiEntry>> = LazyLock::new(|| {
    let all: Vec<PypiEntry> = rows(include_str!("../data/pypi.tsv"))
        .map(|row| PypiEntry {
            project: row[0],
            name: pkg_formats::python::name::normalize(row[0]),
            requires_python: row[1],
            license: row[2],
            title: row[3],
            modules: row[4],
            scripts: row[5],
            extras: row[6],
            history: row[7]
                .split(' ')
                .filter_map(|item| item.split_once('@'))
                .map(|(version, day)| (version, day.parse().expect("the embedded table has numbers for days")))
                .collect(),
            requires: row[8].split(" | ").filter(|requirement| !requirement.is_empty()).collect(),
        })
        .collect();
    let places = all.iter().enumerate().map(|(place, entry)| (entry.name.clone(), place)).collect();
    Entries { all, places }
});

static BIOC: LazyLock<Entries<BiocEntry>> = LazyLock::new(|| {
    let all: Vec<BiocEntry> = rows(include_str!("../data/bioc.tsv"))
        .map(|row| BiocEntry {
            name: row[0],
            component: row[1],
            version: row[2],
            license: row[3],
            compiled: row[4].contains('c'),
            title: row[5],
            imports: row[6],
            linking_to: row[7],
        })
        .collect();
    let places = all.iter().enumerate().map(|(place, entry)| (entry.name.to_owned(), place)).collect();
    Entries { all, places }
});

/// The packages of Bioconductor, sorted by name.
pub(crate) fn bioc() -> &'static Entries<BiocEntry> {
    &BIOC
}

/// The R packages, sorted by name.
pub(crate) fn cran() -> &'static Entries<CranEntry> {
    &CRAN
}

/// The Python projects, sorted by name.
pub(crate) fn pypi() -> &'static Entries<PypiEntry> {
    &PYPI
}

/// Rows of a tab-separated table; cells that are missing at the end are empty.
pub(crate) fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 11]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut row = [""; 11];
        for (cell, text) in row.iter_mut().zip(line.split('\t')) {
            *cell = text;
        }
        row
    })
}

/// The name in one item of an R dependency field, such as `rlang (>= 1.0.0)`.
pub(crate) fn r_name(item: &str) -> &str {
    item.split(['(', ' ']).next().unwrap_or(item).trim()
}

/// Items of an R dependency field.
pub(crate) fn r_items(field: &'static str) -> impl Iterator<Item = &'static str> {
    field.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The normalised name a requirement is for.
pub(crate) fn py_name(requirement: &str) -> String {
    let end = requirement
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(requirement.len());
    pkg_formats::python::name::normalize(&requirement[..end])
}

/// The marker of a requirement.
pub(crate) fn py_marker(requirement: &str) -> Option<&str> {
    requirement.split_once(';').map(|(_, marker)| marker.trim())
}

/// A requirement without its version specifier: name, extras and marker.
pub(crate) fn py_unbounded(requirement: &str) -> String {
    let (what, marker) = match requirement.split_once(';') {
        Some((what, marker)) => (what, Some(marker.trim())),
        None => (requirement, None),
    };
    let end = match what.find(']') {
        Some(bracket) => bracket + 1,
        None => what.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(what.len()),
    };
    match marker {
        Some(marker) => format!("{} ; {marker}", &what[..end]),
        None => what[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use pkg_formats::r::R_BASE;

    use super::*;

    #[test]
    fn the_r_table_is_closed_and_runs_on_r_4_2() {
        let cran = cran();
        assert!(cran.all.len() >= 300, "{}", cran.all.len());
        assert_eq!(cran.places.len(), cran.all.len());
        for entry in &cran.all {
            assert!(pkg_formats::r::is_package_name(entry.name), "{}", entry.name);
            assert!(!R_BASE.contains(&entry.name), "{} is part of R", entry.name);
            for field in [entry.depends, entry.imports, entry.linking_to, entry.suggests] {
                for dependency in pkg_formats::r::deps::parse(field).unwrap() {
                    let name = dependency.name.as_str();
                    if name == "R" {
                        let own: pkg_formats::r::RVersion = "4.2.2".parse().unwrap();
                        assert!(dependency.accepts(&own), "{} needs {field}", entry.name);
                    } else if !R_BASE.contains(&name) {
                        let place = cran.places.get(name).unwrap_or_else(|| panic!("{} needs {name}", entry.name));
                        let newest: pkg_formats::r::RVersion = cran.all[*place].version.parse().unwrap();
                        let suggested = r_items(entry.suggests).any(|item| r_name(item) == name);
                        assert!(
                            suggested || dependency.accepts(&newest),
                            "{}: {dependency:?} but {newest}",
                            entry.name
                        );
                    }
                }
            }
        }
        for recommended in ["Matrix", "MASS", "lattice", "nlme", "survival", "mgcv"] {
            assert!(cran.all[cran.places[recommended]].recommended, "{recommended}");
        }
    }

    #[test]
    fn the_table_of_bioconductor_needs_itself_and_cran_only() {
        let bioc = bioc();
        assert!(bioc.all.len() >= 100, "{}", bioc.all.len());
        for component in pkg_formats::psp::BIOC_COMPONENTS {
            assert!(bioc.all.iter().any(|entry| entry.component == component), "{component} is empty");
        }
        for entry in &bioc.all {
            assert!(pkg_formats::r::is_package_name(entry.name), "{}", entry.name);
            assert!(pkg_formats::psp::BIOC_COMPONENTS.contains(&entry.component), "{}", entry.name);
            assert!(!cran().places.contains_key(entry.name), "{} is in CRAN", entry.name);
            // At its first day in the release.
            let [x, y, _] = entry.numbers();
            for field in [entry.imports, entry.linking_to] {
                for dependency in pkg_formats::r::deps::parse(field).unwrap() {
                    let name = dependency.name.as_str();
                    match bioc.places.get(name).map(|place| bioc.all[*place].numbers()) {
                        Some([x, y, _]) => {
                            let first = format!("{x}.{y}.0").parse().unwrap();
                            assert!(dependency.accepts(&first), "{}: {dependency:?}", entry.name);
                        }
                        None => assert!(
                            cran().places.contains_key(name) || R_BASE.contains(&name),
                            "{} {x}.{y} needs {name}",
                            entry.name
                        ),
                    }
                }
            }
        }
    }

    #[test]
    fn the_python_table_is_closed_and_its_newest_versions_can_be_satisfied() {
        let pypi = pypi();
        assert!(pypi.all.len() >= 400, "{}", pypi.all.len());
        assert_eq!(pypi.places.len(), pypi.all.len());
        let versions: Vec<Vec<pep440_rs::Version>> = pypi
            .all
            .iter()
            .map(|entry| entry.history.iter().map(|(version, _)| version.parse().unwrap()).collect())
            .collect();
        for (entry, own) in pypi.all.iter().zip(&versions) {
            assert!(!own.is_empty(), "{} has no version", entry.name);
            assert!(own.is_sorted(), "{}", entry.name);
            assert!(entry.history.iter().all(|(_, day)| *day <= FACTS_OF), "{}", entry.name);
            for requirement in &entry.requires {
                let parsed = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(requirement)
                    .unwrap_or_else(|error| panic!("{}: {requirement}: {error}", entry.name));
                let name = py_name(requirement);
                assert_eq!(name, parsed.name.as_ref(), "{requirement}");
                let place = pypi.places.get(&name).unwrap_or_else(|| panic!("{} needs {name}", entry.name));
                if let Some(pep508_rs::VersionOrUrl::VersionSpecifier(wanted)) = &parsed.version_or_url {
                    assert!(versions[*place].iter().any(|v| wanted.contains(v)), "{}: {requirement}", entry.name);
                }
                let free = py_unbounded(requirement);
                let free = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(&free).unwrap();
                assert!(free.version_or_url.is_none());
                assert_eq!((free.name, free.extras, free.marker), (parsed.name, parsed.extras, parsed.marker));
            }
        }
    }

    #[test]
    fn the_frameworks_are_there() {
        for name in [
            "shiny",
            "plumber",
            "rmarkdown",
            "quarto",
            "knitr",
            "ggplot2",
            "tidyverse",
            "data.table",
            "renv",
            "pak",
            "remotes",
            "rsconnect",
        ] {
            assert!(cran().places.contains_key(name), "{name}");
        }
        for name in [
            "flask",
            "fastapi",
            "dash",
            "streamlit",
            "bokeh",
            "gradio",
            "panel",
            "voila",
            "jupyter",
            "shiny",
            "uvicorn",
            "gunicorn",
            "rsconnect-python",
            "posit-sdk",
            "pins",
            "vetiver",
            "plotnine",
            "great-tables",
            "numpy",
            "requests",
            "uv",
            "pip",
        ] {
            assert!(pypi().places.contains_key(name), "{name}");
        }
    }
}
