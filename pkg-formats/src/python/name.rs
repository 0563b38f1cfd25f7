//! Names of Python projects (PEP 508 for what is valid, PEP 503 for when two are the same).

/// Whether a text is a project name: ASCII letters, digits, `.`, `-` and `_`, with a letter or digit at both ends.
pub fn is_valid(name: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// The normal form: lower case, each run of `-`, `_` and `.` one `-`.
pub fn normalize(name: &str) -> String {
    joined(name, '-')
}

/// The form inside file names: the normal form with `_`.
pub fn file_form(name: &str) -> String {
    joined(name, '_')
}

fn joined(name: &str, separator: char) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_run = false;
    for char in name.chars() {
        let separates = matches!(char, '-' | '_' | '.');
        if !separates {
            out.push(char.to_ascii_lowercase());
        } else if !in_run {
            out.push(separator);
        }
        in_run = separates;
    }
    out
}
