//! Real packages, made or installed on this machine, come to real clients through the package service and Package Manager.

use std::path::Path;
use std::process::Command;

use harness::stack::StackConfig;
use pkg_formats::archive::{File, Files};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::sdist::SdistSpec;
use tests::{Team, http, need_tool};
use upstream_sim::Config;

/// Runs a program of this machine that prepares what is imported.
fn prepare(program: &Path, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("R_LIBS", folder.join("library"))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program:?} {arguments:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test]
async fn a_wheel_that_pip_built_and_its_sdist() {
    let (Some(pip), Some(uv)) = (need_tool("pip"), need_tool("uv")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut metadata = Metadata::new("Acme.Measures", "1.10");
    metadata.requires_dist = vec!["six>=1".to_owned()];
    let code = "import six\n\n\ndef double(x):\n    return six.__name__ and 2 * x\n";
    let files = Files::from([("acme_measures/__init__.py".to_owned(), File::from(code))]);
    let sdist = SdistSpec { metadata, files };
    let name = sdist.file_name().unwrap();
    std::fs::write(folder.path().join(&name), sdist.tar_gz().unwrap()).unwrap();
    prepare(&pip, &["wheel", "--no-deps", "--no-index", "--quiet", &name], folder.path());
    let upstream = Config { import: vec![folder.path().to_owned()], ..Config::only(&["six"]) };
    let team = Team::with(StackConfig { upstream, ..StackConfig::default() }).await;

    let check = ["-c", "import acme_measures; assert acme_measures.double(21) == 42"];
    let Some(python) = team.venv("by-pip").await else { return };
    let installed =
        team.client(&pip, &["--python", &python.display().to_string(), "install", "acme-measures"]).await.well();
    assert!(installed.contains("acme_measures-1.10-py3-none-any.whl"), "{installed}");
    let _ = team.client(&python, &check).await.well();

    let Some(python) = team.venv("by-uv").await else { return };
    let arguments = [
        "pip",
        "install",
        "--python",
        &python.display().to_string(),
        "--no-binary",
        "acme-measures",
        "ACME_measures>1.9",
    ];
    let _ = team.client(&uv, &arguments).await.well();
    let _ = team.client(&python, &check).await.well();
}

/// A package with compiled code, which needs one that this machine has.
fn r_package(folder: &Path, rscript: &Path) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "acme/DESCRIPTION",
        "Package: acme\nVersion: 0.9-10\nTitle: Measures\nDescription: Doubles.\nLicense: MIT\nAuthor: A\n\
         Maintainer: A <a@example.org>\nImports: jsonlite\nNeedsCompilation: yes\n",
    );
    write("acme/NAMESPACE", "useDynLib(acme, C_double)\nimportFrom(jsonlite, toJSON)\nexport(double_it)\n");
    write("acme/R/acme.R", "double_it <- function(x) as.character(toJSON(.Call(C_double, x)))\n");
    write(
        "acme/src/double.c",
        "#include <Rinternals.h>\nSEXP C_double(SEXP x) { return Rf_ScalarReal(2 * Rf_asReal(x)); }\n",
    );
    // The library that is imported: one package of the system, and our own, installed.
    let jsonlite = prepare(rscript, &["-e", "cat(find.package('jsonlite'))"], folder);
    std::fs::create_dir(folder.join("library")).unwrap();
    std::os::unix::fs::symlink(jsonlite.trim(), folder.join("library/jsonlite")).unwrap();
    let r = rscript.with_file_name("R");
    prepare(&r, &["CMD", "INSTALL", "--no-docs", "--library=library", "acme"], folder);
    std::fs::create_dir(folder.join("sources")).unwrap();
    prepare(&r, &["CMD", "build", "../acme"], &folder.join("sources"));
}

#[tokio::test]
async fn a_compiled_r_package_from_source_and_from_the_library_it_was_installed_in() {
    let Some(rscript) = need_tool("Rscript") else { return };
    let folder = tempfile::tempdir().unwrap();
    r_package(folder.path(), &rscript);
    let upstream = Config {
        import: vec![folder.path().join("sources")],
        import_library: vec![folder.path().join("library")],
        import_distribution: Some("bookworm".to_owned()),
        ..Config::only(&[])
    };
    let team = Team::with(StackConfig { upstream, ..StackConfig::default() }).await;
    let agent = "options(HTTPUserAgent = sprintf('R/%s R (%s)', getRversion(), paste(getRversion(), \
                 R.version['platform'], R.version['arch'], R.version['os'])))";
    let linux = format!("{}/cran/__linux__/bookworm/latest", team.urls.package_manager);
    // An installed library has no sources: who asks for those is told what there is.
    let cran = team.urls.cran();
    let index = http().get(format!("{cran}/src/contrib/PACKAGES")).send().await.unwrap().text().await.unwrap();
    let record = index.split("\n\n").find(|record| record.starts_with("Package: jsonlite\n")).unwrap().to_owned();
    let version = record.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap().to_owned();
    let answer = http().get(format!("{cran}/src/contrib/jsonlite_{version}.tar.gz")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let told = answer.text().await.unwrap();
    assert!(told.contains("is offered for: Linux (bookworm), R 4."), "{told}");
    // jsonlite comes as it was installed; acme once so and once built here.
    for (library, repository, kind) in [("binary", &linux, "binary"), ("source", &team.urls.cran(), "source")] {
        let lib = team.path(library).display().to_string();
        std::fs::create_dir(&lib).unwrap();
        let code = format!(
            "{agent}; .libPaths(c('{lib}', .Library)); install.packages('jsonlite', lib = '{lib}', repos = '{linux}'); \
             install.packages('acme', lib = '{lib}', repos = '{repository}'); \
             library(acme, lib.loc = '{lib}'); stopifnot(double_it(21) == '[42]'); \
             cat('JSONLITE', dirname(find.package('jsonlite')) == normalizePath('{lib}'), '\\n')"
        );
        let output =
            team.client_with(&rscript, &["--vanilla", "-e", &code], &[("R_LIBS_SITE", "/nowhere")]).await.well();
        assert!(output.contains("JSONLITE TRUE"), "{output}");
        let said = ['\'', '‘'].iter().any(|quote| output.contains(&format!("installing *{kind}* package {quote}acme")));
        assert!(said, "{output}");
    }
}
