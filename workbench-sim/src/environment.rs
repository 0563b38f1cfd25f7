//! What a session finds around it: its user's home folder, and the variables that lead pip, uv and R to Package Manager
//! and publishing tools to Connect.
//!
//! Names of variables are those that clients read inside the real product's sessions. `CONNECT_SERVER`,
//! `CONNECT_API_KEY` and the Python index variables are what its administrators add with `launcher-env`.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use url::Url;

use crate::App;
use crate::error::Error;
use crate::scope;
use crate::session::Session;
use crate::store::users::User;

/// What a terminal or a console of a session needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// The user's home folder; sessions of one user share it.
    pub(crate) home: PathBuf,
    /// Where it starts.
    pub(crate) directory: PathBuf,
    /// Variables in order.
    pub(crate) variables: Vec<(String, String)>,
}

/// Files put into a fresh home folder: something small to publish.
const SAMPLES: [(&str, &str); 6] = [
    ("flask-hello/app.py", include_str!("../samples/flask-hello/app.py")),
    ("flask-hello/requirements.txt", include_str!("../samples/flask-hello/requirements.txt")),
    ("html-hello/index.html", include_str!("../samples/html-hello/index.html")),
    ("shiny-hello/app.R", include_str!("../samples/shiny-hello/app.R")),
    ("shiny-python-hello/app.py", include_str!("../samples/shiny-python-hello/app.py")),
    ("shiny-python-hello/requirements.txt", include_str!("../samples/shiny-python-hello/requirements.txt")),
];

/// The prompt says who one is there, not who runs the server.
const BASHRC: &str = "PS1='$USER@workbench:\\w\\$ '\n";

/// The home folder of `user`, made with its samples when it is not there.
pub(crate) fn home(app: &App, user: &User) -> std::io::Result<PathBuf> {
    let home = app.world().folder("home")?.join(&user.name);
    if !home.is_dir() {
        for (name, text) in SAMPLES {
            let path = home.join("samples").join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&home))?;
            std::fs::write(path, text)?;
        }
        std::fs::write(home.join(".bashrc"), BASHRC)?;
    }
    std::fs::create_dir_all(home.join("R/library"))?;
    Ok(home)
}

/// Makes the files that a session needs and tells what it finds.
pub(crate) fn prepare(app: &App, session: &Session, user: &User) -> Result<Environment, Error> {
    let home = home(app, user)?;
    let runtime = app.world().folder("sessions")?.join(&session.id);
    std::fs::create_dir_all(&runtime)?;
    // Longer than any session of a test bench lasts; the real one refreshes the file.
    let rpc_cookie = app.keys().rpc.sign(&user.name, app.now() + TimeDelta::days(7));
    write_private(&runtime.join("rpc_cookie"), &rpc_cookie)?;
    let config = app.config();
    let profile = runtime.join("Rprofile");
    std::fs::write(&profile, r_profile(config.cran.as_ref()))?;

    let scope = session.scope(user.uid);
    let server = session.server_url.trim_end_matches('/');
    let text = |path: &Path| path.display().to_string();
    let mut variables: Vec<(&str, String)> = vec![
        ("HOME", text(&home)),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("POSIT_PRODUCT", "WORKBENCH".to_owned()),
        ("RS_SERVER_URL", format!("{server}{}/", app.root())),
        ("RS_SERVER_ADDRESS", format!("{server}{}", app.root())),
        ("RS_SESSION_URL", format!("/s/{scope}/")),
        ("RS_HOME_URL", format!("{}/home", app.root())),
        ("RS_URI_SCHEME", server.split(':').next().unwrap_or("http").to_owned()),
        ("RS_PORT_TOKEN", scope::port_token(app.world().ids().seed(), &user.name)),
        ("RS_SESSION_RPC_COOKIE", rpc_cookie),
        ("PWB_SESSION_RUNTIME_DIR", text(&runtime)),
        ("RSTUDIO", "1".to_owned()),
        ("RSTUDIO_USER_IDENTITY", user.name.clone()),
        ("RSTUDIO_PROGRAM_MODE", "server".to_owned()),
        ("RSTUDIO_MULTI_SESSION", "1".to_owned()),
        ("RSTUDIO_SESSION_STREAM", session.id.clone()),
        ("R_PROFILE_USER", text(&profile)),
        ("R_LIBS_USER", text(&home.join("R/library"))),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
    ];
    if let Some(index) = &config.python_index {
        variables.push(("PIP_INDEX_URL", index.to_string()));
        variables.push(("UV_DEFAULT_INDEX", index.to_string()));
        // pip refuses plain http from anything but loopback unless told.
        if index.scheme() == "http"
            && let Some(host) = index.host_str()
        {
            variables.push(("PIP_TRUSTED_HOST", host.to_owned()));
        }
    }
    if let Some(connect) = &config.connect {
        variables.push(("CONNECT_SERVER", connect.url.to_string()));
        let users = sim_kit::seed::users(app.world().ids().seed());
        if let Some(seed) = users.into_iter().find(|seed| connect.seeded_keys && seed.username == user.name) {
            variables.push(("CONNECT_API_KEY", seed.api_key));
        }
    }
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let directory = inside(&home, &session.working_directory).filter(|path| path.is_dir()).unwrap_or(home.clone());
    Ok(Environment { home, directory, variables })
}

/// Whether a session may start in `path`: below the home folder, written as `samples` or `~/samples`.
pub(crate) fn is_inside(path: &str) -> bool {
    inside(Path::new("/"), path).is_some()
}

/// `path` below `home`; none when it leads out of it.
fn inside(home: &Path, path: &str) -> Option<PathBuf> {
    let path = path.trim_start_matches("~/").trim_start_matches('~');
    let plain = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    plain.then(|| home.join(path))
}

/// What R reads in place of the user's profile; it reads that one too.
fn r_profile(cran: Option<&Url>) -> String {
    let repos = cran.map_or(String::new(), |url| {
        let url = url.as_str().trim_end_matches('/').replace(['"', '\\'], "");
        format!("  options(repos = c(CRAN = \"{url}\", RSPM = \"{url}\"))\n")
    });
    format!(
        "local({{\n{repos}  options(HTTPUserAgent = sprintf(\"R/%s R (%s)\", getRversion(),\n    \
         paste(getRversion(), R.version$platform, R.version$arch, R.version$os)))\n\
         }})\n\
         if (file.exists(\"~/.Rprofile\")) source(\"~/.Rprofile\")\n"
    )
}

#[cfg(unix)]
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_directory_stays_at_home() {
        let home = Path::new("/h");
        assert_eq!(inside(home, ""), Some("/h/".into()));
        assert_eq!(inside(home, "~/samples/x"), Some("/h/samples/x".into()));
        assert_eq!(inside(home, "samples"), Some("/h/samples".into()));
        for out in ["/etc", "../x", "~/../x", "a/../../x"] {
            assert_eq!(inside(home, out), None, "{out}");
        }
    }

    #[test]
    fn the_profile_of_r_names_the_repository() {
        let text = r_profile(Some(&"http://127.0.0.1:4242/cran/latest".parse().unwrap()));
        assert!(text.contains("CRAN = \"http://127.0.0.1:4242/cran/latest\""), "{text}");
        assert!(!r_profile(None).contains("repos"));
    }
}
