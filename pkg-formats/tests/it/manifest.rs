use pkg_formats::manifest::{ManifestError, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(value: &Value) -> Result<pkg_formats::manifest::Manifest, ManifestError> {
    parse(value.to_string().as_bytes())
}

/// As the R publisher writes it: null for everything that is unset.
fn shiny() -> Value {
    json!({
        "version": 1, "locale": "en_US", "platform": "4.2.2",
        "metadata": {"appmode": "shiny", "primary_rmd": null, "primary_html": null, "content_category": null,
                     "has_parameters": false, "entrypoint": null},
        "packages": {"shiny": {"Source": "CRAN", "Repository": "https://packages.example.org/cran/latest",
            "description": {"Package": "shiny", "Version": "1.7.4", "Depends": "R (>= 3.0.2)", "Encoding": null,
                            "RoxygenNote": 7.2, "LazyData": true}}},
        "files": {"app.R": {"checksum": "6b1a2bbe0a9a1bf6b4ee5fb7a7d4a3f0"}},
        "users": null, "python": null, "jupyter": null, "quarto": null, "nodejs": null, "environment": null
    })
}

/// As the Python publisher writes it.
fn fastapi() -> Value {
    json!({
        "version": 1, "locale": "en_US.UTF-8",
        "metadata": {"appmode": "python-fastapi", "entrypoint": "app:api"},
        "python": {"version": "3.11.7", "package_manager":
            {"name": "pip", "version": "23.2.1", "package_file": "requirements.txt", "allow_uv": true}},
        "files": {"./requirements.txt": {"checksum": "d41d8cd98f00b204e9800998ecf8427e"}, "www/app.py": {"checksum": ""}},
        "environment": {"image": "", "prebuilt": false, "identifier": "linux-arm64",
            "environment_management": {"python": false, "nodejs": true},
            "python": {"requires": "~=3.11.0"},
            "r": {"requires": ">=4.2", "package_repository_resolution": "lax"}},
        "integration_requests": [{"guid": "a", "name": "n", "type": "azure", "config": {"k": [1]}}]
    })
}

#[test]
fn both_dialects_are_read() {
    let manifest = read(&shiny()).unwrap();
    assert_eq!(manifest.metadata.appmode, "shiny");
    assert_eq!(manifest.metadata.has_parameters, Some(false));
    assert_eq!(manifest.platform.as_deref(), Some("4.2.2"));
    assert_eq!((&manifest.python, &manifest.environment, &manifest.node), (&None, &None, &None));
    let package = &manifest.packages.unwrap()["shiny"];
    assert_eq!((package.version(), package.source.as_deref()), (Some("1.7.4"), Some("CRAN")));
    assert_eq!(package.description.get("RoxygenNote").map(String::as_str), Some("7.2"));
    assert_eq!(package.description.get("LazyData").map(String::as_str), Some("true"));
    assert_eq!(package.description.get("Encoding"), None);

    let manifest = read(&fastapi()).unwrap();
    assert_eq!(manifest.metadata.entrypoint.as_deref(), Some("app:api"));
    let manager = manifest.python.unwrap().package_manager.unwrap();
    assert_eq!((manager.package_file.as_deref(), manager.allow_uv), (Some("requirements.txt"), Some(true)));
    assert_eq!(manifest.files.unwrap().into_keys().collect::<Vec<_>>(), ["requirements.txt", "www/app.py"]);
    let environment = manifest.environment.unwrap();
    assert_eq!((environment.image, environment.prebuilt), (None, Some(false)));
    let managed = environment.environment_management.unwrap();
    assert_eq!((managed.python, managed.r, managed.node), (Some(false), None, Some(true)));
    assert_eq!(environment.r.unwrap().package_repository_resolution.as_deref(), Some("lax"));
    assert_eq!(manifest.integration_requests[0].config, json!({"k": [1]}));
}

#[test]
fn the_least_manifest_and_odd_spellings_are_read() {
    let least = read(&json!({"metadata": {"appmode": "static"}})).unwrap();
    assert_eq!((least.version, least.files), (1, None));
    let odd = read(&json!({
        "version": 1, "metadata": {"appmode": "quarto-static", "primary_document": "index.qmd"}, "nodejs": {},
        "files": [], "packages": [],
        "quarto": {"version": "99.9.9", "engines": "knitr"}, "unheard_of": {"x": 1},
        "python": {"version": "3.12", "package_manager": null}
    }))
    .unwrap();
    assert_eq!(odd.metadata.primary_rmd.as_deref(), Some("index.qmd"));
    assert_eq!(odd.quarto.unwrap().engines, ["knitr"]);
    assert_eq!((odd.files.unwrap().len(), odd.packages.unwrap().len()), (0, 0));
    assert_eq!(odd.node, Some(pkg_formats::manifest::Node::default()));
    assert_eq!(odd.python.unwrap().package_manager, None);
}

#[test]
fn errors_name_the_member() {
    let changed = |pointer: &str, value: Value| {
        let mut manifest = fastapi();
        *manifest.pointer_mut(pointer).unwrap() = value;
        read(&manifest).unwrap_err().to_string()
    };
    assert_eq!(changed("", json!([1])), "manifest.json: `the manifest` must be an object, not a list");
    assert_eq!(changed("/version", json!(2)), "manifest.json: `version` must be 1");
    assert_eq!(changed("/metadata", json!(null)), "manifest.json: `metadata` is missing");
    assert_eq!(changed("/metadata/appmode", json!(null)), "manifest.json: `metadata.appmode` is missing");
    assert_eq!(changed("/metadata/appmode", json!("")), "manifest.json: `metadata.appmode` is missing");
    assert_eq!(
        changed("/metadata/appmode", json!(4)),
        "manifest.json: `metadata.appmode` must be a string, not a number"
    );
    assert_eq!(
        changed("/python/package_manager/allow_uv", json!("yes")),
        "manifest.json: `python.package_manager.allow_uv` must be true or false, not a string"
    );
    assert_eq!(
        changed("/integration_requests/0/name", json!([])),
        "manifest.json: `integration_requests[0].name` must be a string, not a list"
    );
    assert_eq!(changed("/files", json!({"../x": {}})), "manifest.json: `files[\"../x\"]` leaves the directory by `..`");
    assert_eq!(
        changed("/files", json!({"a.R": "abc"})),
        "manifest.json: `files[\"a.R\"]` must be an object, not a string"
    );
}

#[test]
fn what_is_not_a_manifest_is_refused() {
    for bytes in [&b""[..], b"{", b"\xff", b"{\"metadata\": {\"appmode\": \"static\"}} x"] {
        assert!(matches!(parse(bytes), Err(ManifestError::Json(_))), "{bytes:?}");
    }
    assert!(matches!(parse("[".repeat(100_000).as_bytes()), Err(ManifestError::Json(_))));
    assert_eq!(parse(&vec![b' '; pkg_formats::manifest::LARGEST + 1]), Err(ManifestError::TooLarge));
    let many: serde_json::Map<_, _> = (0..10_001).map(|n| (n.to_string(), json!({}))).collect();
    let error = read(&json!({"metadata": {"appmode": "api"}, "packages": many})).unwrap_err();
    assert_eq!(error.to_string(), "manifest.json: `packages` has more than 10000 elements");
    assert!(parse(b"\xef\xbb\xbf{\"metadata\": {\"appmode\": \"static\"}}").is_ok());
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z./é]{0,8}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Any member replaced by anything gives a manifest or an error, and what is read can be written and read again.
    #[test]
    fn mutated_manifests_never_panic(pick in any::<prop::sample::Index>(), value in json_value(), r in any::<bool>()) {
        let mut manifest = if r { shiny() } else { fastapi() };
        let mut pointers = Vec::new();
        pointers_of(&manifest, String::new(), &mut pointers);
        *manifest.pointer_mut(&pointers[pick.index(pointers.len())]).unwrap() = value;
        if let Ok(read_once) = read(&manifest) {
            let written = serde_json::to_vec(&read_once).unwrap();
            prop_assert_eq!(parse(&written).unwrap(), read_once);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}

fn pointers_of(value: &Value, at: String, pointers: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| pointers_of(member, format!("{at}/{}", escape(name)), pointers));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(n, element)| pointers_of(element, format!("{at}/{n}"), pointers));
        }
        _ => {}
    }
    pointers.push(at);
}
