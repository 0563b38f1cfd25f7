use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use pkg_formats::archive::{
    Compression, Error, File, Files, Kind, Limits, Strip, Summary, extract, gzip, scan, tar_gz, zip,
    zip_with_directories,
};
use proptest::prelude::*;
use tar::EntryType;

use super::tools::sha256;

fn read_all(archive: &[u8], limits: &Limits) -> Result<Files, Error> {
    let mut files = Files::new();
    scan(archive, limits, |entry, data| {
        if entry.kind == Kind::File {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            files.insert(entry.path.clone(), File { bytes, executable: entry.executable });
        }
        Ok(())
    })?;
    Ok(files)
}

/// A tar entry that no honest writer makes.
fn raw(path: &[u8], kind: EntryType, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_link_name_literal("/etc/passwd").unwrap();
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar, Compression::Deflate)
}

fn sample() -> Files {
    let script = File { bytes: b"#!/bin/sh\n".to_vec(), executable: true };
    let long = format!("{}/file.txt", "directory/".repeat(20).trim_end_matches('/'));
    Files::from([
        ("app.py".to_owned(), "print('hello')\n".into()),
        ("data/empty".to_owned(), "".into()),
        ("data/größe.csv".to_owned(), "a,b\n1,2\n".into()),
        ("run.sh".to_owned(), script),
        (long, vec![7; 70_000].into()),
    ])
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Tries to extract into a fresh directory and checks that a refusal leaves nothing behind.
fn refusal(archive: &[u8], limits: &Limits) -> Error {
    let parent = tempfile::tempdir().unwrap();
    let error = extract(archive, &parent.path().join("bundle"), limits, Strip::TopDirectory).unwrap_err();
    assert_eq!(names_in(parent.path()), [""; 0], "left behind after {error}");
    assert!(error.is_bad_archive(), "{error}");
    error
}

#[test]
fn bytes_are_golden() {
    let files = sample();
    let paths = || files.iter().map(|(path, file)| (path.as_str(), file));
    let stored = tar_gz(&files, Compression::Stored).unwrap();
    assert_eq!(sha256(&stored), "0b781d4fb6bb24ade3c6e2de8ff9f61877e26100436cead0641949bd00e505a7");
    assert_eq!(sha256(&zip(paths()).unwrap()), "c3d3cfaba3171740e7e3c3324596ba013b9ae111afb408667a82d070d5d22e20");
    assert_eq!(stored[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let deflated = tar_gz(&files, Compression::Deflate).unwrap();
    assert_eq!((&deflated[..8], deflated[9]), (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0][..], 255));
    assert!(deflated.len() < stored.len() / 10);
}

#[test]
fn directories_come_before_what_lies_in_them() {
    let files: Files = ["a/b/c", "a/b/d", "a/e", "f"].map(|path| (path.to_owned(), File::from("x"))).into();
    let expected = ["a/", "a/b/", "a/b/c", "a/b/d", "a/e", "f"];
    let packed = tar_gz(&files, Compression::Stored).unwrap();
    let mut tar = ::tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
    let in_tar: Vec<_> = tar.entries().unwrap().map(|entry| entry.unwrap()).collect();
    let names: Vec<_> =
        in_tar.iter().map(|entry| String::from_utf8(entry.path_bytes().into_owned()).unwrap()).collect();
    assert_eq!(names, expected);
    let modes: Vec<_> = in_tar.iter().map(|entry| entry.header().mode().unwrap()).collect();
    assert_eq!((in_tar[0].header().entry_type().is_dir(), modes[0], modes[2]), (true, 0o755, 0o644));
    let mut zip = ::zip::ZipArchive::new(io::Cursor::new(zip_with_directories(&files).unwrap())).unwrap();
    assert_eq!(zip.file_names().map(Result::unwrap).collect::<Vec<_>>(), expected);
    let directory = zip.by_name("a/b/").unwrap();
    assert_eq!((directory.is_dir(), directory.unix_mode()), (true, Some(0o040_755)));
}

#[test]
fn zip_files_are_read_by_another_implementation() {
    let files = sample();
    let bytes = zip(files.iter().map(|(path, file)| (path.as_str(), file))).unwrap();
    let mut archive = ::zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
    assert_eq!(archive.len(), files.len());
    for (path, file) in &files {
        let mut entry = archive.by_name(path).unwrap();
        assert_eq!(entry.unix_mode(), Some(if file.executable { 0o100_755 } else { 0o100_644 }));
        assert_eq!(entry.last_modified().unwrap().year(), 1980);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, file.bytes);
    }
}

#[test]
fn writers_refuse_paths_that_readers_would() {
    for path in ["", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a\\b", "c:/a"] {
        let files = Files::from([(path.to_owned(), File::default())]);
        assert!(matches!(tar_gz(&files, Compression::Stored), Err(Error::BadPath { .. })), "{path}");
        assert!(matches!(zip([(path, &File::default())]), Err(Error::BadPath { .. })), "{path}");
    }
}

#[test]
fn extracts_what_was_packed() {
    let parent = tempfile::tempdir().unwrap();
    let destination = parent.path().join("bundle");
    let files = sample();
    let archive = tar_gz(&files, Compression::Deflate).unwrap();
    let summary = extract(archive.as_slice(), &destination, &Limits::default(), Strip::TopDirectory).unwrap();
    let bytes = files.values().map(|file| file.bytes.len() as u64).sum();
    assert_eq!(summary, Summary { files: 5, bytes, top: None });
    for (path, file) in &files {
        assert_eq!(fs::read(destination.join(path)).unwrap(), file.bytes, "{path}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path| fs::metadata(destination.join(path)).unwrap().permissions().mode() & 0o111;
        assert_eq!((mode("run.sh"), mode("app.py")), (0o111, 0));
    }
    assert_eq!(names_in(parent.path()), ["bundle"]);

    let again = extract(archive.as_slice(), &destination, &Limits::default(), Strip::Nothing).unwrap_err();
    assert!(!again.is_bad_archive(), "{again}");
    assert!(destination.join("app.py").exists());
}

#[test]
fn a_lone_top_directory_can_be_stripped() {
    let archive = packed(&[
        raw(b"./", EntryType::Directory, b""),
        raw(b"./project-1.0/", EntryType::Directory, b""),
        raw(b"./project-1.0/manifest.json", EntryType::Regular, b"{}"),
        raw(b"./project-1.0/www/", EntryType::Directory, b""),
    ]);
    let parent = tempfile::tempdir().unwrap();
    // Remains of an attempt that was killed are in nobody's way.
    super::tools::lay(parent.path(), &[(".kept.partial/old", b"x"), (".stripped.partial/old", b"x")]);
    let to = |name: &str, strip| extract(archive.as_slice(), &parent.path().join(name), &Limits::default(), strip);
    assert_eq!(to("kept", Strip::Nothing).unwrap().top.as_deref(), Some("project-1.0"));
    to("stripped", Strip::TopDirectory).unwrap();
    assert_eq!(names_in(parent.path()), ["kept", "stripped"]);
    assert_eq!(names_in(&parent.path().join("kept")), ["project-1.0"]);
    assert_eq!(names_in(&parent.path().join("stripped")), ["manifest.json", "www"]);
    // A lone file is no directory.
    let archive = packed(&[raw(b"app.R", EntryType::Regular, b"1")]);
    assert_eq!(scan(archive.as_slice(), &Limits::default(), |_, _| Ok(())).unwrap().top, None);
}

#[test]
fn dialects_of_tar_are_read() {
    let pax = b"28 path=from/pax/header.txt\n";
    let archive = packed(&[
        raw(b"pax_global_header", EntryType::XGlobalHeader, b"20 comment=deadbeef\n"),
        raw(b"x", EntryType::XHeader, pax),
        raw(b"short", EntryType::Regular, b"pax"),
        raw(b"././@LongLink", EntryType::GNULongName, b"from/gnu/long name.txt\0"),
        raw(b"short", EntryType::Regular, b"gnu"),
        raw(b"old/style/", EntryType::Regular, b""),
        raw(b"twice", EntryType::Regular, b"first"),
        raw(b"twice", EntryType::Regular, b"second"),
    ]);
    let files = read_all(&archive, &Limits::default()).unwrap();
    let texts: Vec<_> =
        files.iter().map(|(path, file)| (path.as_str(), std::str::from_utf8(&file.bytes).unwrap())).collect();
    assert_eq!(texts, [("from/gnu/long name.txt", "gnu"), ("from/pax/header.txt", "pax"), ("twice", "second")]);

    let parent = tempfile::tempdir().unwrap();
    let destination = parent.path().join("bundle");
    extract(archive.as_slice(), &destination, &Limits::default(), Strip::Nothing).unwrap();
    assert_eq!(fs::read(destination.join("twice")).unwrap(), b"second");
}

#[test]
fn archives_without_end_marker_and_in_several_members_are_read() {
    let mut bytes = gzip(&raw(b"a", EntryType::Regular, b"1"), Compression::Deflate);
    bytes.extend(gzip(&raw(b"b", EntryType::Regular, b"2"), Compression::Stored));
    assert_eq!(read_all(&bytes, &Limits::default()).unwrap().len(), 2);
}

#[test]
fn evil_paths_are_refused() {
    let limits = Limits::default();
    for (path, complaint) in [
        (&b"/etc/passwd"[..], "is absolute"),
        (b"../up", "`..`"),
        (b"a/../../up", "`..`"),
        (b"a\\..\\b", "backslash"),
        (b"C:/windows", "drive"),
        (b"new\nline", "control"),
        (b"\xff\xfe", "UTF-8"),
    ] {
        let error =
            refusal(&packed(&[raw(b"ok", EntryType::Regular, b"1"), raw(path, EntryType::Regular, b"x")]), &limits);
        assert!(matches!(error, Error::BadPath { .. }) && error.to_string().contains(complaint), "{error}");
    }
    let deep = "d/".repeat(65) + "f";
    let long = "x".repeat(256);
    let too_long = "dir/".repeat(300) + "f";
    for path in [&deep, &long, &too_long] {
        let name = raw(b"././@LongLink", EntryType::GNULongName, path.as_bytes());
        let error = refusal(&packed(&[name, raw(b"f", EntryType::Regular, b"")]), &limits);
        assert!(matches!(error, Error::BadPath { .. }), "{error}");
    }
    let nul = raw(b"x", EntryType::XHeader, b"14 path=a\0bcd\n");
    let error = refusal(&packed(&[nul, raw(b"f", EntryType::Regular, b"")]), &limits);
    assert!(error.to_string().contains("control character"), "{error}");
}

#[test]
fn links_and_devices_are_refused() {
    for (kind, named) in [
        (EntryType::Symlink, "symbolic link"),
        (EntryType::Link, "hard link"),
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "named pipe"),
        (EntryType::GNUSparse, "special file"),
        (EntryType::new(b'V'), "special file"),
    ] {
        let error = refusal(&packed(&[raw(b"data/link", kind, b"")]), &Limits::default());
        assert!(matches!(error, Error::ForbiddenKind { .. }), "{error}");
        assert!(error.to_string().contains(named) && error.to_string().contains("data/link"), "{error}");
    }
}

#[test]
fn conflicts_between_file_and_directory_are_refused() {
    let file = |path: &[u8]| raw(path, EntryType::Regular, b"1");
    for entries in [
        vec![file(b"a"), file(b"a/b")],
        vec![file(b"a/b"), file(b"a")],
        vec![file(b"a"), raw(b"a/", EntryType::Directory, b"")],
        vec![file(b"a"), file(b"a/b/c")],
    ] {
        let error = refusal(&packed(&entries), &Limits::default());
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
}

#[test]
fn limits_hold() {
    let some = packed(&(0..20).map(|n| raw(&[b'a' + n], EntryType::Regular, &[n; 600])).collect::<Vec<_>>());
    read_all(&some, &Limits { entries: 20, entry_bytes: 600, ..Limits::default() }).unwrap();
    let error = refusal(&some, &Limits { entries: 19, ..Limits::default() });
    assert!(matches!(error, Error::TooManyEntries { limit: 19 }), "{error}");
    let error = refusal(&some, &Limits { entry_bytes: 599, ..Limits::default() });
    assert!(matches!(error, Error::EntryTooLarge { limit: 599, .. }), "{error}");
    let error = refusal(&some, &Limits { total_bytes: 10_000, ..Limits::default() });
    assert!(matches!(error, Error::TooLarge { limit: 10_000 }), "{error}");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    // A header that claims 8 GiB, and as many zeros as it takes to notice.
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(3 << 30);
    header.set_cksum();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        packer.write_all(&[0; 1 << 20]).unwrap();
    }
    let bomb = packer.finish().unwrap();
    let error = refusal(&bomb, &Limits { ratio: 100, ..Limits::default() });
    assert!(matches!(error, Error::Bomb { limit: 100 }), "{error}");
    // Zeros after the end of the archive count too.
    let mut tail = raw(b"a", EntryType::Regular, b"1");
    tail.resize(64 << 20, 0);
    let error = refusal(&gzip(&tail, Compression::Deflate), &Limits { ratio: 100, ..Limits::default() });
    assert!(matches!(error, Error::Bomb { .. }), "{error}");
    // A name of 8 MiB is not read into memory.
    let name = raw(b"././@LongLink", EntryType::GNULongName, &vec![b'n'; 8 << 20]);
    let error = refusal(&gzip(&name, Compression::Stored), &Limits::default());
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
}

#[test]
fn every_cut_is_noticed() {
    for compression in [Compression::Stored, Compression::Deflate] {
        let archive = tar_gz(&Files::from([("a/b".to_owned(), "content".into())]), compression).unwrap();
        for length in 0..archive.len() {
            let error = read_all(&archive[..length], &Limits::default()).unwrap_err();
            assert!(matches!(error, Error::Truncated | Error::Corrupt(_)), "cut at {length}: {error}");
        }
    }
    let tar = raw(b"a", EntryType::Regular, b"content");
    for length in 1..tar.len() {
        let error = refusal(&gzip(&tar[..length], Compression::Deflate), &Limits::default());
        assert!(matches!(error, Error::Truncated), "cut at {length}: {error}");
    }
}

#[test]
fn every_flipped_bit_of_the_content_is_noticed() {
    let archive = tar_gz(&Files::from([("a".to_owned(), "content".into())]), Compression::Deflate).unwrap();
    for at in 10..archive.len() {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x10;
        match read_all(&damaged, &Limits::default()) {
            // A few bits only fill up a byte.
            Ok(files) => assert_eq!(files, read_all(&archive, &Limits::default()).unwrap(), "byte {at}"),
            Err(error) => assert!(matches!(error, Error::Truncated | Error::Corrupt(_)), "byte {at}: {error}"),
        }
    }
}

#[test]
fn a_failing_source_is_not_a_bad_archive() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset"))
        }
    }
    let error = scan(Failing, &Limits::default(), |_, _| Ok(())).unwrap_err();
    assert!(!error.is_bad_archive(), "{error}");
}

fn path() -> impl Strategy<Value = String> {
    "[a-zé][a-z0-9._ -]{0,12}(/[a-z0-9_-]{1,40}){0,4}"
}

fn files() -> impl Strategy<Value = Files> {
    let file = (prop::collection::vec(any::<u8>(), 0..1500), any::<bool>());
    let file = file.prop_map(|(bytes, executable)| File { bytes, executable });
    prop::collection::btree_map(path(), file, 0..8)
}

proptest! {
    #[test]
    fn tar_round_trips(files in files(), stored in any::<bool>()) {
        let compression = if stored { Compression::Stored } else { Compression::Deflate };
        let archive = tar_gz(&files, compression).unwrap();
        prop_assert_eq!(&archive, &tar_gz(&files, compression).unwrap());
        prop_assert_eq!(read_all(&archive, &Limits::default()).unwrap(), files);
    }

    #[test]
    fn stored_gzip_is_gzip(bytes in prop::collection::vec(any::<u8>(), 0..200_000)) {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(gzip(&bytes, Compression::Stored).as_slice()).read_to_end(&mut unpacked).unwrap();
        prop_assert_eq!(unpacked, bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), wrapped in any::<bool>()) {
        let archive = if wrapped { gzip(&bytes, Compression::Deflate) } else { bytes };
        let _ = read_all(&archive, &Limits::default());
    }

    /// Damage inside the tar stream, where no checksum of gzip helps, ends in an error or in files, all of them inside.
    #[test]
    fn damaged_tar_stays_inside(
        files in files(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut tar = Vec::new();
        let archive = tar_gz(&files, Compression::Stored).unwrap();
        flate2::read::GzDecoder::new(archive.as_slice()).read_to_end(&mut tar).unwrap();
        for (at, byte, repair) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            // With a right checksum again, half of the time, so that the damage is looked at.
            let block = at / 512 * 512;
            if repair {
                let mut header = tar::Header::from_byte_slice(&tar[block..block + 512]).clone();
                header.set_cksum();
                tar[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        let parent = tempfile::tempdir().unwrap();
        let destination = parent.path().join("bundle");
        let limits = Limits { total_bytes: 1 << 20, ..Limits::default() };
        let result = extract(gzip(&tar, Compression::Stored).as_slice(), &destination, &limits, Strip::TopDirectory);
        let expected: &[&str] = if result.is_ok() { &["bundle"] } else { &[] };
        prop_assert_eq!(names_in(parent.path()), expected);
    }
}
