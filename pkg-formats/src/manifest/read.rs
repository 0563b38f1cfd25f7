use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{
    Environment, EnvironmentManagement, FileEntry, IntegrationRequest, Jupyter, LARGEST, Manifest, ManifestError,
    Metadata, Node, PackageManager, Python, Quarto, RPackage, Requires,
};
use crate::archive;

const MOST_FILES: usize = 200_000;
const MOST_PACKAGES: usize = 10_000;
const MOST_FIELDS: usize = 1_000;
const MOST_OTHERS: usize = 1_000;

/// Reads a manifest.
///
/// # Errors
/// See [`ManifestError`].
pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() > LARGEST {
        return Err(ManifestError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
    let root = Member { path: String::new(), value: &value }.object()?;
    let version = root.get("version").map(|version| version.number()).transpose()?.unwrap_or(1);
    if version != 1 {
        return Err(ManifestError::Invalid { member: "version".to_owned(), reason: "must be 1".to_owned() });
    }
    Ok(Manifest {
        version,
        locale: root.text("locale")?,
        platform: root.text("platform")?,
        metadata: metadata(&root.required("metadata")?.object()?)?,
        jupyter: root.read("jupyter", |jupyter| {
            Ok(Jupyter {
                hide_all_input: jupyter.flag("hide_all_input")?.unwrap_or(false),
                hide_tagged_input: jupyter.flag("hide_tagged_input")?.unwrap_or(false),
            })
        })?,
        quarto: root.read("quarto", |quarto| {
            let engines = quarto.get("engines").map(|engines| engines.elements(MOST_OTHERS)).transpose()?;
            let engines = engines.unwrap_or_default().iter().map(Member::text).collect::<Result<_, _>>()?;
            Ok(Quarto { version: quarto.text("version")?, engines })
        })?,
        python: root.read("python", |python| {
            Ok(Python {
                version: python.text("version")?,
                package_manager: python.read("package_manager", package_manager)?,
            })
        })?,
        node: match root.read("node", node)? {
            Some(node) => Some(node),
            None => root.read("nodejs", node)?,
        },
        packages: root.read("packages", packages)?,
        files: root.get("files").as_ref().map(files).transpose()?,
        environment: root.read("environment", environment)?,
        integration_requests: match root.get("integration_requests") {
            Some(requests) => {
                requests.elements(MOST_OTHERS)?.iter().map(integration_request).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        },
    })
}

fn metadata(metadata: &Object<'_>) -> Result<Metadata, ManifestError> {
    let appmode = metadata.filled("appmode")?.ok_or(ManifestError::Missing("metadata.appmode"))?;
    let primary_rmd = match metadata.filled("primary_rmd")? {
        Some(document) => Some(document),
        None => metadata.filled("primary_document")?,
    };
    Ok(Metadata {
        appmode,
        entrypoint: metadata.filled("entrypoint")?,
        primary_rmd,
        primary_html: metadata.filled("primary_html")?,
        content_category: metadata.filled("content_category")?,
        has_parameters: metadata.flag("has_parameters")?,
    })
}

fn package_manager(manager: &Object<'_>) -> Result<PackageManager, ManifestError> {
    Ok(PackageManager {
        name: manager.text("name")?,
        version: manager.text("version")?,
        package_file: manager.filled("package_file")?,
        allow_uv: manager.flag("allow_uv")?,
    })
}

fn node(node: &Object<'_>) -> Result<Node, ManifestError> {
    Ok(Node { version: node.text("version")?, package_manager: node.read("package_manager", package_manager)? })
}

fn packages(packages: &Object<'_>) -> Result<BTreeMap<String, RPackage>, ManifestError> {
    packages.check_count(MOST_PACKAGES)?;
    packages
        .members()
        .map(|(name, package)| {
            let package = package.object()?;
            let description = package.read("description", description)?.unwrap_or_default();
            let package =
                RPackage { source: package.text("Source")?, repository: package.text("Repository")?, description };
            Ok((name.clone(), package))
        })
        .collect()
}

fn description(fields: &Object<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    fields.check_count(MOST_FIELDS)?;
    let mut description = BTreeMap::new();
    for (name, field) in fields.members() {
        match field.value {
            Value::Null => {}
            // R writes a field that looks like one as a number or a boolean.
            Value::Number(number) => drop(description.insert(name.clone(), number.to_string())),
            Value::Bool(flag) => drop(description.insert(name.clone(), flag.to_string())),
            _ => drop(description.insert(name.clone(), field.text()?)),
        }
    }
    Ok(description)
}

/// Paths with their checksums; pins, for R and Python, lists the paths alone.
fn files(files: &Member<'_>) -> Result<BTreeMap<String, FileEntry>, ManifestError> {
    let invalid = |member: &Member<'_>, reason: &str| {
        Err(ManifestError::Invalid { member: member.path.clone(), reason: reason.to_owned() })
    };
    let plain = |path: &str, member: &Member<'_>| match archive::check_plain(path) {
        Ok(plain) if plain.is_empty() => invalid(member, "is empty"),
        Ok(plain) => Ok(plain),
        Err(reason) => invalid(member, reason),
    };
    if files.value.is_array() {
        let paths = files.elements(MOST_FILES)?;
        let entry = |path: &Member<'_>| Ok((plain(&path.text()?, path)?, FileEntry { checksum: None }));
        return paths.iter().map(entry).collect();
    }
    let files = files.object()?;
    files.check_count(MOST_FILES)?;
    files
        .members()
        .map(|(path, entry)| {
            let plain = plain(path, &entry)?;
            let checksum = if entry.value.is_null() { None } else { entry.object()?.text("checksum")? };
            Ok((plain, FileEntry { checksum }))
        })
        .collect()
}

fn environment(environment: &Object<'_>) -> Result<Environment, ManifestError> {
    let requires = |requires: &Object<'_>| {
        Ok(Requires {
            requires: requires.filled("requires")?,
            package_repository_resolution: requires.filled("package_repository_resolution")?,
        })
    };
    Ok(Environment {
        image: environment.filled("image")?,
        identifier: environment.filled("identifier")?,
        prebuilt: environment.flag("prebuilt")?,
        environment_management: environment.read("environment_management", |managed| {
            let node = match managed.flag("node")? {
                Some(flag) => Some(flag),
                None => managed.flag("nodejs")?,
            };
            Ok(EnvironmentManagement { python: managed.flag("python")?, r: managed.flag("r")?, node })
        })?,
        python: environment.read("python", requires)?,
        r: environment.read("r", requires)?,
        nodejs: environment.read("nodejs", requires)?,
    })
}

fn integration_request(request: &Member<'_>) -> Result<IntegrationRequest, ManifestError> {
    let request = request.object()?;
    Ok(IntegrationRequest {
        guid: request.text("guid")?,
        name: request.text("name")?,
        description: request.text("description")?,
        auth_type: request.text("auth_type")?,
        kind: request.text("type")?,
        config: request.get("config").map_or(Value::Null, |config| config.value.clone()),
    })
}

/// A value and where it stands in the manifest.
struct Member<'v> {
    path: String,
    value: &'v Value,
}

/// An object and where it stands in the manifest. Members that are null count as missing.
struct Object<'v> {
    path: String,
    members: &'v Map<String, Value>,
}

impl<'v> Member<'v> {
    fn wrong(&self, expected: &'static str) -> ManifestError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let member = if self.path.is_empty() { "the manifest".to_owned() } else { self.path.clone() };
        ManifestError::WrongType { member, expected, found }
    }

    fn object(&self) -> Result<Object<'v>, ManifestError> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let members = match self.value {
            Value::Object(members) => members,
            // R writes an object without members as an empty list.
            Value::Array(elements) if elements.is_empty() => &EMPTY,
            _ => return Err(self.wrong("an object")),
        };
        Ok(Object { path: self.path.clone(), members })
    }

    fn text(&self) -> Result<String, ManifestError> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("a string"))
    }

    fn number(&self) -> Result<u64, ManifestError> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number"))
    }

    /// The elements of a list; a lone value counts as a list of one, as R writes vectors of length one.
    fn elements(&self, limit: usize) -> Result<Vec<Member<'v>>, ManifestError> {
        let Value::Array(elements) = self.value else {
            return Ok(vec![Member { path: self.path.clone(), value: self.value }]);
        };
        if elements.len() > limit {
            return Err(ManifestError::TooMany { member: self.path.clone(), limit });
        }
        let element = |(index, value)| Member { path: format!("{}[{index}]", self.path), value };
        Ok(elements.iter().enumerate().map(element).collect())
    }
}

impl<'v> Object<'v> {
    fn path_of(&self, name: &str) -> String {
        let name: String = name.chars().take(120).collect();
        match (self.path.as_str(), name.contains(['.', '/', '\\'])) {
            ("", _) => name,
            (path, false) => format!("{path}.{name}"),
            (path, true) => format!("{path}[{name:?}]"),
        }
    }

    fn members(&self) -> impl Iterator<Item = (&'v String, Member<'v>)> {
        self.members.iter().map(|(name, value)| (name, Member { path: self.path_of(name), value }))
    }

    fn get(&self, name: &str) -> Option<Member<'v>> {
        let value = self.members.get(name).filter(|value| !value.is_null())?;
        Some(Member { path: self.path_of(name), value })
    }

    fn required(&self, name: &'static str) -> Result<Member<'v>, ManifestError> {
        self.get(name).ok_or(ManifestError::Missing(name))
    }

    fn text(&self, name: &str) -> Result<Option<String>, ManifestError> {
        self.get(name).map(|member| member.text()).transpose()
    }

    /// A text that counts as missing when it is empty.
    fn filled(&self, name: &str) -> Result<Option<String>, ManifestError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ManifestError> {
        let Some(member) = self.get(name) else { return Ok(None) };
        member.value.as_bool().map(Some).ok_or_else(|| member.wrong("true or false"))
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Object<'v>) -> Result<T, ManifestError>,
    ) -> Result<Option<T>, ManifestError> {
        self.get(name).map(|member| read(&member.object()?)).transpose()
    }

    fn check_count(&self, limit: usize) -> Result<(), ManifestError> {
        match self.members.len() {
            count if count > limit => Err(ManifestError::TooMany { member: self.path.clone(), limit }),
            _ => Ok(()),
        }
    }
}
