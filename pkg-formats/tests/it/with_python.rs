//! What Python, pip and uv make of what is written; all of it offline.

use std::path::{Path, PathBuf};
use std::process::Command;

use pkg_formats::archive::Files;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::simple::{CoreMetadata, File, ProjectPage, RootPage};
use pkg_formats::python::wheel::WheelSpec;

use super::python::{tiny, tiny_files};
use super::tools::{available, lay, run, serve, sha256};

/// A virtual environment in a temporary directory.
struct Venv {
    directory: tempfile::TempDir,
}

impl Venv {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        run(Command::new("python3").args(["-m", "venv", "--without-pip", "venv"]).current_dir(directory.path()));
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A program of the environment.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path().join("venv/bin").join(program));
        command.current_dir(self.path());
        command
    }

    /// Runs the machine's pip on the environment, with nothing of the machine's configuration.
    fn pip(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "--isolated", "--disable-pip-version-check", "--python", "venv/bin/python"]);
        command.env("PIP_CONFIG_FILE", "/dev/null").env("no_proxy", "127.0.0.1");
        run(command.args(arguments).current_dir(self.path()))
    }

    fn uv(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("uv");
        command.args(["pip", "install", "--no-cache", "--no-config", "--python", "venv/bin/python"]).args(arguments);
        command.env_remove("UV_DEFAULT_INDEX").env_remove("UV_INDEX_URL").env("no_proxy", "127.0.0.1");
        run(command.current_dir(self.path()))
    }

    fn python(&self, code: &str) -> String {
        run(self.command("python").args(["-c", code]))
    }

    fn url(&self, path: &str) -> String {
        format!("file://{}/{path}", self.path().display())
    }
}

fn wheel() -> WheelSpec {
    let mut wheel = WheelSpec::new(tiny(), tiny_files());
    wheel.console_scripts = vec![("tiny".to_owned(), "tiny_pkg:main".to_owned())];
    wheel
}

fn sdist() -> SdistSpec {
    let files = Files::from([("tiny_base/__init__.py".to_owned(), "answer = 42\n".into())]);
    SdistSpec { metadata: Metadata::new("tiny-base", "1.5"), files }
}

/// The files, flat in one directory.
fn lay_links(root: &Path) {
    let (wheel, sdist) = (wheel(), sdist());
    lay(
        &root.join("links"),
        &[
            (&wheel.file_name().unwrap(), &wheel.zip().unwrap()),
            (&sdist.file_name().unwrap(), &sdist.tar_gz().unwrap()),
        ],
    );
}

/// The files behind a simple index, its pages in both forms.
fn lay_index(root: &Path) {
    lay_links(root);
    let (wheel, sdist) = (wheel(), sdist());
    let metadata = format!("{}.metadata", wheel.file_name().unwrap());
    lay(&root.join("links"), &[(&metadata, wheel.metadata_text().as_bytes())]);
    let core_metadata = CoreMetadata::sha256(sha256(wheel.metadata_text().as_bytes()));
    let page = |name: &str, file_name: String, bytes: &[u8], core_metadata| {
        let file = File {
            url: format!("../../links/{file_name}"),
            filename: file_name,
            hashes: [("sha256".to_owned(), sha256(bytes))].into(),
            requires_python: Some(">=3.8,<99".to_owned()),
            size: Some(bytes.len() as u64),
            upload_time: Some("2026-01-01T00:00:00.000000Z".to_owned()),
            core_metadata,
            ..File::default()
        };
        let page = ProjectPage { name: normalize(name), files: vec![file], ..ProjectPage::default() };
        let folder = format!("simple/{}", page.name);
        [(format!("{folder}/index.html"), page.to_html()), (format!("{folder}/index.json"), page.to_json())]
    };
    let pages = [
        page("Tiny.Pkg", wheel.file_name().unwrap(), &wheel.zip().unwrap(), core_metadata),
        page("tiny-base", sdist.file_name().unwrap(), &sdist.tar_gz().unwrap(), CoreMetadata::Absent),
    ];
    let projects = vec!["Tiny.Pkg".to_owned(), "tiny-base".to_owned()];
    let index = RootPage { projects, last_serial: None }.to_html();
    lay(root, &[("simple/index.html", index.as_bytes())]);
    for (path, page) in pages.as_flattened() {
        lay(root, &[(path, page.as_bytes())]);
    }
}

/// Checks an environment into which `tiny-pkg` and its dependency were installed.
fn check(venv: &Venv) {
    let shown = venv.python(
        r##"
import base64, csv, hashlib, importlib.metadata as metadata, tiny_base
distribution = metadata.distribution("tiny-pkg")
assert distribution.version == "1.0.0-1", distribution.version
assert distribution.metadata["Summary"] == "A tiny package"
assert distribution.metadata.get_payload() == "# Gr\u00f6\u00dfe\n\nName: not a header\n"
assert distribution.requires == ["tiny-base>=1", 'rich; extra == "color"'], distribution.requires
for name in ("tiny-pkg", "tiny-base"):
    for path in metadata.distribution(name).files:
        if path.hash:
            digest = hashlib.new(path.hash.mode, path.read_binary()).digest()
            assert path.hash.value == base64.urlsafe_b64encode(digest).decode().rstrip("="), path
print(tiny_base.answer, metadata.version("tiny-base"))
"##,
    );
    assert_eq!(shown.trim(), "42 1.5");
    assert_eq!(run(&mut venv.command("tiny")).trim(), "tiny says hello");
}

#[test]
fn pip_installs_wheel_and_sdist_from_a_directory() {
    if !available("python3") {
        return;
    }
    let venv = Venv::new();
    lay_links(venv.path());
    venv.pip(&["install", "--no-cache-dir", "--no-index", "--find-links", "links", "Tiny_Pkg"]);
    check(&venv);
    venv.pip(&["check"]);
    // Removing works by RECORD.
    venv.pip(&["uninstall", "--yes", "tiny-pkg", "tiny-base"]);
    let site: PathBuf = venv.python("import sysconfig; print(sysconfig.get_path('purelib'))").trim().into();
    assert!(site.is_dir() && !site.join("tiny_pkg").exists() && !site.join("tiny_base").exists());
}

#[test]
fn pip_installs_from_a_simple_index() {
    if !available("python3") {
        return;
    }
    let venv = Venv::new();
    lay_index(venv.path());
    venv.pip(&["install", "--no-cache-dir", "--index-url", &venv.url("simple/"), "Tiny_Pkg>=1"]);
    check(&venv);
}

#[test]
fn uv_installs_wheel_and_sdist_from_a_directory() {
    if !available("uv") || !available("python3") {
        return;
    }
    let venv = Venv::new();
    lay_links(venv.path());
    venv.uv(&["--offline", "--no-index", "--find-links", "links", "Tiny_Pkg"]);
    check(&venv);
}

#[test]
fn uv_installs_from_a_simple_index() {
    if !available("uv") || !available("python3") {
        return;
    }
    let venv = Venv::new();
    lay_index(venv.path());
    venv.uv(&["--offline", "--default-index", &venv.url("simple/"), "Tiny_Pkg>=1"]);
    check(&venv);
}

#[test]
fn pip_and_uv_install_from_a_json_index() {
    if !available("uv") || !available("python3") {
        return;
    }
    let (pip, uv) = (Venv::new(), Venv::new());
    lay_index(pip.path());
    lay_index(uv.path());
    pip.pip(&["install", "--no-cache-dir", "--index-url", &format!("{}simple/", serve(pip.path())), "Tiny_Pkg>=1"]);
    check(&pip);
    uv.uv(&["--default-index", &format!("{}simple/", serve(uv.path())), "Tiny_Pkg>=1"]);
    check(&uv);
}

#[test]
fn python_reads_the_zip_file() {
    if !available("python3") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    lay(temp.path(), &[("wheel.zip", &wheel().zip().unwrap())]);
    let code = "import zipfile; z = zipfile.ZipFile('wheel.zip'); assert z.testzip() is None; print(len(z.namelist()))";
    assert_eq!(run(Command::new("python3").args(["-c", code]).current_dir(temp.path())).trim(), "6");
}
