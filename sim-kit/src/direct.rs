//! Files written past the system's cache.
//!
//! A file that is not read soon takes pages of the cache for nothing: to find room for them and to copy to them takes several times
//! what the disk takes to fetch the bytes from where they are. They are on the disk afterwards, too, and not on their way.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Fewer bytes are not worth waiting for a disk.
pub(crate) const LEAST: usize = 256 << 10;
/// What the place of bytes in memory, the place in the file, and their number have to be multiples of: as much as any disk asks for.
const BLOCK: usize = 4096;

/// Writes a file under a name in the folder `incoming` and gives it the path `target` when it is complete.
///
/// # Errors
/// When it cannot be written; then there is nothing at `target`.
pub(crate) fn write(incoming: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(incoming)?;
    let file = tempfile::NamedTempFile::new_in(incoming)?;
    fill(file.as_file(), bytes)?;
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    file.persist(target)?;
    Ok(())
}

fn fill(file: &File, bytes: &[u8]) -> io::Result<()> {
    let blocks = bytes.len() - bytes.len() % BLOCK;
    let mut done = 0;
    // Not every file system can, nor does every allocator give large memory at such a place.
    if bytes.as_ptr().align_offset(BLOCK) == 0 && system::pass_cache(file, true).is_ok() {
        match file.write_all_at(&bytes[..blocks], 0) {
            Ok(()) => done = blocks,
            // This one wants another alignment.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        system::pass_cache(file, false)?;
    }
    file.write_all_at(&bytes[done..], done as u64)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    pub(super) fn pass_cache(file: &File, pass: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(file)?;
        flags.set(OFlags::DIRECT, pass);
        Ok(fcntl_setfl(file, flags)?)
    }
}

/// Elsewhere everything goes through the cache.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn pass_cache(_: &File, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (incoming, target) = (folder.path().join("incoming"), folder.path().join("a/b/file"));
        let bytes: Vec<u8> = (0..LEAST + 2 * BLOCK).map(|n| (n % 251) as u8).collect();
        let aligned = bytes.as_ptr().align_offset(BLOCK);
        // In place of the file before, and from an address that is no multiple of anything, too.
        for (start, length) in [(0, 0), (0, 1), (0, BLOCK), (0, LEAST), (0, LEAST + 1), (0, LEAST - 1), (1, LEAST)] {
            let start = aligned + start;
            let bytes = &bytes[start..start + length];
            write(&incoming, &target, bytes).unwrap();
            assert!(fs::read(&target).unwrap() == bytes, "{length} bytes");
        }
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
        // What cannot get its name leaves nothing.
        fs::create_dir_all(folder.path().join("taken/by")).unwrap();
        assert!(write(&incoming, &folder.path().join("taken"), &bytes).is_err());
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    }
}
