//! Real tools that prove the formats.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use pkg_formats::python::simple::JSON_TYPE;
use sha2::{Digest, Sha256};

/// Whether a tool can be run. A missing tool is a failure in CI; elsewhere the test says that it did not run.
pub(crate) fn available(tool: &str) -> bool {
    match Command::new(tool).arg("--version").output() {
        Ok(output) if output.status.success() => true,
        other => {
            assert!(!in_ci(), "`{tool}` is needed for this test in CI: {other:?}");
            eprintln!("NOT RUN: this test needs `{tool}` on PATH");
            false
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "whether this is CI is known from the environment alone")]
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// SHA-256 in hex: what pins bytes that clients pin too.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Runs a command to its end and gives its standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the tool was found before");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout
}

/// Writes files below a directory, which need not exist.
pub(crate) fn lay(root: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a parent")).expect("temporary directory");
        std::fs::write(path, bytes).expect("temporary directory");
    }
}

/// Serves the files of a directory over HTTP for as long as the test runs; gives the URL, with a slash at its end.
/// A path with a slash at its end is the `index.json` there, a page of a simple index.
pub(crate) fn serve(root: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let root = root.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(&stream).lines().map(|line| line.expect("a request"));
            let request = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let (file, kind) = match path.ends_with('/') {
                true => (root.join(path).join("index.json"), JSON_TYPE),
                false => (root.join(path), "application/octet-stream"),
            };
            let (status, body) = match std::fs::read(file) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let body = if request.starts_with("HEAD ") { &[][..] } else { &body };
            stream.write_all(&[head.as_bytes(), body].concat()).expect("the client listens");
        }
    });
    url
}
