//! Nothing that was acknowledged is lost, however the process ends.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{Up, http};

/// A bundle of one page, padded with noise to about `size` bytes.
fn bundle(text: &str, size: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let manifest = json!({"version": 1, "metadata": {"appmode": "static", "primary_html": "index.html"}, "files": {}});
    // Noise does not compress: a linear congruence is enough of it.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(size)
    .collect();
    for (name, bytes) in
        [("manifest.json", manifest.to_string().as_bytes()), ("index.html", text.as_bytes()), ("noise.bin", &noise)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let mut gz = tar.into_inner().unwrap();
    gz.flush().unwrap();
    gz.finish().unwrap()
}

struct Connect {
    base: String,
    key: String,
}

impl Connect {
    fn of(told: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { base: text(&told["urls"]["connect"]), key: text(&told["environment"]["TEAMSIM_PUBLISHER_API_KEY"]) }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        http().request(method, format!("{}{path}", self.base)).header("authorization", format!("Key {}", self.key))
    }

    async fn get(&self, path: &str) -> Value {
        self.request(reqwest::Method::GET, path).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = self.request(reqwest::Method::POST, path).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_killed_connect_has_what_it_answered_and_no_half_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut up = Up::spawn(&["--data-dir", data]);
    let connect = Connect::of(&up.ready());
    let (status, content) = connect.post("/__api__/v1/content", r#"{"name": "durable"}"#).await;
    assert_eq!(status, 200, "{content}");
    let guid = content["guid"].as_str().unwrap().to_owned();
    let bundles = format!("/__api__/v1/content/{guid}/bundles");
    let (status, uploaded) = connect.post(&bundles, bundle("kept", 100_000)).await;
    assert_eq!(status, 200, "{uploaded}");
    let (status, task) = connect
        .post(&format!("/__api__/v1/content/{guid}/deploy"), json!({"bundle_id": uploaded["id"]}).to_string())
        .await;
    assert_eq!(status, 202, "{task}");

    // A second upload gets only half-way: the kill comes after the server has taken its first megabyte.
    let big = bytes::Bytes::from(bundle("lost", 8_000_000));
    let (half, rest) = (big.slice(..big.len() / 2), big.slice(big.len() / 2..));
    let (sent, was_sent) = tokio::sync::oneshot::channel::<()>();
    let body = futures_util::stream::unfold((0, Some(sent), half, rest), |(n, mut sent, half, rest)| async move {
        match n {
            0 => Some((Ok::<_, std::io::Error>(half.clone()), (1, sent, half, rest))),
            _ => {
                // Asked for more: the first half went out. The rest never comes.
                let _ = sent.take().map(|s| s.send(()));
                std::future::pending::<()>().await;
                Some((Ok(rest.clone()), (2, sent, half, rest)))
            }
        }
    });
    let upload = connect.request(reqwest::Method::POST, &bundles).body(reqwest::Body::wrap_stream(body)).send();
    let upload = tokio::spawn(upload);
    was_sent.await.unwrap();
    up.kill();
    assert!(upload.await.unwrap().is_err());

    let mut up = Up::spawn(&["--data-dir", data]);
    let connect = Connect::of(&up.ready());
    let kept = connect.get(&bundles).await;
    assert_eq!(kept.as_array().unwrap().iter().map(|b| b["id"].clone()).collect::<Vec<_>>(), [uploaded["id"].clone()]);
    let task = format!("/__api__/v1/tasks/{}?wait=30", task["task_id"].as_str().unwrap());
    let finished = connect.get(&task).await;
    assert_eq!((&finished["finished"], &finished["code"]), (&Value::from(true), &Value::from(0)), "{finished}");
    let page =
        connect.request(reqwest::Method::GET, &format!("/content/{guid}/")).send().await.unwrap().text().await.unwrap();
    assert_eq!(page, "kept");
    let mut incoming = Vec::new();
    find(folder.path(), "incoming", &mut incoming);
    assert!(incoming.iter().all(|path| std::fs::read_dir(path).unwrap().next().is_none()), "{incoming:?}");
}

fn find(folder: &std::path::Path, name: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
        if entry.file_name() == name {
            found.push(entry.path());
        }
        find(&entry.path(), name, found);
    }
}

#[tokio::test]
async fn a_sync_that_was_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let catalogue = ["--cran-packages", "3000", "--pypi-packages", "6000"];
    let arguments = [&["--data-dir", data], &catalogue[..]].concat();
    // Killed at a different point each time, before it is ready.
    let database = folder.path().join("package-manager");
    for round in 1..=3_u64 {
        let mut up = Up::spawn(&arguments);
        loop {
            let size: u64 = sizes(&database);
            if size > round * 600_000 || up.process.try_wait().unwrap().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        up.kill();
    }
    let mut up = Up::spawn(&arguments);
    let told = up.ready();
    let server = told["urls"]["package_manager"].as_str().unwrap();
    let names = async |url: String| -> Vec<String> {
        let page = http().get(url).header("accept", "application/vnd.pypi.simple.v1+json").send().await.unwrap();
        let page: Value = page.json().await.unwrap();
        page["projects"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    let resumed = names(format!("{server}/pypi/latest/simple/")).await;
    assert!(resumed.len() >= 5000, "{}", resumed.len());
    let mut fresh = Up::spawn(&catalogue);
    let told = fresh.ready();
    let expected = names(format!("{}/pypi/latest/simple/", told["urls"]["package_manager"].as_str().unwrap())).await;
    assert_eq!(resumed, expected);
}

/// Bytes of all files below `folder`.
fn sizes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => sizes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
