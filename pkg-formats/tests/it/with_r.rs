//! What R itself makes of what is written.

use std::fs;
use std::path::Path;
use std::process::Command;

use md5::{Digest, Md5};
use pkg_formats::archive::{Files, Limits};
use pkg_formats::dcf::{self, Record};
use pkg_formats::r::binary::{BinarySpec, Built, package_rds};
use pkg_formats::r::package::rewrite_description;
use pkg_formats::r::rds::{self, Data, Value};
use pkg_formats::r::source::{SourceSpec, description};
use pkg_formats::r::{RVersion, index};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::tools::{available, lay, run, serve};

/// Runs R code in a directory and gives what it prints.
fn r(directory: &Path, code: &str) -> String {
    let mut command = Command::new("R");
    run(command
        .args(["--vanilla", "--no-echo", "-e", code])
        .current_dir(directory)
        .env("LANG", "C.UTF-8")
        .env("no_proxy", "127.0.0.1"))
}

fn source(name: &str, version: &str, imports: Option<&str>, code: &str) -> SourceSpec {
    let mut description = description(name, version, "A Package for Tests");
    if let Some(imports) = imports {
        description.set("Imports", imports);
    }
    SourceSpec {
        description,
        files: Files::from([
            ("NAMESPACE".to_owned(), "exportPattern(\"^[a-z]\")\n".into()),
            ("R/code.R".to_owned(), code.into()),
        ]),
    }
}

/// The R that runs here, as packages would be built for its minor version.
fn built_here(directory: &Path) -> Built {
    let minor = r(directory, "cat(R.version$major, sub('[.].*', '', R.version$minor), sep = '.')");
    let r: RVersion = format!("{minor}.0").parse().expect("R tells its version");
    Built { r, platform: String::new(), time: "2026-01-01 00:00:00 UTC".to_owned(), os: "unix" }
}

#[test]
fn r_reads_all_three_indexes_alike() {
    if !available("R") {
        return;
    }
    let records: Vec<Record> = [
        &[("Package", "alpha"), ("Version", "1.2-3"), ("Depends", "R (>= 3.5), methods"), ("License", "MIT")][..],
        &[("Package", "beta"), ("Version", "1.0.0.9000"), ("Imports", "alpha (>= 1.0),\nutils"), ("Path", "older")],
        &[("Package", "gamma"), ("Version", "0.1"), ("Title", "Größe — 中"), ("NeedsCompilation", "yes")],
    ]
    .iter()
    .map(|fields| fields.iter().copied().collect())
    .collect();
    let temp = tempfile::tempdir().unwrap();
    lay(
        temp.path(),
        &[
            ("plain/src/contrib/PACKAGES", index::packages(&records).as_bytes()),
            ("gz/src/contrib/PACKAGES.gz", &index::packages_gz(&records)),
            ("rds/src/contrib/PACKAGES.rds", &index::packages_rds(&records)),
        ],
    );
    let code = r#"
        index <- function(form) {
          url <- paste0(base, form, "/src/contrib")
          found <- available.packages(url, fields = "Title", filters = list())
          found[, "Repository"] <- sub("^.*/contrib", "contrib", found[, "Repository"])
          found[, "Imports"] <- gsub("[[:space:]]+", " ", found[, "Imports"])
          found
        }
        plain <- index("plain")
        stopifnot(identical(plain, index("gz")), identical(plain, index("rds")))
        for (field in c("Package", "Version", "Depends", "Imports", "Title", "NeedsCompilation", "Repository"))
          cat(field, plain[, field], sep = "|", fill = 1000)
        "#;
    // From a directory R reads the plain text only.
    let shown = r(temp.path(), &format!("base <- '{}'; {code}", serve(temp.path())));
    assert_eq!(
        shown,
        "Package|alpha|beta|gamma\nVersion|1.2-3|1.0.0.9000|0.1\nDepends|R (>= 3.5), methods|NA|NA\n\
         Imports|NA|alpha (>= 1.0), utils|NA\nTitle|NA|NA|Größe — 中\nNeedsCompilation|NA|NA|yes\n\
         Repository|contrib|contrib/older|contrib\n"
    );
}

#[test]
fn r_reads_the_values_that_are_written_and_the_other_way_round() {
    if !available("R") {
        return;
    }
    let text = Value::from(Data::Strings(vec![Some("a".into()), None, Some("größe 中".into())]));
    let value = Value::named_list([
        ("text", text.with_names(["x", "y", "z"])),
        ("flags", Data::Logical(vec![Some(true), None, Some(false)]).into()),
        ("numbers", Data::Integer(vec![Some(-1), None, Some(2)]).into()),
        ("reals", Data::Real(vec![0.5, -1e300]).into()),
        ("nothing", Value::NULL),
        (
            "object",
            Value::from(Data::List(vec![Value::integers([1, 2, 3])]))
                .with_class(["package_version", "numeric_version"]),
        ),
        ("matrix", Value::matrix(vec![Some("1".into()), Some("2".into()), None, Some("4".into())], 2, &["a", "b"])),
    ]);
    let temp = tempfile::tempdir().unwrap();
    lay(temp.path(), &[("ours.rds", &value.to_bytes())]);
    r(
        temp.path(),
        r#"
        expected <- list(text = c(x = "a", y = NA, z = "gr\u00f6\u00dfe \u4e2d"), flags = c(TRUE, NA, FALSE),
                         numbers = c(-1L, NA, 2L), reals = c(0.5, -1e300), nothing = NULL,
                         object = package_version("1.2.3"),
                         matrix = matrix(c("1", "2", NA, "4"), 2, dimnames = list(NULL, c("a", "b"))))
        ours <- readRDS("ours.rds")
        stopifnot(identical(ours, expected), is.object(ours$object), ours$object < "1.2.4")
        for (version in 2:3) saveRDS(expected, paste0("theirs", version, ".rds"), version = version, compress = FALSE)
        "#,
    );
    for version in [2, 3] {
        let theirs = fs::read(temp.path().join(format!("theirs{version}.rds"))).unwrap();
        assert_eq!(rds::read(&theirs).unwrap(), value, "format {version}");
    }
}

#[test]
fn r_makes_the_same_package_metadata() {
    if !available("R") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let built = built_here(temp.path());
    let mut record = description("tinyr", "0.1-2", "A Tiny Package");
    record.set("Depends", "R (>= 3.5), base, methods, R (< 99.0), stats (>= 2.0.0)");
    record.set("Imports", "utils,\ntools (> 1.0-1)");
    record.set("Built", built.field());
    let value = package_rds(&record, &built).unwrap();
    lay(
        temp.path(),
        &[("package.rds", &value.to_bytes()), ("DESCRIPTION", dcf::write(std::slice::from_ref(&record)).as_bytes())],
    );
    r(
        temp.path(),
        r#"
        description <- read.dcf("DESCRIPTION")[1, ]
        theirs <- tools:::.split_description(description)
        ours <- readRDS("package.rds")
        comparison <- all.equal(ours, theirs)
        if (!isTRUE(comparison) || !identical(ours, theirs)) { str(ours); str(theirs); stop(comparison) }
        "#,
    );
}

#[test]
fn r_reads_and_writes_the_same_control_format() {
    if !available("R") {
        return;
    }
    let record: Record = [
        ("Package", "a"),
        ("Depends", "R (>= 3.5),\nmethods"),
        ("Description", "First line:\nsecond.\n\nAfter an empty line, größer."),
        ("Empty", ""),
    ]
    .into_iter()
    .collect();
    let temp = tempfile::tempdir().unwrap();
    lay(temp.path(), &[("ours.dcf", dcf::write(&[record.clone(), record]).as_bytes())]);
    let shown = r(
        temp.path(),
        r#"
        ours <- read.dcf("ours.dcf")
        stopifnot(nrow(ours) == 2, identical(ours[1, ], ours[2, ]))
        cat(deparse(unname(ours[1, ]), width.cutoff = 500), "\n")
        long <- paste(rep("words that are folded", 20), collapse = " ")
        write.dcf(list(Package = "b", Description = long), "theirs.dcf")
        "#,
    );
    assert_eq!(
        shown.trim(),
        r#"c("a", "R (>= 3.5),\nmethods", "First line:\nsecond.\n\nAfter an empty line, größer.", "")"#
    );
    let theirs = dcf::parse_one(&fs::read_to_string(temp.path().join("theirs.dcf")).unwrap()).unwrap();
    let words: Vec<_> = theirs.get("Description").unwrap().split_whitespace().collect();
    assert_eq!(words.len(), 80);
}

/// Texts that nobody writes, from a fixed seed: R and this reader agree which are malformed, and on every value.
#[test]
fn r_reads_odd_control_files_alike() {
    if !available("R") {
        return;
    }
    let line = "(A|Bc|D e|#|)(:|: |:\t)[x.:] ?|[ \t]{1,3}[xy.:]{0,2} ?|[ \t]?|\\.|no colon|A: 1";
    let text = proptest::collection::vec(line, 1..7).prop_map(|lines| lines.join("\n") + "\n");
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..2000).map(|_| text.new_tree(&mut runner).unwrap().current()).collect();
    let temp = tempfile::tempdir().unwrap();
    for (n, text) in texts.iter().enumerate() {
        lay(temp.path(), &[(&format!("{n}.dcf"), text.as_bytes())]);
    }
    r(
        temp.path(),
        r#"
        one <- function(n) tryCatch(read.dcf(paste0(n, ".dcf")), error = function(e) NULL)
        saveRDS(lapply(seq_len(2000) - 1, one), "all.rds", compress = FALSE, version = 2)
        "#,
    );
    let theirs = rds::read(&fs::read(temp.path().join("all.rds")).unwrap()).unwrap();
    let Data::List(theirs) = theirs.data else { panic!("not a list") };
    let mut malformed = 0;
    for (text, theirs) in texts.iter().zip(theirs) {
        let ours = dcf::parse(text);
        let Some(cells) = theirs.as_strings() else {
            malformed += 1;
            assert!(ours.is_err(), "R refuses {text:?}, we read {ours:?}");
            continue;
        };
        let ours = ours.unwrap_or_else(|error| panic!("R reads {text:?} as {cells:?}, we say: {error}"));
        let Some(Value { data: Data::List(names), .. }) = theirs.attribute("dimnames") else { panic!("no dimnames") };
        let columns = names[1].as_strings().unwrap_or_default();
        assert_eq!(ours.len() * columns.len(), cells.len(), "{text:?}: {ours:?}, {cells:?}");
        for (place, cell) in cells.iter().enumerate() {
            let record = &ours[place % ours.len()];
            let name = columns[place / ours.len()].as_deref().unwrap();
            let cell = cell.as_deref().map(|cell| cell.trim_matches('\n'));
            assert_eq!(record.get(name), cell, "{name} in {text:?}");
        }
    }
    assert!((200..1800).contains(&malformed), "{malformed} of 2000 are malformed");
}

#[test]
fn r_orders_versions_alike() {
    if !available("R") {
        return;
    }
    let texts = [
        "0.0.1",
        "0.9-12",
        "0.9.12",
        "0.9.13",
        "1.0",
        "1.0.0",
        "1.0.0.9000",
        "1.0-1",
        "1.2",
        "1.10",
        "1.02",
        "10.1",
        "2.0",
    ];
    let temp = tempfile::tempdir().unwrap();
    let code = format!(
        "v <- package_version(c({})); for (a in seq_along(v)) for (b in seq_along(v)) cat(sign(compareVersion(as.character(v[[a]]), as.character(v[[b]]))), '')",
        texts.map(|text| format!("'{text}'")).join(", ")
    );
    let shown = r(temp.path(), &code);
    let mut theirs = shown.split_whitespace().map(|sign| sign.parse::<i32>().unwrap());
    for a in texts {
        for b in texts {
            let ours = a.parse::<RVersion>().unwrap().cmp(&b.parse().unwrap()) as i32;
            assert_eq!(theirs.next(), Some(ours), "{a} {b}");
        }
    }
}

#[test]
fn r_installs_source_packages_with_their_dependencies() {
    if !available("R") {
        return;
    }
    let base = source("tinybase", "1.0", None, "base_answer <- function() 40\n");
    let top =
        source("tinytop", "0.2-1", Some("tinybase (>= 1.0)"), "top_answer <- function() tinybase::base_answer() + 2\n");
    let records = [index::record(&base.description), index::record(&top.description)];
    let temp = tempfile::tempdir().unwrap();
    lay(
        temp.path(),
        &[
            ("repo/src/contrib/PACKAGES", index::packages(&records).as_bytes()),
            ("repo/src/contrib/tinybase_1.0.tar.gz", &base.tar_gz().unwrap()),
            ("repo/src/contrib/tinytop_0.2-1.tar.gz", &top.tar_gz().unwrap()),
            ("library/.keep", b""),
        ],
    );
    let shown = r(
        temp.path(),
        r#"
        .libPaths("library")
        install.packages("tinytop", repos = paste0("file://", getwd(), "/repo"), type = "source", quiet = TRUE)
        library(tinytop)
        cat(top_answer(), format(packageVersion("tinytop")), packageDescription("tinytop")$License)
        "#,
    );
    assert_eq!(shown, "42 0.2.1 MIT");
}

#[test]
fn r_installs_linux_binary_packages() {
    if !available("R") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let binary = |name: &str, imports: &str, code: &str| {
        let spec = source(name, "1.0", Some(imports), code);
        let binary = BinarySpec {
            description: spec.description,
            namespace: "importFrom(utils, head)\nexport(answer)\n".to_owned(),
            code: code.to_owned(),
            files: Files::from([("extdata/data.csv".to_owned(), "a,b\n1,2\n".into())]),
            built: built_here(temp.path()),
        };
        binary.tar_gz().unwrap()
    };
    lay(
        temp.path(),
        &[
            (
                "repo/src/contrib/PACKAGES",
                b"Package: lower\nVersion: 1.0\n\nPackage: upper\nVersion: 1.0\nImports: lower\n",
            ),
            ("repo/src/contrib/lower_1.0.tar.gz", &binary("lower", "utils", "answer <- function() head(41:50, 1)\n")),
            (
                "repo/src/contrib/upper_1.0.tar.gz",
                &binary("upper", "lower, utils", "answer <- function() lower::answer() + 1\n"),
            ),
            ("library/.keep", b""),
        ],
    );
    let shown = r(
        temp.path(),
        r#"
        options(warn = 2)
        .libPaths("library")
        install.packages("upper", repos = paste0("file://", getwd(), "/repo"), type = "source", quiet = TRUE)
        library(upper)
        cat(answer(), file.exists(system.file("extdata", "data.csv", package = "upper")),
            packageDescription("upper")$Built, sep = "|")
        "#,
    );
    assert!(shown.starts_with("42|TRUE|R "), "{shown}");

    let mut command = Command::new("R");
    command.args(["CMD", "INSTALL", "-l", "library", "repo/src/contrib/lower_1.0.tar.gz"]).current_dir(temp.path());
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.contains("installing *binary* package"), "{log}");
}

#[test]
fn r_finds_restamped_packages_sound() {
    if !available("R") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let spec = source("stamped", "1.0", Some("utils"), "answer <- function() 42\n");
    let mut with_checksums = spec.clone();
    let digest = |bytes: &[u8]| hex::encode(Md5::digest(bytes));
    let checksums = format!(
        "{} *DESCRIPTION\n{} *R/code.R\n",
        digest(dcf::write(std::slice::from_ref(&spec.description)).as_bytes()),
        digest(&spec.files["R/code.R"].bytes)
    );
    with_checksums.files.insert("MD5".to_owned(), checksums.into());
    let binary = BinarySpec {
        description: spec.description,
        namespace: "export(answer)\n".to_owned(),
        code: "answer <- function() 42\n".to_owned(),
        files: Files::new(),
        built: built_here(temp.path()),
    };
    let stamp = |package: &[u8]| {
        let edit = |description: &mut Record| description.set("Repository", "RSPM");
        rewrite_description(package, &Limits::default(), edit).unwrap().unwrap()
    };
    lay(
        temp.path(),
        &[
            ("source/stamped_1.0.tar.gz", &stamp(&with_checksums.tar_gz().unwrap())),
            ("binary/stamped_1.0.tar.gz", &stamp(&binary.tar_gz().unwrap())),
            ("library/.keep", b""),
        ],
    );
    for (kind, said) in [("source", "MD5 sums checked"), ("binary", "installing *binary* package")] {
        let mut command = Command::new("R");
        command.args(["CMD", "INSTALL", "-l", "library"]).arg(format!("{kind}/stamped_1.0.tar.gz"));
        let output = command.current_dir(temp.path()).output().unwrap();
        let log = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
        assert!(output.status.success() && log.contains(said) && !log.contains("wrong"), "{log}");
        let code = "cat(packageDescription('stamped', 'library')$Repository, stamped::answer())";
        assert_eq!(r(temp.path(), &format!(".libPaths('library'); {code}")), "RSPM 42", "{kind}");
    }
}
