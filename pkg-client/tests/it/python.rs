//! Which versions are chosen, and what is said when none can be.

use pkg_client::python::{Requirements, Target, resolve};
use pkg_client::{Error, Limits};

use crate::served::{Release, Reply, Served, release, sha256};

fn flask() -> Vec<Release> {
    vec![
        release("Flask", "3.0.0", &["Werkzeug>=3.0.0", "Jinja2>=3.1.2", "asgiref>=3.2; extra == 'async'"]),
        release("Flask", "2.3.0", &["Werkzeug>=2.3", "Jinja2>=3.1"]),
        release("Werkzeug", "3.0.1", &["MarkupSafe>=2.1.1"]),
        release("Werkzeug", "2.3.8", &["MarkupSafe>=2.1.1"]),
        release("Jinja2", "3.1.3", &["MarkupSafe>=2.0", "Babel>=2.7; extra == 'i18n'"]),
        release("MarkupSafe", "2.1.5", &[]),
        release("asgiref", "3.7.2", &["typing-extensions>=4; python_version < '3.11'"]),
    ]
}

#[tokio::test]
async fn the_newest_versions_in_the_order_of_the_requirements() {
    let served = Served::with(&flask()).await;
    let resolution = served.resolve("# the app\nflask>=2\n").await.unwrap();
    let names: Vec<_> = resolution.packages.iter().map(|p| format!("{}=={}", p.name, p.version)).collect();
    assert_eq!(names, ["flask==3.0.0", "werkzeug==3.0.1", "jinja2==3.1.3", "markupsafe==2.1.5"]);
    assert_eq!(resolution.packages[0].requires, ["werkzeug", "jinja2"]);
    let file = &resolution.packages[0];
    assert_eq!(file.filename, "flask-3.0.0-py3-none-any.whl");
    assert_eq!(file.url.as_str(), format!("{}/files/flask-3.0.0-py3-none-any.whl", served.url));
    assert!(file.sha256.is_some() && file.size.is_some());
    let mut asked = served.asked();
    assert!(!asked.iter().any(|path| path.ends_with(".whl")), "metadata beside the files is enough: {asked:?}");
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), served.asked().len(), "nothing is asked for twice: {asked:?}");
}

#[tokio::test]
async fn backtracks_to_an_older_parent() {
    let served = Served::with(&flask()).await;
    assert_eq!(
        served.resolved("flask\nwerkzeug<3").await,
        ["flask==2.3.0", "werkzeug==2.3.8", "jinja2==3.1.3", "markupsafe==2.1.5"]
    );
}

#[tokio::test]
async fn backtracks_through_many_versions_in_few_rounds() {
    let mut releases: Vec<_> = (0..300).map(|n| release("a", &format!("{n}"), &[&format!("b=={n}")])).collect();
    releases.extend((0..300).map(|n| release("b", &format!("{n}"), &[])));
    let served = Served::with(&releases).await;
    assert_eq!(served.resolved("a\nb==3").await, ["a==3", "b==3"]);
}

#[tokio::test]
async fn extras_and_markers() {
    let served = Served::with(&flask()).await;
    let expected = ["flask==3.0.0", "werkzeug==3.0.1", "jinja2==3.1.3", "asgiref==3.7.2", "markupsafe==2.1.5"];
    assert_eq!(served.resolved("Flask[async]").await, expected);
    assert_eq!(served.resolved("asgiref\nnope; sys_platform == 'win32'").await, ["asgiref==3.7.2"]);
    let resolution = served.resolve("flask[nope]").await.unwrap();
    assert_eq!(resolution.warnings, ["WARNING: flask 3.0.0 does not provide the extra 'nope'"]);
}

#[tokio::test]
async fn an_extra_may_name_other_extras_of_its_own_package() {
    let served = Served::with(&[
        release("kit", "1.0", &["kit[a,b]; extra == 'all'", "x; extra == 'a'", "y; extra == 'b'"]),
        release("x", "1", &[]),
        release("y", "1", &["kit"]),
    ])
    .await;
    assert_eq!(served.resolved("kit[all]").await, ["kit==1.0", "x==1", "y==1"]);
}

#[tokio::test]
async fn an_extra_that_cannot_be_satisfied_takes_an_older_version() {
    let served = Served::with(&[
        release("kit", "2.0", &["x>=2; extra == 'a'"]),
        release("kit", "1.0", &["x; extra == 'a'"]),
        release("x", "1", &[]),
    ])
    .await;
    assert_eq!(served.resolved("kit[a]").await, ["kit==1.0", "x==1"]);
    assert_eq!(served.resolved("kit").await, ["kit==2.0"]);
}

#[tokio::test]
async fn a_missing_package_in_pips_words() {
    let served = Served::with(&[release("a", "1.0", &["nope>=2"])]).await;
    let error = served.resolve("nope").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\n\
         ERROR: No matching distribution found for nope"
    );
    let error = served.resolve("a").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ERROR: Could not find a version that satisfies the requirement nope>=2 (from a 1.0) (from versions: none)\n\
         ERROR: No matching distribution found for nope>=2"
    );
    let error = served.resolve("a==3").await.unwrap_err();
    assert!(error.to_string().contains("requirement a==3 (from versions: 1.0)"), "{error}");
}

#[tokio::test]
async fn a_conflict_names_the_requirements() {
    let served = Served::with(&[
        release("a", "1.0", &["c<2"]),
        release("b", "1.0", &["c>=2"]),
        release("c", "1.0", &[]),
        release("c", "2.0", &[]),
    ])
    .await;
    let error = served.resolve("a\nb==1.0").await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error}");
    let text = error.to_string();
    for part in [
        "ERROR: Cannot install a and b==1.0 because these package versions have conflicting dependencies.",
        "    The user requested a\n",
        "    The user requested b==1.0\n",
        "    a 1.0 depends on c<2\n",
        "    b 1.0 depends on c>=2\n",
        "ERROR: ResolutionImpossible: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let error = served.resolve("c<2\nc>=2").await.unwrap_err();
    assert!(error.to_string().contains("The user requested c<2\n    The user requested c>=2\n"), "{error}");
}

#[tokio::test]
async fn yanked_versions_only_when_pinned() {
    let yanked = Release { yanked: true, ..release("a", "2.0", &[]) };
    let served = Served::with(&[yanked, release("a", "1.0", &[]), release("b", "1.0", &["a==2.0"])]).await;
    assert_eq!(served.resolved("a").await, ["a==1.0"]);
    let resolution = served.resolve("a==2.0").await.unwrap();
    assert_eq!(resolution.packages[0].version.to_string(), "2.0");
    assert_eq!(resolution.warnings, ["WARNING: a 2.0 is a yanked version"]);
    assert_eq!(served.resolved("b").await, ["b==1.0", "a==2.0"], "a dependency may pin it too");
    assert_eq!(served.resolved("a\nb").await, ["a==2.0", "b==1.0"]);
    let error = served.resolve("a>=2").await.unwrap_err();
    assert!(error.to_string().starts_with("ERROR: Ignored the following yanked versions: 2.0\n"), "{error}");
}

#[tokio::test]
async fn prereleases_only_when_asked_for_or_nothing_else_is_there() {
    let served = Served::with(&[
        release("a", "2.0rc1", &[]),
        release("a", "1.0", &[]),
        release("only", "0.1b2", &[]),
        release("only", "0.1b1", &[]),
        release("asks", "1.0", &["a>=2.0rc1"]),
        release("gone", "2.0rc1", &[]),
        Release { yanked: true, ..release("gone", "1.0", &[]) },
    ])
    .await;
    assert_eq!(served.resolved("a").await, ["a==1.0"]);
    assert_eq!(served.resolved("a>=2.0rc1").await, ["a==2.0rc1"]);
    assert_eq!(served.resolved("--pre\na").await, ["a==2.0rc1"]);
    assert_eq!(served.resolved("only").await, ["only==0.1b2"]);
    assert_eq!(served.resolved("a\nasks").await, ["a==2.0rc1", "asks==1.0"]);
    assert!(served.resolve("gone").await.is_err(), "a yanked release is a release all the same");
}

#[tokio::test]
async fn requires_python_of_the_index_and_of_the_metadata() {
    let newer = Release { python: Some(">=3.12".into()), ..release("a", "2.0", &[]) };
    let served = Served::with(&[newer.clone(), release("a", "1.0", &[])]).await;
    assert_eq!(served.resolved("a").await, ["a==1.0"]);
    let error = served.resolve("a==2.0").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.12\n\
         ERROR: Could not find a version that satisfies the requirement a==2.0 (from versions: 1.0)\n\
         ERROR: No matching distribution found for a==2.0"
    );
    // The page keeps silent about it.
    let silent = String::from_utf8(served.shelf.lock().unwrap().files["/simple/a/"].body.clone()).unwrap();
    let silent = silent.replace("\"requires-python\":\">=3.12\"", "\"requires-python\":null");
    served.change("/simple/a/", |reply| reply.body = silent.into_bytes());
    assert_eq!(served.resolved("a").await, ["a==1.0"]);
}

#[tokio::test]
async fn wheels_that_fit_before_source_and_source_before_nothing() {
    let served = Served::with(&[
        Release { tag: "cp312-cp312-manylinux_2_17_x86_64".into(), ..release("a", "3.0", &[]) },
        Release { tag: "cp311-cp311-manylinux_2_17_x86_64".into(), ..release("a", "2.0", &[]) },
        release("a", "2.0", &[]),
        Release { sdist: true, ..release("a", "2.0", &[]) },
        Release { sdist: true, ..release("b", "1.0", &["a"]) },
    ])
    .await;
    let resolution = served.resolve("b").await.unwrap();
    let files: Vec<_> = resolution.packages.iter().map(|package| package.filename.as_str()).collect();
    assert_eq!(files, ["b-1.0.tar.gz", "a-2.0-cp311-cp311-manylinux_2_17_x86_64.whl"]);
}

#[tokio::test]
async fn reads_html_and_whole_wheels_where_there_is_nothing_better() {
    let bare: Vec<_> = flask().into_iter().map(|release| Release { bare: true, ..release }).collect();
    let served = Served::with(&bare).await;
    for name in ["flask", "werkzeug", "jinja2", "markupsafe"] {
        served.html_only(name);
    }
    assert_eq!(
        served.resolved("flask").await,
        ["flask==3.0.0", "werkzeug==3.0.1", "jinja2==3.1.3", "markupsafe==2.1.5"]
    );
}

#[tokio::test]
async fn a_damaged_release_is_passed_over_and_a_flipped_byte_is_refused() {
    let served = Served::with(&[Release { bare: true, ..release("a", "2.0", &[]) }, release("a", "1.0", &[])]).await;
    let path = "/files/a-1.0-py3-none-any.whl.metadata";
    served.change(path, |reply| reply.body[3] ^= 1);
    let error = served.resolve("a==1.0").await.unwrap_err();
    assert!(matches!(&error, Error::HashMismatch { url, .. } if url.path() == path), "{error}");
    // A wheel with the right hash that is no wheel.
    let junk = b"junk".to_vec();
    let page = String::from_utf8(served.shelf.lock().unwrap().files["/simple/a/"].body.clone()).unwrap();
    let old = sha256(&served.shelf.lock().unwrap().files["/files/a-2.0-py3-none-any.whl"].body);
    served.change("/simple/a/", |reply| reply.body = page.replace(&old, &sha256(&junk)).into_bytes());
    served.change("/files/a-2.0-py3-none-any.whl", |reply| reply.body = junk);
    served.change(path, |reply| reply.body[3] ^= 1);
    assert_eq!(served.resolved("a").await, ["a==1.0"]);
}

#[tokio::test]
async fn hashes_are_demanded_of_everything_once_one_has_them() {
    let served = Served::with(&[release("a", "1.0", &["b"]), release("b", "1.0", &[])]).await;
    let hash = |file: &str| sha256(&served.shelf.lock().unwrap().files[file].body);
    let (a, b) = (hash("/files/a-1.0-py3-none-any.whl"), hash("/files/b-1.0-py3-none-any.whl"));
    let both = format!("a==1.0 \\\n  --hash=sha256:{a}\nb==1.0 --hash=sha256:{b}\n");
    assert_eq!(served.resolved(&both).await, ["a==1.0", "b==1.0"]);
    let error = served.resolve(&format!("a==1.0 --hash=sha256:{a}")).await.unwrap_err();
    assert!(matches!(&error, Error::HashesMissing { missing } if missing == &["b==1.0"]), "{error}");
    let error = served.resolve(&format!("a==1.0 --hash=sha256:{a}\nb --hash=sha256:{a}")).await.unwrap_err();
    assert!(matches!(error, Error::HashMismatch { .. }), "{error}");
}

#[tokio::test]
async fn lines_that_no_index_can_meet_are_named() {
    let served = Served::with(&flask()).await;
    for (text, part) in [
        ("flask\n-e ./lib", "line 2: '-e ./lib' is an editable install"),
        ("x @ https://example.com/x", "is a requirement by URL"),
        ("-r other.txt", "is an included requirements file"),
        ("flask\n\nflask=>2", "line 3"),
    ] {
        let error = served.resolve(text).await.unwrap_err().to_string();
        assert!(error.starts_with("ERROR: Invalid requirement: ") && error.contains(part), "{error}");
    }
    let requirements = Requirements::parse(b"--index-url https://example.com/simple\nflask").unwrap();
    assert_eq!(requirements.notes(), ["line 1: --index-url https://example.com/simple is ignored"]);
}

#[tokio::test]
async fn network_trouble_names_the_url() {
    let served = Served::with(&flask()).await;
    served.put("/simple/flask/", Reply { status: 503, ..Reply::ok("text/plain", "") });
    let error = served.resolve("flask").await.unwrap_err();
    assert!(matches!(&error, Error::Status { status: 503, url } if url.path() == "/simple/flask/"), "{error}");

    let cut = r#"{"match": {"direction": "out", "peer": "package-manager"}, "effect": {"kind": "reset"}}"#;
    served.world.faults().add(serde_json::from_str(cut).unwrap()).unwrap();
    let error = served.resolve("flask").await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { url, .. } if url.path() == "/simple/flask/"), "{error}");
    served.world.faults().clear();

    served.put("/simple/flask/", Reply::ok(pkg_formats::python::simple::JSON_TYPE, "{"));
    let error = served.resolve("flask").await.unwrap_err();
    assert!(matches!(&error, Error::Unreadable { url, .. } if url.path() == "/simple/flask/"), "{error}");

    let target = Target::linux("3.11", "x86_64").unwrap();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let index = format!("http://{}/simple", closed.local_addr().unwrap());
    drop(closed);
    let requirements = Requirements::parse(b"flask").unwrap();
    let error = resolve(&served.client(), &index, &target, &requirements).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let error = resolve(&served.client(), "ftp://x", &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::Address { .. }), "{error}");
}

#[tokio::test]
async fn a_failure_that_the_solver_does_not_need_is_none() {
    let served = Served::with(&[
        release("a", "2.0", &["broken", "c>=2"]),
        release("a", "1.0", &[]),
        release("broken", "1.0", &[]),
        release("c", "1.0", &[]),
    ])
    .await;
    // The metadata of broken fails, but a 2.0 falls out by c before it is looked at.
    served.put("/files/broken-1.0-py3-none-any.whl.metadata", Reply { status: 500, ..Reply::ok("text/plain", "") });
    assert_eq!(served.resolved("c\na").await, ["c==1.0", "a==1.0"]);
}

#[tokio::test]
async fn limits_hold() {
    let chain: Vec<_> = (0..50).map(|n| release(&format!("p{n}"), "1.0", &[&format!("p{}", n + 1)])).collect();
    let served = Served::with(&chain).await;
    let target = Target::linux("3.11", "x86_64").unwrap();
    let requirements = Requirements::parse(b"p0").unwrap();
    let index = format!("{}/simple", served.url);
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        served.client_within("pip/24.0", limits)
    };
    let error = resolve(&limits(|l| l.packages = 10), &index, &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::TooManyPackages { limit: 10 }), "{error}");
    let error = resolve(&limits(|l| l.page = 20), &index, &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 20, .. }), "{error}");
    let error = resolve(&limits(|l| l.metadata = 20), &index, &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 20, .. }), "{error}");
    let error = resolve(&limits(|l| l.total = 1000), &index, &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::TooMuch { limit: 1000, .. }), "{error}");
    let error = resolve(&limits(|l| l.steps = 5), &index, &target, &requirements).await.unwrap_err();
    assert!(matches!(error, Error::TooDeep { limit: 5 }), "{error}");
}
