//! Pages and their files, without a browser: what each kind of client is answered.

use workbench_sim::{Config, Runtime};

use crate::server::{config, http, publisher, start};

#[tokio::test]
async fn each_kind_of_client_is_refused_in_its_way() {
    let workbench = start(config(Runtime::Simulated)).await;
    for (path, status) in [
        ("/", 302),
        ("/home", 302),
        ("/home/", 302),
        ("/s/0da29cfc78a31acdd5861/", 302),
        ("/s/0da29cfc78a31acdd5861/terminal", 401),
        ("/workspaces/sessions", 401),
        ("/api/version", 401),
        ("/auth-refresh-credentials", 302),
        ("/auth-sign-in", 200),
        ("/health-check", 200),
        ("/css/app.css", 200),
        ("/js/xterm/xterm.mjs", 200),
        ("/js/xterm/LICENSE", 200),
        ("/js/../css/app.css", 200),
        ("/js/none.js", 404),
        ("/js/..%2fjs%2fhome.js", 404),
        ("/templates/home.html", 404),
        ("/nothing/here", 404),
    ] {
        let answer = http().get(format!("{}{path}", workbench.url())).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    let journal = workbench.world().journal().entries(0, 100, |entry| entry.unmatched);
    assert!(journal.iter().any(|entry| entry.path == "/nothing/here"));
}

#[tokio::test]
async fn files_are_not_sent_twice() {
    let workbench = start(config(Runtime::Simulated)).await;
    let url = format!("{}/js/home.js", workbench.url());
    let first = http().get(&url).send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    assert_eq!(http().get(&url).header("If-None-Match", etag).send().await.unwrap().status(), 304);
}

#[tokio::test]
async fn the_footer_tells_the_version_and_what_this_is() {
    let version = "2026.05.1+218.pro2";
    let workbench = start(Config { version: version.to_owned(), ..config(Runtime::Simulated) }).await;
    let client = publisher(&workbench).await;
    for path in ["", "home"] {
        let page = client.get(path).await.unwrap().text().await.unwrap();
        assert!(
            page.contains(&format!("<div>Posit Workbench {version}, &quot;"))
                || page.contains(&format!("<div>Posit Workbench {version}, \""))
        );
        assert!(page.contains("not affiliated with Posit"));
    }
}

#[tokio::test]
async fn names_cannot_break_out_of_the_page() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "\"><script>alert(1)</script>'").await.unwrap();
    for path in ["home", session.url.trim_start_matches('/')] {
        let page = client.get(path).await.unwrap().text().await.unwrap();
        assert!(!page.contains("<script>alert"), "{path}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "{path}");
    }
}

#[tokio::test]
async fn addresses_without_a_session_say_so() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "x").await.unwrap();
    let other_project = session.url.replace("cfc78a31", "3c9ab5a7");
    for (path, status) in [
        ("s/0da29cfc78a31acdd5861/".to_owned(), 503),
        ("s/zzz/".to_owned(), 503),
        (other_project.trim_start_matches('/').to_owned(), 404),
        (session.url.trim_matches('/').to_owned(), 302),
        (session.url.trim_start_matches('/').to_owned(), 200),
    ] {
        assert_eq!(client.get(&path).await.unwrap().status().as_u16(), status, "{path}");
    }
}
