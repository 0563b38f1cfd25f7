use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{CoreMetadata, Error, File, ProjectPage, RootPage, check_size, check_version};

#[derive(Serialize, Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: String,
    #[serde(rename = "_last-serial", default, skip_serializing_if = "Option::is_none", deserialize_with = "serial")]
    last_serial: Option<u64>,
}

/// No specification tells what this member is; indexes write a number, or a string of its digits.
fn serial<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().or_else(|| value.as_str()?.parse().ok()))
}

#[derive(Serialize, Deserialize)]
struct Project {
    meta: Meta,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<String>>,
    #[serde(rename = "project-status", default, skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    files: Vec<JsonFile>,
}

#[derive(Serialize, Deserialize)]
struct Status {
    status: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_python: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_time: Option<String>,
    #[serde(default)]
    yanked: Flag<String>,
    #[serde(default)]
    core_metadata: Flag<BTreeMap<String, String>>,
    // The name of the same thing before PEP 714. The one without `data-` must never be an object: pip 22.3 crashes.
    #[serde(default)]
    data_dist_info_metadata: Flag<BTreeMap<String, String>>,
}

/// `false`, `true`, or something that says more than `true`.
#[derive(Serialize, Deserialize, Clone)]
#[serde(untagged)]
enum Flag<T> {
    Plain(bool),
    More(T),
    /// Some indexes write null for `false`.
    Null,
}

impl<T> Default for Flag<T> {
    fn default() -> Self {
        Self::Plain(false)
    }
}

impl From<CoreMetadata> for Flag<BTreeMap<String, String>> {
    fn from(core_metadata: CoreMetadata) -> Self {
        match core_metadata {
            CoreMetadata::Absent => Self::Plain(false),
            CoreMetadata::Available => Self::Plain(true),
            CoreMetadata::Hashed(hashes) => Self::More(hashes),
        }
    }
}

impl From<Flag<BTreeMap<String, String>>> for CoreMetadata {
    fn from(flag: Flag<BTreeMap<String, String>>) -> Self {
        match flag {
            Flag::Plain(false) | Flag::Null => Self::Absent,
            Flag::Plain(true) => Self::Available,
            Flag::More(hashes) => Self::Hashed(hashes),
        }
    }
}

impl From<&File> for JsonFile {
    fn from(file: &File) -> Self {
        let core_metadata: Flag<_> = file.core_metadata.clone().into();
        Self {
            filename: file.filename.clone(),
            url: file.url.clone(),
            hashes: file.hashes.clone(),
            requires_python: file.requires_python.clone(),
            size: file.size,
            upload_time: file.upload_time.clone(),
            yanked: match &file.yanked {
                None => Flag::Plain(false),
                Some(reason) if reason.is_empty() => Flag::Plain(true),
                Some(reason) => Flag::More(reason.clone()),
            },
            core_metadata: core_metadata.clone(),
            data_dist_info_metadata: core_metadata,
        }
    }
}

impl From<JsonFile> for File {
    fn from(file: JsonFile) -> Self {
        let core_metadata = match file.core_metadata.into() {
            CoreMetadata::Absent => file.data_dist_info_metadata.into(),
            known => known,
        };
        Self {
            filename: file.filename,
            url: file.url,
            hashes: file.hashes,
            requires_python: file.requires_python,
            size: file.size,
            upload_time: file.upload_time,
            yanked: match file.yanked {
                Flag::Plain(false) | Flag::Null => None,
                Flag::Plain(true) => Some(String::new()),
                Flag::More(reason) => Some(reason),
            },
            core_metadata,
        }
    }
}

impl ProjectPage {
    /// The JSON form. Its version is the lowest that has all that the page says: sizes and versions need 1.1, a status
    /// 1.4.
    pub fn to_json(&self) -> String {
        // From 1.1 on both are promised, so a page that lacks a size cannot claim it.
        let sized = self.files.iter().all(|file| file.size.is_some());
        let api_version = match (sized, &self.status) {
            (false, _) => "1.0",
            (true, None) => "1.1",
            (true, Some(_)) => "1.4",
        };
        let page = Project {
            meta: Meta { api_version: api_version.to_owned(), last_serial: self.last_serial },
            name: self.name.clone(),
            versions: sized.then(|| self.versions.clone()),
            status: self.status.clone().map(|status| Status { status }),
            files: self.files.iter().map(JsonFile::from).collect(),
        };
        serde_json::to_string(&page).expect("strings, numbers and maps with string keys always serialise")
    }

    /// Reads the JSON form. Unknown members are ignored.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes)?;
        let page: Project = serde_json::from_slice(bytes).map_err(|error| Error::Json(error.to_string()))?;
        check_version(&page.meta.api_version)?;
        Ok(Self {
            name: page.name,
            versions: page.versions.unwrap_or_default(),
            files: page.files.into_iter().map(File::from).collect(),
            last_serial: page.meta.last_serial,
            status: page.status.map(|status| status.status),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Root {
    meta: Meta,
    projects: Vec<Named>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

impl RootPage {
    /// The JSON form.
    pub fn to_json(&self) -> String {
        let page = Root {
            meta: Meta { api_version: "1.1".to_owned(), last_serial: self.last_serial },
            projects: self.projects.iter().map(|name| Named { name: name.clone() }).collect(),
        };
        serde_json::to_string(&page).expect("strings and numbers always serialise")
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes)?;
        let page: Root = serde_json::from_slice(bytes).map_err(|error| Error::Json(error.to_string()))?;
        check_version(&page.meta.api_version)?;
        let projects = page.projects.into_iter().map(|project| project.name).collect();
        Ok(Self { projects, last_serial: page.meta.last_serial })
    }
}
