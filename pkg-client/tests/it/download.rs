//! Downloads: order, hashes, and every way to fail.

use pkg_client::{Download, Error, Event, download};

use crate::served::{Reply, Served, release, sha256};

async fn files(served: &Served, requirements: &str) -> Vec<Download> {
    served.resolve(requirements).await.unwrap().packages.iter().map(Download::from).collect()
}

#[tokio::test]
async fn a_closure_of_thirty_comes_in_order_with_its_bytes() {
    let names: Vec<_> = (0..30).map(|n| format!("p{n:02}")).collect();
    let releases: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let requires: Vec<_> = names.iter().skip(n + 1).take(3).map(String::as_str).collect();
            release(name, "1.0", &requires)
        })
        .collect();
    let served = Served::with(&releases).await;
    let files = files(&served, "p00").await;
    assert_eq!(files.len(), 30);
    let (mut started, mut finished, mut kept) = (Vec::new(), Vec::new(), vec![Vec::new(); 30]);
    let place = |file: &Download| files.iter().position(|other| other == file).unwrap();
    let received = download(&served.client(), &files, |event| match event {
        Event::Started(file) => started.push(file.to_string()),
        Event::Chunk(file, bytes) => kept[place(file)].extend_from_slice(bytes),
        Event::Finished(file, _) => finished.push(file.to_string()),
    })
    .await
    .unwrap();
    let expected: Vec<_> = files.iter().map(ToString::to_string).collect();
    assert_eq!(started, expected);
    assert_eq!(finished, expected);
    for (received, bytes) in received.iter().zip(&kept) {
        assert_eq!((received.size, &received.sha256), (bytes.len() as u64, &sha256(bytes)));
    }
}

#[tokio::test]
async fn every_failure_names_the_url() {
    let served = Served::with(&[release("a", "1.0", &[])]).await;
    let path = "/files/a-1.0-py3-none-any.whl";
    let files = files(&served, "a").await;
    let good = served.shelf.lock().unwrap().files[path].clone();
    let fail = || async { download(&served.client(), &files, |_| {}).await.unwrap_err() };

    served.change(path, |reply| *reply.body.last_mut().unwrap() ^= 1);
    let error = fail().await;
    assert!(matches!(&error, Error::HashMismatch { url, algorithm: "sha256", .. } if url.path() == path), "{error}");

    served.put(path, Reply { cut_after: Some(20), ..good.clone() });
    let error = fail().await;
    let length = good.body.len() as u64;
    assert!(
        matches!(&error, Error::Truncated { url, received: 20, expected: Some(n), .. } if *n == length && url.path() == path),
        "{error}"
    );

    served.put(path, Reply { body: good.body[..20].to_vec(), ..good.clone() });
    let error = fail().await;
    assert!(matches!(&error, Error::Truncated { received: 20, .. }), "{error}");

    served.put(path, Reply { status: 404, ..good.clone() });
    let error = fail().await;
    assert!(matches!(&error, Error::FileMissing { package, status: 404, .. } if package == "a"), "{error}");

    served.put(path, Reply { status: 502, ..good.clone() });
    let error = fail().await;
    assert!(matches!(&error, Error::Status { status: 502, .. }), "{error}");

    served.put(path, good);
    let limits = pkg_client::Limits { file: 10, ..Default::default() };
    let error = download(&served.client_within("pip", limits), &files, |_| {}).await.unwrap_err();
    assert!(matches!(&error, Error::TooLarge { limit: 10, .. }), "{error}");

    for (effect, kind) in [
        (r#"{"kind": "reset"}"#, "unreachable"),
        (r#"{"kind": "truncate", "bytes": 30}"#, "truncated"),
        (r#"{"kind": "corrupt", "at": 30}"#, "mismatch"),
    ] {
        let rule = format!(r#"{{"id": "f", "match": {{"direction": "out", "path": "/files/*"}}, "effect": {effect}}}"#);
        served.world.faults().add(serde_json::from_str(&rule).unwrap()).unwrap();
        let error = fail().await;
        let found = match &error {
            Error::Unreachable { .. } => "unreachable",
            Error::Truncated { received: 30, .. } => "truncated",
            Error::HashMismatch { .. } => "mismatch",
            _ => "other",
        };
        assert_eq!(found, kind, "{error}");
    }
    served.world.faults().clear();
    download(&served.client(), &files, |_| {}).await.unwrap();
}
