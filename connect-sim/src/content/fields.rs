//! The fields of a content item that callers set, each checked.

use crate::access::{AccessType, Role};
use crate::auth::Principal;
use crate::config::Config;
use crate::content_type::{ContentType, Kind};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::scheduler::Scheduler;
use crate::store::content::{Content, Settings};

/// When fields are set: some only later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// With the item.
    Creation,
    /// Afterwards.
    Update,
}

fn bad(code: Code, text: impl Into<String>) -> Error {
    Error::bad(code, text)
}

/// Whether a name suits an item.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (3..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Sets what `fields` say. Members that it does not know are ignored, as are those that only the server sets.
///
/// # Errors
/// 400 that names the field; 403 for fields that only administrators set.
pub fn apply(
    config: &Config,
    principal: &Principal,
    fields: &Fields,
    content: &mut Content,
    moment: Moment,
) -> Result<()> {
    match fields.text("name")?.value() {
        // Publisher sends an empty name with everything.
        None => {}
        Some(name) if name.is_empty() => {}
        Some(name) if is_name(&name) => content.name = name,
        Some(_) => {
            let text = "`name` must have 3 to 64 characters, each a letter, a digit, `-`, `_` or `.`.";
            return Err(bad(Code::InvalidApplicationName, text));
        }
    }
    match fields.text("title")? {
        Given::Absent => {}
        Given::Null => content.title = None,
        Given::Value(title) if title.is_empty() => content.title = None,
        Given::Value(title) if (3..=1024).contains(&title.chars().count()) => content.title = Some(title),
        Given::Value(_) => {
            return Err(bad(Code::InvalidApplicationTitle, "`title` must have 3 to 1024 characters."));
        }
    }
    match fields.text("description")? {
        Given::Absent => {}
        Given::Null => content.description = String::new(),
        Given::Value(text) if text.chars().count() <= 4096 => content.description = text,
        Given::Value(_) => {
            let text = "`description` must not be longer than 4096 characters.";
            return Err(bad(Code::InvalidApplicationDescription, text));
        }
    }
    if let Some(access) = fields.text("access_type")?.value() {
        let Some(wanted) = AccessType::of(&access) else {
            return Err(bad(Code::UnknownAccessType, "`access_type` must be all, logged_in or acl."));
        };
        if wanted > config.widest_access && access != content.access_type {
            let text =
                format!("`access_type` must not be wider than {} on this server.", config.widest_access.as_str());
            return Err(bad(Code::ProhibitedAccessType, text));
        }
        content.access_type = access;
    }
    if moment == Moment::Update {
        if config.version.with(Difference::ContentLock) {
            lock(fields, content)?;
        }
        update_only(principal, fields, content)?;
    }
    settings(config, principal, fields, &content.app_mode, &mut content.settings)
}

fn lock(fields: &Fields, content: &mut Content) -> Result<()> {
    content.locked = fields.flag("locked")?.value().unwrap_or(content.locked);
    if let Some(message) = fields.text("locked_message")?.value() {
        if message.chars().count() > 4096 {
            let text = "`locked_message` must not be longer than 4096 characters.";
            return Err(bad(Code::InvalidLockedMessage, text));
        }
        content.locked_message = message;
    }
    Ok(())
}

fn update_only(principal: &Principal, fields: &Fields, content: &mut Content) -> Result<()> {
    if let Some(category) = fields.text("content_category")?.value()
        && category != content.content_category
    {
        if !matches!(category.as_str(), "" | "mcp") {
            return Err(bad(Code::InvalidParameter, "`content_category` must be empty or mcp."));
        }
        content.content_category = category;
    }
    if let Some(owner) = fields.text("owner_guid")?.value()
        && owner != content.owner_guid
    {
        principal.require(Role::Administrator)?;
        content.owner_guid = owner;
    }
    Ok(())
}

/// A whole number from 0 to `most`.
fn count(fields: &Fields, name: &str, most: i64, code: Code, place: &mut Option<i64>) -> Result<()> {
    let given = fields.integer(name)?;
    match given {
        Given::Value(n) if !(0..=most).contains(&n) => {
            Err(bad(code, format!("`{name}` must be a whole number from 0 to {most}.")))
        }
        given => {
            given.store(place);
            Ok(())
        }
    }
}

/// A number from 0 to `most`.
fn amount(fields: &Fields, name: &str, most: f64, code: Code, place: &mut Option<f64>) -> Result<()> {
    match fields.number(name)? {
        Given::Value(n) if !(0.0..=most).contains(&n) => {
            Err(bad(code, format!("`{name}` must be a number from 0 to {most}.")))
        }
        given => {
            given.store(place);
            Ok(())
        }
    }
}

/// A short text without line breaks.
fn word(fields: &Fields, name: &str, code: Code, place: &mut Option<String>) -> Result<()> {
    match fields.text(name)? {
        Given::Value(text) if text.chars().count() > 255 || text.chars().any(char::is_control) => {
            Err(bad(code, format!("`{name}` must have at most 255 characters, none of them a control character.")))
        }
        Given::Value(text) if text.is_empty() => {
            *place = None;
            Ok(())
        }
        given => {
            given.store(place);
            Ok(())
        }
    }
}

/// How far two settings of one resource go: what is kept for a process, and what it may use.
struct Resource<'a> {
    request: &'a str,
    limit: &'a str,
    request_over_limit: Code,
}

/// # Errors
/// 400 when more is kept than may be used.
fn in_order<T: PartialOrd>(resource: &Resource<'_>, request: Option<T>, limit: Option<T>) -> Result<()> {
    match (request, limit) {
        (Some(request), Some(limit)) if request > limit => {
            let text = format!("`{}` must not be above `{}`.", resource.request, resource.limit);
            Err(bad(resource.request_over_limit, text))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// 400 when `value` is above what the server allows; 0 allows everything.
fn within<T: Copy + PartialOrd + Default + std::fmt::Display>(
    name: &str,
    value: Option<T>,
    limit: T,
    code: Code,
) -> Result<()> {
    match value {
        Some(value) if limit > T::default() && value > limit => {
            Err(bad(code, format!("`{name}` must not be above this server's limit, {limit}.")))
        }
        _ => Ok(()),
    }
}

fn settings(
    config: &Config,
    principal: &Principal,
    fields: &Fields,
    app_mode: &str,
    settings: &mut Settings,
) -> Result<()> {
    let (s, scheduler) = (settings, &config.scheduler);
    let timeout = Code::InvalidTimeout;
    // A month is the longest that the product allows.
    const MONTH: i64 = 30 * 24 * 3600;
    count(fields, "connection_timeout", MONTH, timeout, &mut s.connection_timeout)?;
    count(fields, "read_timeout", MONTH, timeout, &mut s.read_timeout)?;
    count(fields, "init_timeout", MONTH, timeout, &mut s.init_timeout)?;
    count(fields, "idle_timeout", MONTH, timeout, &mut s.idle_timeout)?;
    processes(scheduler, fields, s)?;
    let conns = Code::InvalidMaxConnsPerProcess;
    count(fields, "max_conns_per_process", 1_000_000, conns, &mut s.max_conns_per_process)?;
    if s.max_conns_per_process == Some(0) {
        return Err(bad(conns, "`max_conns_per_process` must be 1 or more."));
    }
    amount(fields, "load_factor", 1.0, Code::InvalidLoadFactor, &mut s.load_factor)?;
    count(fields, "memory_request", i64::MAX, Code::InvalidMemoryRequest, &mut s.memory_request)?;
    count(fields, "memory_limit", i64::MAX, Code::InvalidMemoryLimit, &mut s.memory_limit)?;
    within("memory_request", s.memory_request, scheduler.max_memory_request, Code::MemoryRequestOverLimit)?;
    within("memory_limit", s.memory_limit, scheduler.max_memory_limit, Code::MemoryLimitOverLimit)?;
    let request_over_limit = Code::MemoryRequestOverMemoryLimit;
    let memory = Resource { request: "memory_request", limit: "memory_limit", request_over_limit };
    in_order(&memory, s.memory_request, s.memory_limit)?;
    amount(fields, "cpu_request", 1e6, Code::InvalidCpuRequest, &mut s.cpu_request)?;
    amount(fields, "cpu_limit", 1e6, Code::InvalidCpuLimit, &mut s.cpu_limit)?;
    within("cpu_request", s.cpu_request, scheduler.max_cpu_request, Code::CpuRequestOverLimit)?;
    within("cpu_limit", s.cpu_limit, scheduler.max_cpu_limit, Code::CpuLimitOverLimit)?;
    let request_over_limit = Code::CpuRequestOverCpuLimit;
    in_order(&Resource { request: "cpu_request", limit: "cpu_limit", request_over_limit }, s.cpu_request, s.cpu_limit)?;
    count(fields, "amd_gpu_limit", 1_000, Code::InvalidAmdGpuLimit, &mut s.amd_gpu_limit)?;
    within("amd_gpu_limit", s.amd_gpu_limit, scheduler.max_amd_gpu_limit, Code::AmdGpuLimitOverLimit)?;
    count(fields, "nvidia_gpu_limit", 1_000, Code::InvalidNvidiaGpuLimit, &mut s.nvidia_gpu_limit)?;
    within("nvidia_gpu_limit", s.nvidia_gpu_limit, scheduler.max_nvidia_gpu_limit, Code::NvidiaGpuLimitOverLimit)?;
    let service_account = s.service_account_name.clone();
    word(fields, "service_account_name", Code::InvalidServiceAccountName, &mut s.service_account_name)?;
    if s.service_account_name != service_account {
        principal.require(Role::Administrator)?;
    }
    word(fields, "default_image_name", Code::InvalidDefaultImageName, &mut s.default_image_name)?;
    word(fields, "default_environment_guid", Code::InvalidParameter, &mut s.default_environment_guid)?;
    fields.flag("default_r_environment_management")?.store(&mut s.default_r_environment_management);
    fields.flag("default_py_environment_management")?.store(&mut s.default_py_environment_management);
    fields.flag("metrics_collection_enabled")?.store(&mut s.metrics_collection_enabled);
    fields.flag("notify_on_share")?.store(&mut s.notify_on_share);
    s.otel_enabled = fields.flag("otel_enabled")?.value().unwrap_or(s.otel_enabled);
    s.draft_marker_enabled = fields.flag("draft_marker_enabled")?.value().unwrap_or(s.draft_marker_enabled);
    run_as(config, principal, fields, app_mode, s)
}

/// How many processes.
fn processes(scheduler: &Scheduler, fields: &Fields, s: &mut Settings) -> Result<()> {
    count(fields, "max_processes", i64::MAX, Code::InvalidMaxProcesses, &mut s.max_processes)?;
    count(fields, "min_processes", i64::MAX, Code::InvalidMinProcesses, &mut s.min_processes)?;
    if s.max_processes == Some(0) {
        return Err(bad(Code::MaxProcessesZero, "`max_processes` must be 1 or more."));
    }
    let (most, least) = (scheduler.max_processes_limit, scheduler.min_processes_limit);
    if s.max_processes.is_some_and(|n| n > most) {
        let text = format!("`max_processes` must not be above this server's limit, {most}.");
        return Err(bad(Code::MaxProcessesOverLimit, text));
    }
    if s.min_processes.is_some_and(|n| n > least) {
        let text = format!("`min_processes` must not be above this server's limit, {least}.");
        return Err(bad(Code::MinProcessesOverLimit, text));
    }
    let most = s.max_processes.unwrap_or(scheduler.max_processes);
    if s.min_processes.is_some_and(|least| least > most) {
        let text = format!("`min_processes` must not be above `max_processes`, {most}.");
        return Err(bad(Code::MinProcessesOverMaxProcesses, text));
    }
    Ok(())
}

/// As whom; administrators say so, of what runs at all.
fn run_as(config: &Config, principal: &Principal, fields: &Fields, app_mode: &str, s: &mut Settings) -> Result<()> {
    let (run_as, as_current) = (s.run_as.clone(), s.run_as_current_user);
    word(fields, "run_as", Code::RunAsUserNotFound, &mut s.run_as)?;
    s.run_as_current_user = fields.flag("run_as_current_user")?.value().unwrap_or(as_current);
    if s.run_as == run_as && s.run_as_current_user == as_current {
        return Ok(());
    }
    principal.require(Role::Administrator)?;
    let is_user = |name: &str| {
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
        name.len() <= 32 && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && name.chars().all(part)
    };
    if s.run_as.as_deref().is_some_and(|name| !is_user(name)) {
        return Err(bad(Code::RunAsUserNotFound, "`run_as` must be the name of a Unix user of at most 32 characters."));
    }
    let kind = ContentType::of(app_mode).filter(|mode| *mode != ContentType::Unknown).map(ContentType::kind);
    if kind == Some(Kind::Static) && (s.run_as.is_some() || s.run_as_current_user) {
        let text = "`run_as` and `run_as_current_user` are for content that runs; this is static.";
        return Err(bad(Code::RunAsNonExecutableProhibited, text));
    }
    if s.run_as_current_user && kind == Some(Kind::Rendered) {
        let text = "`run_as_current_user` is for applications and APIs; documents run as one user.";
        return Err(bad(Code::RunAsCurrentProhibited, text));
    }
    let known = |name: &String| *name == config.run_as || config.unix_users.contains(name);
    if let Some(name) = s.run_as.as_ref().filter(|name| !known(name)) {
        let text = format!("`run_as`: this server has no Unix user `{name}`; it is told of them by --unix-user.");
        return Err(bad(Code::RunAsUserNotFound, text));
    }
    Ok(())
}
