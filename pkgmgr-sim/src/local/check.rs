//! What is in a package file that somebody adds: it must be whole, of the source's language, and named as it says inside.

use bytes::Bytes;
use pkg_formats::dcf;
use pkg_formats::python::distribution::{self, Distribution};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::python::version;
use pkg_formats::r::{self, package};

use super::{Told, Upload};
use crate::error::Error;
use crate::spool::Spool;
use crate::stamp::LIMITS;

/// A package file that has been looked into.
pub(super) enum Checked {
    R { name: String, version: r::RVersion, description: String },
    Python { metadata: Box<Metadata>, filename: String, beside: Option<Bytes> },
}

/// What is in an uploaded file, if all is as it should be.
pub(super) fn check(python: bool, upload: Upload) -> Result<(Checked, Upload), Error> {
    let Upload { file, told } = &upload;
    let arrived = |what: &str, told: &Option<String>, found: &str| match told {
        Some(told) if !told.eq_ignore_ascii_case(found) => Err(Error::BadRequest(format!(
            "the {what} of the file is {found}, not {told}: it did not arrive as it was sent"
        ))),
        _ => Ok(()),
    };
    arrived("SHA-256", &told.sha256, &file.sha256.to_string())?;
    arrived("MD5", &told.md5, &file.md5)?;
    let checked = if python { check_python(file, told)? } else { check_r(file, told)? };
    let (name, version) = match &checked {
        Checked::R { name, version, .. } => (name.clone(), version.to_string()),
        Checked::Python { metadata, .. } => (metadata.name.clone(), metadata.version.clone()),
    };
    if told.name.as_ref().is_some_and(|told| normalize(told) != normalize(&name)) {
        return Err(Error::BadRequest(format!("the package inside the file is named {name}")));
    }
    if told.version.as_ref().is_some_and(|told| *told != version && version::parse(told) != version::parse(&version)) {
        return Err(Error::BadRequest(format!("the package inside the file has version {version}")));
    }
    Ok((checked, upload))
}

fn check_r(file: &Spool, told: &Told) -> Result<Checked, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::BadRequest(format!("this is not an R source package: {error}"));
    if told.filename.as_ref().is_some_and(|name| name.ends_with(".whl")) {
        return Err(bad(&"a wheel belongs into a source of type local-python"));
    }
    let description = package::read_description(file.open()?, &LIMITS).map_err(|error| bad(&error))?;
    let (name, version) = package::identity(&description).map_err(|error| bad(&error))?;
    for field in ["Depends", "Imports", "LinkingTo", "Suggests", "Enhances"] {
        r::deps::parse(description.get(field).unwrap_or_default()).map_err(|error| bad(&error))?;
    }
    if description.get("Built").is_some() {
        return Err(bad(&"it is built for one R version and platform; add what R CMD build makes"));
    }
    let expected = format!("{name}_{version}.tar.gz");
    if let Some(told) = told.filename.as_ref().filter(|told| **told != expected) {
        return Err(Error::BadRequest(format!("the file must be named {expected}, not {told}")));
    }
    Ok(Checked::R { name: name.to_owned(), version, description: dcf::write(std::slice::from_ref(&description)) })
}

fn check_python(file: &Spool, told: &Told) -> Result<Checked, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::BadRequest(format!("this is not a Python package: {error}"));
    let filename = told.filename.clone().ok_or_else(|| bad(&"the name of the file is missing"))?;
    let read = Distribution::read(&filename, file.open()?, &LIMITS);
    let Distribution { metadata, beside } = read.map_err(|error| match error {
        distribution::Error::OtherInside { name, version } => Error::BadRequest(format!(
            "{filename} holds {name} {version}: name and version of the file must be those inside"
        )),
        error => bad(&error),
    })?;
    Ok(Checked::Python { metadata: Box::new(metadata), filename, beside: beside.map(Bytes::from) })
}

#[cfg(test)]
mod tests {
    use super::super::LARGEST;
    use super::*;
    use pkg_formats::archive::Files;
    use pkg_formats::python::sdist::SdistSpec;
    use pkg_formats::python::wheel::WheelSpec;
    use pkg_formats::r::source::{SourceSpec, description};
    use proptest::prelude::*;

    fn uploads() -> Vec<(bool, &'static str, Vec<u8>)> {
        let metadata = Metadata::new("a", "1.0");
        let r = SourceSpec { description: description("a", "1.0", "T"), files: Files::new() };
        let wheel = WheelSpec::new(metadata.clone(), Files::new());
        let sdist = SdistSpec { metadata, files: Files::new() };
        vec![
            (false, "a_1.0.tar.gz", r.tar_gz().unwrap()),
            (true, "a-1.0-py3-none-any.whl", wheel.zip().unwrap()),
            (true, "a-1.0.tar.gz", sdist.tar_gz().unwrap()),
        ]
    }

    fn checked(python: bool, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let file = runtime.block_on(async {
            let world = sim_kit::World::open(&sim_kit::WorldConfig::default(), &[]).await.unwrap();
            let piece = Ok::<_, std::io::Error>(Bytes::from(bytes));
            Spool::receive(&world, LARGEST, futures_util::stream::iter([piece])).await.map(|file| (file, world))
        });
        let (file, _world) = file.unwrap();
        check(python, Upload { file, told: Told { filename: Some(name.to_owned()), ..Told::default() } }).map(drop)
    }

    #[test]
    fn good_files_are_taken() {
        for (python, name, bytes) in uploads() {
            checked(python, name, bytes).unwrap();
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_refused_as_the_senders_mistake(
            nth in 0..3_usize,
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<Option<proptest::sample::Index>>(),
            name in proptest::option::of("[ -~]{0,30}(\\.whl|\\.tar\\.gz)?"),
        ) {
            let (python, own, mut bytes) = uploads().swap_remove(nth);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                let at = cut.index(bytes.len());
                bytes.truncate(at);
            }
            // A change may fall where nobody looks; what is refused is refused with a reason.
            if let Err(error) = checked(python, name.as_deref().unwrap_or(own), bytes) {
                prop_assert!(matches!(error, Error::BadRequest(_)), "{error}");
            }
        }
    }
}
