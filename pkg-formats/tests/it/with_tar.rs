//! Archives as the writers of real bundles make them, and our own as other readers see them.

use std::path::Path;
use std::process::Command;

use pkg_formats::archive::{Compression, Files, Kind, Limits, scan, tar_gz};

use super::tools::{available, lay, run};

/// Names that need every extension of the format: too long for the header, too long for its prefix, not ASCII.
fn files() -> Files {
    let deep = format!("{}/deep.txt", ["a-directory-with-a-long-name"; 12].join("/"));
    let long = format!("data/{}.csv", "n".repeat(180));
    [("app.py", "app"), ("größe/中.txt", "unicode"), (&deep, "deep"), (&long, "long"), ("empty", "")]
        .map(|(path, text)| (path.to_owned(), text.into()))
        .into()
}

fn lay_files(root: &Path) {
    for (path, file) in files() {
        lay(root, &[(&path, &file.bytes)]);
    }
}

fn read(archive: &Path) -> Files {
    let mut files = Files::new();
    let archive = std::fs::File::open(archive).unwrap();
    scan(archive, &Limits::default(), |entry, data| {
        if entry.kind == Kind::File {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            files.insert(entry.path.clone(), bytes.into());
        }
        Ok(())
    })
    .unwrap();
    files
}

#[test]
fn gnu_tar_writes_what_is_read_and_reads_what_is_written() {
    if !available("tar") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    lay_files(&temp.path().join("bundle"));
    for format in ["gnu", "pax", "ustar"] {
        let archive = temp.path().join(format!("{format}.tar.gz"));
        let mut command = Command::new("tar");
        command.args(["-cz", "-C", "bundle", &format!("--format={format}"), "-f"]).arg(&archive);
        // The oldest format has no room for some names.
        let paths: &[&str] = if format == "ustar" { &["app.py", "größe", "empty"] } else { &["."] };
        run(command.args(paths).current_dir(temp.path()));
        let found = read(&archive);
        let expected = files().into_iter().filter(|(path, _)| format != "ustar" || path.len() < 20).collect::<Files>();
        assert_eq!(found, expected, "{format}");
    }
    let ours = tar_gz(&files(), Compression::Stored).unwrap();
    lay(temp.path(), &[("ours.tar.gz", &ours), ("unpacked/.keep", b"")]);
    run(Command::new("tar").args(["-xzf", "ours.tar.gz", "-C", "unpacked"]).current_dir(temp.path()));
    for (path, file) in files() {
        assert_eq!(std::fs::read(temp.path().join("unpacked").join(&path)).unwrap(), file.bytes, "{path}");
    }
}

#[test]
fn python_writes_what_is_read_and_reads_what_is_written() {
    if !available("python3") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    lay_files(&temp.path().join("bundle"));
    lay(temp.path(), &[("ours.tar.gz", &tar_gz(&files(), Compression::Deflate).unwrap())]);
    let code = r#"
import os, tarfile
for name, form in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
    with tarfile.open(name + ".tar.gz", "w:gz", format=form) as archive:
        for folder, folders, names in os.walk("bundle"):
            for file in names:
                path = os.path.join(folder, file)
                archive.add(path, arcname=os.path.relpath(path, "bundle"))
with tarfile.open("ours.tar.gz") as archive:
    for member in archive:
        mode = 0o755 if member.isdir() else 0o644
        assert (member.uid, member.gid, member.mtime, member.mode) == (0, 0, 0, mode), member
        if not member.isdir():
            assert archive.extractfile(member).read() == open(os.path.join("bundle", member.name), "rb").read(), member
    print(sum(not member.isdir() for member in archive.getmembers()))
"#;
    let shown = run(Command::new("python3").args(["-X", "utf8", "-c", code]).current_dir(temp.path()));
    assert_eq!(shown.trim(), "5");
    for name in ["gnu", "pax"] {
        assert_eq!(read(&temp.path().join(format!("{name}.tar.gz"))), files(), "{name}");
    }
}

#[test]
fn r_writes_what_is_read_and_reads_what_is_written() {
    if !available("R") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    lay_files(&temp.path().join("bundle"));
    lay(temp.path(), &[("ours.tar.gz", &tar_gz(&files(), Compression::Stored).unwrap())]);
    // R's own packer is what publishers use where there is no other; it refuses names that need an extension.
    let code = r#"
        untar("ours.tar.gz", exdir = "unpacked", tar = "internal")
        setwd("bundle")
        tar("../short.tar.gz", c("app.py", "empty", Sys.glob("gr*")), compression = "gzip", tar = "internal")
    "#;
    let mut command = Command::new("R");
    run(command.args(["--vanilla", "--no-echo", "-e", code]).current_dir(temp.path()).env("LANG", "C.UTF-8"));
    for (path, file) in files() {
        assert_eq!(std::fs::read(temp.path().join("unpacked").join(&path)).unwrap(), file.bytes, "{path}");
    }
    let expected: Files = files().into_iter().filter(|(path, _)| path.len() < 20).collect();
    assert_eq!(read(&temp.path().join("short.tar.gz")), expected);
}
