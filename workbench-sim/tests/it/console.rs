//! The scripted console: it installs and publishes over HTTP, and says what it is.

use std::io::Read as _;

use pkg_formats::manifest;
use sim_kit::journal::Direction;
use workbench_sim::Runtime;
use workbench_sim::client::{Client, LaunchedSession, Ran, Terminal};

use crate::server::{Around, LONG, config, publisher, start, with_around};

async fn open(client: &Client) -> (LaunchedSession, Terminal) {
    let session = client.launch("RStudio", "c").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let terminal = client.terminal(&session).await.unwrap();
    (session, terminal)
}

async fn run(terminal: &mut Terminal, command: &str) -> Ran {
    terminal.run(command, LONG).await.unwrap()
}

async fn done(terminal: &mut Terminal, command: &str) -> String {
    let ran = run(terminal, command).await;
    assert_eq!(ran.status, 0, "{command}: {}", ran.output);
    ran.output
}

#[tokio::test]
async fn it_says_that_it_is_simulated_and_helps() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    assert_eq!(terminal.runtime(), "simulated");
    terminal.read_until("Simulated terminal", LONG).await.unwrap();
    terminal.read_until("publisher@workbench:~$ ", LONG).await.unwrap();
    assert!(done(&mut terminal, "help").await.contains("rsconnect deploy"));
    let unknown = run(&mut terminal, "vim x").await;
    assert!(unknown.status == 127 && unknown.output.contains("simulated"), "{unknown:?}");
    for beyond in ["ls | cat", "sleep 1 &", "echo $(ls)"] {
        let ran = run(&mut terminal, beyond).await;
        assert!(ran.status != 0 && ran.output.contains("beyond this simulated console"), "{ran:?}");
    }
}

#[tokio::test]
async fn files_and_variables_work_and_stay_at_home() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    assert_eq!(
        done(&mut terminal, "ls samples").await,
        "flask-hello/\nhtml-hello/\nshiny-hello/\nshiny-python-hello/\n"
    );
    done(&mut terminal, "mkdir a/b && cd a/b && X=1 && export Y=\"two words\"; echo one $X > f; echo \"$Y\" >> f")
        .await;
    assert_eq!(done(&mut terminal, "cat ~/a/b/f").await, "one 1\ntwo words\n");
    assert_eq!(done(&mut terminal, "false || echo or; true && echo and # not this").await, "or\nand\n");
    assert!(done(&mut terminal, "env").await.contains("POSIT_PRODUCT=WORKBENCH\n"));
    for outside in [
        "cat /etc/passwd",
        "ls /",
        "cd ..;cd ..;cd ..;cd ..",
        "cat ../../../../../../etc/passwd",
        "rm -r ~",
        "echo x > /tmp/x",
    ] {
        let ran = run(&mut terminal, outside).await;
        assert_ne!(ran.status, 0, "{outside}: {}", ran.output);
        assert!(!ran.output.contains("root:"), "{}", ran.output);
    }
}

#[tokio::test]
async fn links_do_not_lead_out() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    let home = workbench.world().folder("home").unwrap().join("publisher");
    std::os::unix::fs::symlink("/etc", home.join("out")).unwrap();
    let ran = run(&mut terminal, "cat out/passwd").await;
    assert!(ran.status == 1 && ran.output.contains("Permission denied"), "{ran:?}");
    assert_ne!(run(&mut terminal, "echo x > out/new").await.status, 0);
}

#[tokio::test]
async fn pip_resolves_and_downloads_with_a_check() {
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    let output = done(&mut terminal, "pip install needy").await;
    assert!(output.contains(&format!("Looking in indexes: {around}/simple")), "{output}");
    assert!(output.contains("Successfully installed needy-1.2.0 needed-1.2.0"), "{output}");
    assert!(output.contains("simulated: 2 files"), "{output}");
    let listed = done(&mut terminal, "pip list").await;
    assert!(listed.contains("needed") && listed.contains("1.2.0"), "{listed}");
    let missing = run(&mut terminal, "uv pip install nothing-of-that-name").await;
    assert!(missing.status == 1 && missing.output.contains("No matching distribution"), "{missing:?}");
    let out = workbench.world().journal().entries(0, 1000, |entry| entry.direction == Direction::Out);
    assert!(out.iter().all(|entry| entry.peer.as_deref() == Some("package-manager")));
    assert!(out.iter().any(|entry| entry.path.ends_with("needed-1.2.0-py3-none-any.whl")), "{out:?}");
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let (_, around) = Around::start(true).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    let ran = run(&mut terminal, "pip install needy").await;
    assert!(ran.status == 1 && ran.output.contains("do not match the sha256"), "{ran:?}");
    assert!(!done(&mut terminal, "pip list").await.contains("needy"));
}

#[tokio::test]
async fn r_installs_in_the_terminal_and_in_the_console() {
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (session, mut terminal) = open(&client).await;
    let output = done(&mut terminal, "R -e 'install.packages(\"rneedy\")'").await;
    assert!(output.contains("also installing the dependencies ‘rneeded’"), "{output}");
    assert!(output.contains(&format!("trying URL '{around}/cran/src/contrib/rneedy_0.2.0.tar.gz'")), "{output}");
    assert!(output.contains("* DONE (rneedy)") && output.contains("simulated"), "{output}");
    let missing = run(&mut terminal, "R -e 'install.packages(\"nothing\")'").await;
    assert!(missing.status == 1 && missing.output.contains("'nothing' is not available"), "{missing:?}");

    let mut console = client.console(&session).await.unwrap();
    console.read_until("Simulated R console", LONG).await.unwrap();
    console.read_until("> ", LONG).await.unwrap();
    for (typed, seen) in [
        ("print(paste0(\"be\", \"gin\")); getOption('repos'); cat(paste0('e', 'nd'))", format!("{around}/cran")),
        ("R.version$major", "[1] \"4\"".to_owned()),
        ("library(rneeded)", "rneeded 0.2.0 was installed".to_owned()),
        ("x <- 1", "it understands".to_owned()),
    ] {
        console.send(&format!("{typed}\n")).await.unwrap();
        console.read_until(&seen, LONG).await.unwrap();
    }
}

#[tokio::test]
async fn publishing_sends_a_true_bundle_with_the_users_key() {
    let (connect, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    let output = done(&mut terminal, "rsconnect deploy flask --title 'My App' samples/flask-hello").await;
    assert!(output.contains("simulated") && output.contains("Building…"), "{output}");
    assert!(output.contains(&format!("Direct content URL: {around}/content/c1/")), "{output}");

    let asked = std::mem::take(&mut *connect.asked.lock().unwrap());
    let requests: Vec<&str> = asked.iter().map(|asked| asked.request.as_str()).collect();
    assert_eq!(
        requests,
        [
            "GET server_settings",
            "GET v1/user",
            "GET v1/content",
            "POST v1/content",
            "PATCH v1/content/c1",
            "POST v1/content/c1/bundles",
            "POST v1/content/c1/deploy",
            "GET v1/tasks/t1",
        ]
    );
    let key = &sim_kit::seed::users(1)[1].api_key;
    assert!(asked.iter().all(|asked| asked.key == *key));
    assert_eq!(asked[3].body, "{\"name\":\"my_app\"}");
    let mut names = Vec::new();
    let mut manifest_text = Vec::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*asked[5].body));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name == "manifest.json" {
            entry.read_to_end(&mut manifest_text).unwrap();
        }
        names.push(name);
    }
    assert_eq!(names, ["app.py", "manifest.json", "requirements.txt"]);
    let manifest = manifest::parse(&manifest_text).unwrap();
    assert_eq!(manifest.metadata.appmode, "python-api");
    assert_eq!(manifest.metadata.entrypoint.as_deref(), Some("app"));
    assert_eq!(manifest.files.unwrap().into_keys().collect::<Vec<_>>(), ["app.py", "requirements.txt"]);

    for (command, mode) in [
        ("rsconnect deploy html samples/html-hello", "static"),
        ("rsconnect deploy shiny samples/shiny-python-hello", "python-shiny"),
    ] {
        done(&mut terminal, command).await;
        let asked = std::mem::take(&mut *connect.asked.lock().unwrap());
        let bundle = asked.iter().find(|asked| asked.request.ends_with("/bundles")).unwrap();
        let text = manifest_of(&bundle.body);
        assert_eq!(text.metadata.appmode, mode);
    }
}

fn manifest_of(bundle: &[u8]) -> manifest::Manifest {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bundle));
    let mut entry = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.path().unwrap().to_str() == Some("manifest.json"))
        .unwrap();
    let mut text = Vec::new();
    entry.read_to_end(&mut text).unwrap();
    manifest::parse(&text).unwrap()
}

#[tokio::test]
async fn r_applications_are_published_with_the_packages_they_need() {
    let (connect, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    // The stand-in repository has no shiny: the reason is named.
    let missing = run(&mut terminal, "R -e 'rsconnect::deployApp(\"samples/shiny-hello\")'").await;
    assert!(missing.status == 1 && missing.output.contains("'shiny' is not available"), "{missing:?}");
    assert!(connect.asked.lock().unwrap().is_empty());
    done(&mut terminal, "mkdir app; echo '{\"version\":1,\"metadata\":{\"appmode\":\"shiny\"}}' > app/manifest.json; echo 'x' > app/app.R").await;
    done(&mut terminal, "rsconnect deploy manifest app/manifest.json").await;
    let asked = connect.asked.lock().unwrap().clone();
    let bundle = asked.iter().find(|asked| asked.request.ends_with("/bundles")).unwrap();
    assert_eq!(manifest_of(&bundle.body).metadata.appmode, "shiny");
}

#[tokio::test]
async fn publishing_without_a_server_or_a_folder_says_what_is_missing() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    for (command, words) in [
        ("rsconnect deploy flask samples/flask-hello", "set CONNECT_SERVER"),
        ("CONNECT_SERVER=http://127.0.0.1:1 && rsconnect deploy flask samples/flask-hello", "set CONNECT_API_KEY"),
        ("rsconnect deploy flask -k K samples/none", "No such file"),
        ("rsconnect deploy flask -k K samples/html-hello", "no requirements.txt"),
        ("rsconnect deploy flask -k K samples/flask-hello", "could not connect"),
        ("rsconnect deploy pear -k K samples/flask-hello", "flask"),
        ("rsconnect deploy", "Usage"),
        ("pip install x", "set PIP_INDEX_URL"),
        ("curl http://127.0.0.1:1/", "(7)"),
    ] {
        let ran = run(&mut terminal, command).await;
        assert!(ran.status != 0 && ran.output.contains(words), "{command}: {ran:?}");
    }
}

#[tokio::test]
async fn control_c_stops_a_line_that_waits() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    // A server that takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    terminal.send(&format!("curl http://{address}/\r")).await.unwrap();
    let _connection = silent.accept().await.unwrap();
    terminal.send("\x03").await.unwrap();
    terminal.read_until("^C", LONG).await.unwrap();
    assert_eq!(done(&mut terminal, "echo again").await, "again\n");
}

#[tokio::test]
async fn curl_looks_at_servers() {
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Simulated, &around)).await;
    let client = publisher(&workbench).await;
    let (_, mut terminal) = open(&client).await;
    let head = done(&mut terminal, &format!("curl -I {around}/simple/needy/")).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\n") && head.contains("content-type: text/html"), "{head}");
    assert!(done(&mut terminal, &format!("curl -s {around}/simple/needy/")).await.contains("needy-1.2.0"));
    assert_eq!(run(&mut terminal, &format!("curl -f {around}/none")).await.status, 22);
    done(&mut terminal, &format!("curl -s -o page.html {around}/simple/needy/ && cat page.html")).await;
}

#[tokio::test]
async fn exit_ends_it_and_another_starts() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let (session, mut terminal) = open(&client).await;
    terminal.send("exit 5\r").await.unwrap();
    let told = terminal.read_until("never", LONG).await.unwrap_err().to_string();
    assert!(told.contains("\"code\":5"), "{told}");
    let mut terminal = client.terminal(&session).await.unwrap();
    assert_eq!(done(&mut terminal, "echo back").await, "back\n");
}
