use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{EntryType, Header};

use super::{Error, Limits, plain_path};

const BLOCK: usize = 512;
/// Below this many unpacked bytes the compression ratio is no danger, and honest data may well be mostly zeros.
const RATIO_FROM: u64 = 16 << 20;

/// Extended headers hold long names, and with macOS the attributes of a file.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative path with `/` between components; checked, without `./` and trailing slash.
    pub path: String,
    /// File or directory.
    pub kind: Kind,
    /// Bytes of the file; 0 for a directory.
    pub size: u64,
    /// Whether the owner may execute the file.
    pub executable: bool,
}

/// What a whole archive held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The one top directory that holds everything, when there is one.
    pub top: Option<String>,
}

/// Whether [`extract`] keeps a top directory that holds everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strip {
    /// Paths stay as they are in the archive.
    Nothing,
    /// When everything lies in one top directory, its content becomes the content of the destination.
    TopDirectory,
}

/// Reads a gzip-compressed tar archive to its very end and shows each file and directory to `visit`, in order.
///
/// The visitor may read as much of the entry as it likes; the rest is skipped. A path may come twice, as in any tar
/// file; the later one counts.
///
/// # Errors
/// The first thing that is wrong with the archive, or what the visitor returned.
pub fn scan(
    archive: impl Read,
    limits: &Limits,
    mut visit: impl FnMut(&Entry, &mut dyn Read) -> Result<(), Error>,
) -> Result<Summary, Error> {
    let mut tar = Tar::new(archive, limits);
    let mut summary = Summary::default();
    let mut tops = BTreeSet::new();
    let mut file_at_top = false;
    while let Some(entry) = tar.next_entry()? {
        if entry.path.is_empty() {
            if entry.kind == Kind::File {
                return Err(Error::BadPath { path: String::new(), reason: "is empty" });
            }
            continue;
        }
        if entry.kind == Kind::File {
            summary.files += 1;
            summary.bytes += entry.size;
            file_at_top |= !entry.path.contains('/');
        }
        if tops.len() < 2 {
            tops.extend(entry.path.split('/').next().map(str::to_owned));
        }
        let mut data = Data { left: entry.size, tar: &mut tar };
        visit(&entry, &mut data)?;
        let left = data.left;
        tar.skip(left + padding(entry.size))?;
    }
    if tops.len() == 1 && !file_at_top {
        summary.top = tops.pop_first();
    }
    Ok(summary)
}

/// Unpacks an archive into the directory `destination`, which must not exist yet (its parent must).
///
/// The files appear all at once: they are written beside the destination and moved there when the whole archive is
/// known to be good. On error nothing is left behind; remains of an attempt that was killed are removed by the next.
/// Of the permissions only the owner's execute bit is kept.
///
/// # Errors
/// As [`scan`]; [`Error::Io`] when the destination exists or cannot be written.
pub fn extract(archive: impl Read, destination: &Path, limits: &Limits, strip: Strip) -> Result<Summary, Error> {
    let name = destination
        .file_name()
        .ok_or_else(|| Error::Io(io::Error::new(io::ErrorKind::InvalidInput, "the destination has no name")))?;
    if destination.symlink_metadata().is_ok() {
        return Err(Error::Io(io::Error::new(io::ErrorKind::AlreadyExists, "the destination exists already")));
    }
    let mut staged = std::ffi::OsString::from(".");
    staged.push(name);
    staged.push(".partial");
    let staging = destination.with_file_name(staged);
    remove_tree(&staging)?;
    let result = fs::create_dir(&staging).map_err(Error::Io).and_then(|()| {
        let summary = unpack(archive, &staging, limits)?;
        match (&summary.top, strip) {
            (Some(top), Strip::TopDirectory) => fs::rename(staging.join(top), destination)?,
            _ => fs::rename(&staging, destination)?,
        }
        Ok(summary)
    });
    // Still there after a failure, and as an empty shell after stripping.
    remove_tree(&staging)?;
    result
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Io(error)),
        _ => Ok(()),
    }
}

fn unpack(archive: impl Read, root: &Path, limits: &Limits) -> Result<Summary, Error> {
    scan(archive, limits, |entry, data| {
        let path = root.join(&entry.path);
        let conflict = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                Error::Conflict { path: entry.path.clone() }
            }
            _ => Error::Io(error),
        };
        match entry.kind {
            Kind::Directory => fs::create_dir_all(&path).map_err(conflict),
            Kind::File => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(conflict)?;
                }
                let mut file = fs::File::create(&path).map_err(conflict)?;
                io::copy(data, &mut file)?;
                #[cfg(unix)]
                if entry.executable {
                    use std::os::unix::fs::PermissionsExt;
                    file.set_permissions(fs::Permissions::from_mode(0o755))?;
                }
                Ok(())
            }
        }
    })
}

/// Bytes that fill an entry's last block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// A tar stream that is being unpacked.
///
/// The `tar` crate understands the headers; the walk is our own because its walk reads the long-name headers of a
/// foreign archive into memory without a bound.
struct Tar<'a, R> {
    stream: MultiGzDecoder<Counted<R>>,
    unpacked: u64,
    entries: u64,
    limits: &'a Limits,
}

impl<'a, R: Read> Tar<'a, R> {
    fn new(archive: R, limits: &'a Limits) -> Self {
        let stream = MultiGzDecoder::new(Counted { inner: archive, count: 0 });
        Self { stream, unpacked: 0, entries: 0, limits }
    }

    /// The next file or directory, the stream standing at its data; at the end `None`, the whole stream having been read.
    fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut long_path: Option<Vec<u8>> = None;
        loop {
            let Some(block) = self.header_block()? else {
                return match long_path {
                    Some(_) => Err(Error::Truncated),
                    None => Ok(None),
                };
            };
            let header = Header::from_byte_slice(&block);
            check_header(header)?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Error::TooManyEntries { limit: self.limits.entries });
            }
            let size = header.entry_size().map_err(|error| Error::Corrupt(error.to_string()))?;
            let kind = match header.entry_type() {
                EntryType::GNULongName => {
                    let mut name = self.extension(size)?;
                    while name.last() == Some(&0) {
                        name.pop();
                    }
                    long_path = Some(name);
                    continue;
                }
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    if let Some(path) = pax_path(&records)? {
                        long_path = Some(path);
                    }
                    continue;
                }
                // Global headers carry comments such as a git commit.
                EntryType::XGlobalHeader => {
                    self.extension(size)?;
                    continue;
                }
                EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
                EntryType::Directory => Ok(Kind::Directory),
                EntryType::Symlink => Err("symbolic link"),
                EntryType::Link | EntryType::GNULongLink => Err("hard link"),
                EntryType::Char | EntryType::Block => Err("device"),
                EntryType::Fifo => Err("named pipe"),
                _ => Err("special file"),
            };
            let raw = long_path.take().unwrap_or_else(|| header.path_bytes().into_owned());
            let path = plain_path(&raw, self.limits)?;
            let kind = kind.map_err(|kind| Error::ForbiddenKind { path: path.clone(), kind })?;
            // Before POSIX a directory was a file whose name ends in a slash.
            let kind = if raw.last() == Some(&b'/') { Kind::Directory } else { kind };
            if kind == Kind::Directory && size != 0 {
                return Err(Error::Corrupt(format!("the directory `{path}` has content")));
            }
            if size > self.limits.entry_bytes {
                return Err(Error::EntryTooLarge { path, limit: self.limits.entry_bytes });
            }
            let executable = header.mode().is_ok_and(|mode| mode & 0o100 != 0);
            return Ok(Some(Entry { path, kind, size, executable }));
        }
    }

    /// The next header; `None` at the end of the archive, whose trailing bytes have then been read and checked.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.read(&mut block[filled..])? {
                // Some writers leave out the two blocks of zeros that end an archive.
                0 if filled == 0 => return Ok(None),
                0 => return Err(Error::Truncated),
                count => filled += count,
            }
        }
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        let mut rest = [0; 8192];
        while self.read(&mut rest)? > 0 {}
        Ok(None)
    }

    /// The data of a header that extends the next one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > LARGEST_EXTENSION {
            return Err(Error::Corrupt(format!("an extended header is larger than {LARGEST_EXTENSION} bytes")));
        }
        let mut data = Vec::new();
        Data { left: size, tar: self }.read_to_end(&mut data)?;
        self.skip(padding(size))?;
        Ok(data)
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        let mut sink = [0; 8192];
        while bytes > 0 {
            let want = bytes.min(sink.len() as u64) as usize;
            match self.read(&mut sink[..want])? {
                0 => return Err(Error::Truncated),
                count => bytes -= count as u64,
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let count = loop {
            match self.stream.read(buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(match error.kind() {
                        io::ErrorKind::UnexpectedEof => Error::Truncated,
                        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Error::Corrupt(error.to_string()),
                        _ => Error::from(error),
                    });
                }
            }
        };
        self.unpacked += count as u64;
        if self.unpacked > self.limits.total_bytes {
            return Err(Error::TooLarge { limit: self.limits.total_bytes });
        }
        let packed = self.stream.get_ref().count;
        if self.unpacked > RATIO_FROM && self.unpacked / self.limits.ratio.max(1) > packed {
            return Err(Error::Bomb { limit: self.limits.ratio });
        }
        Ok(count)
    }
}

/// The data of one entry.
struct Data<'t, 'a, R> {
    tar: &'t mut Tar<'a, R>,
    left: u64,
}

impl<R: Read> Read for Data<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = self.left.min(buffer.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        match self.tar.read(&mut buffer[..want]) {
            Ok(0) => Err(io::Error::other(Error::Truncated)),
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Counts the compressed bytes.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

fn check_header(header: &Header) -> Result<(), Error> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    match header.cksum() {
        Ok(stated) if stated == sum => Ok(()),
        _ => Err(Error::Corrupt("a tar header has a wrong checksum".to_owned())),
    }
}

/// The path in the records of a POSIX extended header, if they name one.
fn pax_path(records: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut path = None;
    for record in tar::PaxExtensions::new(records) {
        let record = record.map_err(|error| Error::Corrupt(error.to_string()))?;
        match record.key_bytes() {
            b"path" => path = Some(record.value_bytes().to_vec()),
            // A size that differs from the header's would let two readers see two different archives.
            b"size" => return Err(Error::Corrupt("an extended header overrides the size of a file".to_owned())),
            key if key.starts_with(b"GNU.sparse") => {
                return Err(Error::ForbiddenKind { path: path_text(path.as_deref()), kind: "sparse file" });
            }
            _ => {}
        }
    }
    Ok(path)
}

fn path_text(path: Option<&[u8]>) -> String {
    String::from_utf8_lossy(path.unwrap_or(b"?")).escape_debug().to_string()
}
