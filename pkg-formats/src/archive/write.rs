use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::{Error, Limits, plain_path};

/// A file to be put into an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Content.
    pub bytes: Vec<u8>,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

impl From<Vec<u8>> for File {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, executable: false }
    }
}

impl From<String> for File {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for File {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

/// Files by relative path, `/` between components. Archives hold them in this order.
pub type Files = BTreeMap<String, File>;

/// How an archive's bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, in valid gzip: the bytes do not depend on a compression library's version. For small archives
    /// that are made again and again.
    Stored,
    /// Deflate at the usual level.
    Deflate,
}

/// Compresses bytes with gzip; time 0, no name, unknown operating system.
pub fn gzip(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Stored => gzip_stored(bytes),
        Compression::Deflate => {
            let out = Vec::with_capacity(bytes.len() / 4 + 64);
            let mut writer = flate2::GzBuilder::new().operating_system(255).write(out, flate2::Compression::default());
            writer.write_all(bytes).expect("writing to memory cannot fail");
            writer.finish().expect("writing to memory cannot fail")
        }
    }
}

fn gzip_stored(bytes: &[u8]) -> Vec<u8> {
    const LARGEST: usize = 0xffff;
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / LARGEST * 5 + 32);
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut rest = bytes;
    loop {
        let (block, after) = rest.split_at(rest.len().min(LARGEST));
        let length = u16::try_from(block.len()).expect("a stored block is at most 65535 bytes");
        out.push(u8::from(after.is_empty()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

/// Packs files into a gzip-compressed tar archive: sorted, time 0, owner 0. Directories have entries too, each before what
/// lies in it: renv takes an R package for a binary one by that of `Meta`.
///
/// # Errors
/// [`Error::BadPath`] when a path is not plain and relative.
pub fn tar_gz(files: &Files, compression: Compression) -> Result<Vec<u8>, Error> {
    tar_gz_at(files, compression, 0)
}

/// The same with a time for all files, in seconds since 1970.
///
/// # Errors
/// [`Error::BadPath`] when a path is not plain and relative.
pub fn tar_gz_at(files: &Files, compression: Compression, at: u64) -> Result<Vec<u8>, Error> {
    let size = files.values().map(|file| file.bytes.len() + 1024).sum::<usize>() + 4096;
    let mut tar = tar::Builder::new(Vec::with_capacity(size));
    let mut known = BTreeSet::new();
    for (path, file) in files {
        check_path(path)?;
        for directory in new_directories(path, &mut known) {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_mtime(at);
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            tar.append_data(&mut header, directory, std::io::empty())?;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mtime(at);
        // R's unpacker does not know the old spelling of this, a zero byte.
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        tar.append_data(&mut header, path, file.bytes.as_slice())?;
    }
    Ok(gzip(&tar.into_inner()?, compression))
}

/// The directories above `path`, with a slash at the end, of which nothing was `known`.
fn new_directories<'a>(path: &'a str, known: &mut BTreeSet<&'a str>) -> Vec<&'a str> {
    path.match_indices('/').map(|(at, _)| &path[..=at]).filter(|directory| known.insert(directory)).collect()
}

/// Packs files into a zip file: in the order given, stored without compression, times 1980-01-01.
///
/// # Errors
/// [`Error::BadPath`] when a path is not plain and relative; [`Error::TooLarge`] beyond the classic format's 4 GiB or
/// 65,535 files.
pub fn zip<'a>(files: impl IntoIterator<Item = (&'a str, &'a File)>) -> Result<Vec<u8>, Error> {
    let mut zip = Zip::default();
    for (path, file) in files {
        check_path(path)?;
        zip.add(path, file)?;
    }
    zip.end()
}

/// As [`zip`], with entries for directories too, as [`tar_gz`] has them.
///
/// # Errors
/// As [`zip`].
pub fn zip_with_directories(files: &Files) -> Result<Vec<u8>, Error> {
    let mut zip = Zip::default();
    let mut known = BTreeSet::new();
    for (path, file) in files {
        check_path(path)?;
        for directory in new_directories(path, &mut known) {
            zip.add(directory, &File::default())?;
        }
        zip.add(path, file)?;
    }
    zip.end()
}

/// A zip file that is being written. Written here rather than by a library, so that its bytes, and the digests that clients
/// pin, stay what they are.
#[derive(Default)]
struct Zip {
    out: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Zip {
    const LARGEST: u64 = u32::MAX as u64;

    /// Adds a file; a directory, where the path ends in a slash.
    fn add(&mut self, path: &str, file: &File) -> Result<(), Error> {
        self.count = self.count.checked_add(1).ok_or(Error::TooManyEntries { limit: u64::from(u16::MAX) })?;
        let (Ok(size), Ok(offset)) = (u32::try_from(file.bytes.len()), u32::try_from(self.out.len())) else {
            return Err(Error::TooLarge { limit: Self::LARGEST });
        };
        let mut crc = flate2::Crc::new();
        crc.update(&file.bytes);
        // Shared by the local header and the directory: version 2.0, UTF-8 names, stored, 1980-01-01 00:00.
        let mut common = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        common.extend_from_slice(&crc.sum().to_le_bytes());
        common.extend_from_slice(&size.to_le_bytes());
        common.extend_from_slice(&size.to_le_bytes());
        common.extend_from_slice(&(path.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);

        self.out.extend_from_slice(b"PK\x03\x04");
        self.out.extend_from_slice(&common);
        self.out.extend_from_slice(path.as_bytes());
        self.out.extend_from_slice(&file.bytes);

        // Made by version 2.0 on Unix, so that the mode counts.
        self.directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        self.directory.extend_from_slice(&common);
        self.directory.extend_from_slice(&[0; 6]);
        let mode: u32 = match (path.ends_with('/'), file.executable) {
            (true, _) => 0o040_755,
            (false, true) => 0o100_755,
            (false, false) => 0o100_644,
        };
        self.directory.extend_from_slice(&(mode << 16).to_le_bytes());
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(path.as_bytes());
        Ok(())
    }

    fn end(self) -> Result<Vec<u8>, Error> {
        let Self { mut out, mut directory, count } = self;
        let (Ok(start), Ok(size)) = (u32::try_from(out.len()), u32::try_from(directory.len())) else {
            return Err(Error::TooLarge { limit: Self::LARGEST });
        };
        out.append(&mut directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        Ok(out)
    }
}

/// A path that is written is as plain as one that would be read back.
fn check_path(path: &str) -> Result<(), Error> {
    let plain = plain_path(path.as_bytes(), &Limits::default())?;
    if plain.is_empty() || plain != path {
        return Err(Error::BadPath { path: path.escape_debug().to_string(), reason: "is not in plain form" });
    }
    Ok(())
}
