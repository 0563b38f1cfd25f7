//! `Meta/archive.rds` and `Meta/current.rds`: lists of a repository's files as R's `file.info` tells them.
//!
//! CRAN has them; `remotes::install_version` reads the first to find older versions.

use super::rds::{Data, Value};
use crate::archive::{Compression, gzip};

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name: `a_1.0.tar.gz`, or in the archive `a/a_1.0.tar.gz`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it came, in seconds since 1970.
    pub time: i64,
}

/// `Meta/archive.rds`: a list with a data frame for each package, whose rows are the package's archived files.
pub fn archive_rds(packages: &[(String, Vec<ListedFile>)]) -> Vec<u8> {
    let frames = packages.iter().map(|(name, files)| (name.as_str(), file_info(files)));
    gzip(&Value::named_list(frames).to_bytes(), Compression::Deflate)
}

/// `Meta/current.rds`: a data frame whose rows are the current files.
pub fn current_rds(files: &[ListedFile]) -> Vec<u8> {
    gzip(&file_info(files).to_bytes(), Compression::Deflate)
}

/// What `file.info` gives, without the columns that tell of owners.
fn file_info(files: &[ListedFile]) -> Value<'_> {
    let times = || {
        let seconds = files.iter().map(|file| file.time as f64).collect();
        Value::from(Data::Real(seconds)).with_class(["POSIXct", "POSIXt"])
    };
    let columns = [
        ("size", Data::Real(files.iter().map(|file| file.size as f64).collect()).into()),
        ("isdir", Data::Logical(vec![Some(false); files.len()]).into()),
        ("mode", Value::integers(files.iter().map(|_| 0o644)).with_class(["octmode"])),
        ("mtime", times()),
        ("ctime", times()),
        ("atime", times()),
    ];
    Value::named_list(columns)
        .with_class(["data.frame"])
        .with("row.names", Value::strings(files.iter().map(|file| file.path.as_str())))
}

#[cfg(test)]
mod tests {
    use super::super::rds;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = ListedFile { path: "a/a_1.0.tar.gz".into(), size: 12, time: 1_700_000_000 };
        let files = [file];
        let bytes = Value::named_list([("a", file_info(&files))]).to_bytes();
        let read = rds::read(&bytes).unwrap();
        let frame = read.element("a").unwrap();
        let rows = frame.attribute("row.names").unwrap().as_strings().unwrap();
        assert_eq!(rows[0].as_deref(), Some("a/a_1.0.tar.gz"));
        assert_eq!(frame.element("mtime").unwrap().data, Data::Real(vec![1_700_000_000.0]));
        assert_eq!(rds::read(&Value::named_list::<&str>([]).to_bytes()).unwrap().data, Data::List(vec![]));
    }
}
