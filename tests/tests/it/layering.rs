//! Promises about the code itself.

use std::path::Path;

use tests::workspace;

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn sim_kit_knows_no_product() {
    let mut files = Vec::new();
    rust_files(&workspace("sim-kit/src"), &mut files);
    assert!(files.len() > 10);
    // Examples in docs may name a peer; code and prose that know what a product does may not.
    let nouns = ["bundle", "rsconnect", "pypi", "workbench", "snapshot_date", "variant", "posit team"];
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        for noun in nouns {
            assert!(!text.contains(noun), "{} says {noun:?}", file.display());
        }
    }
}

#[test]
fn no_product_depends_on_another() {
    for product in ["upstream-sim", "pkgmgr-sim", "connect-sim", "workbench-sim"] {
        let manifest = std::fs::read_to_string(workspace(product).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]")).unwrap();
        for other in ["upstream-sim", "pkgmgr-sim", "connect-sim", "workbench-sim", "harness"] {
            let named = dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} ")));
            assert!(!named, "{product} depends on {other}");
        }
    }
}
