//! Publishes to a Connect, for benchmarks.
//!
//! - `publish URL KEY CLIENTS SECONDS`: so many clients, for so long, each publishing one item after the other (create,
//!   upload 1 MiB that no other bundle shares, deploy, wait for the end of the task, open the content); prints publishes a
//!   second (the packing of bundles included, which runs on the same machine) and the 50th and 99th percentile in milliseconds.
//! - `publish URL KEY fill ITEMS`: makes items without bundles.
//! - `publish key`: the key of the seeded publisher.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let request = self.http.request(method, format!("{}{path}", self.url)).body(body);
        let answer = request.header("authorization", format!("Key {}", self.key)).send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        anyhow::ensure!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
        Ok(bytes.into())
    }

    async fn json(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.send(method, &format!("/__api__/v1{path}"), body).await?)?)
    }

    async fn create(&self, name: &str) -> anyhow::Result<String> {
        let body = json!({"name": name, "title": format!("Report {name}")}).to_string();
        let made = self.json(Method::POST, "/content", body.into()).await?;
        Ok(made["guid"].as_str().context("content has a guid")?.to_owned())
    }

    async fn publish(&self, name: &str, bundle: Vec<u8>) -> anyhow::Result<()> {
        let guid = self.create(name).await?;
        let uploaded = self.json(Method::POST, &format!("/content/{guid}/bundles"), bundle).await?;
        let body = json!({"bundle_id": uploaded["id"]}).to_string();
        let deployed = self.json(Method::POST, &format!("/content/{guid}/deploy"), body.into()).await?;
        let task = deployed["task_id"].as_str().context("a deploy has a task")?;
        loop {
            let task = self.json(Method::GET, &format!("/tasks/{task}?wait=30"), Vec::new()).await?;
            if task["finished"] == true {
                anyhow::ensure!(task["code"] == 0, "the task failed: {task}");
                break;
            }
        }
        let page = self.send(Method::GET, &format!("/content/{guid}/"), Vec::new()).await?;
        anyhow::ensure!(page.starts_with(name.as_bytes()), "the content is another one");
        Ok(())
    }
}

/// Bytes that do not compress, and are others for another `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Files, gzipped without being compressed: a part of an archive, whose parts may follow one another.
fn part(files: &[(&str, &[u8])], is_last: bool) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, path, *bytes)?;
    }
    Ok(match is_last {
        true => stored(&tar.into_inner()?),
        false => stored(tar.get_ref()),
    })
}

/// Gzip without compression (RFC 1951, 1952), for which no compressor is set up.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = bytes.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).expect("a chunk of a block's length");
        out.push(u8::from(chunks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

/// A bundle of static content that ends with `data`. No two of different names are alike.
fn bundle(name: &str, data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let manifest = json!({"version": 1, "metadata": {"appmode": "static", "primary_html": "index.html"}}).to_string();
    let head = part(&[("manifest.json", manifest.as_bytes()), ("index.html", name.as_bytes())], false)?;
    Ok([&head, data].concat())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["key"] {
        writeln!(std::io::stdout(), "{}", sim_kit::seed::users(1)[1].api_key)?;
        return Ok(());
    }
    let [url, key, clients, amount] = &arguments[..] else {
        anyhow::bail!("give URL KEY CLIENTS SECONDS, or URL KEY fill ITEMS, or key");
    };
    let client = Client {
        http: sim_kit::http_client::client(|builder| builder),
        url: url.trim_end_matches('/').to_owned(),
        key: key.clone(),
    };
    let run = std::process::id();
    if clients == "fill" {
        let items: u64 = amount.parse()?;
        let work = (0..8).map(|worker| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in (worker..items).step_by(8) {
                    client.create(&format!("item-{run}-{n}")).await?;
                }
                anyhow::Ok(())
            })
        });
        for one in work.collect::<Vec<_>>() {
            one.await??;
        }
        return Ok(());
    }
    let (clients, seconds): (u64, u64) = (clients.parse()?, amount.parse()?);
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    // Packed once: what is measured is the server, and this machine makes bundles for it, too.
    let data: Arc<[u8]> = part(&[("data.bin", &noise(u64::from(run), 1 << 20))], true)?.into();
    let work = (0..clients).map(|worker| {
        let (client, data) = (client.clone(), data.clone());
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                let n = took.len() as u64;
                let name = format!("p-{run}-{clients}-{worker}-{n}");
                let made = bundle(&name, &data)?;
                let began = Instant::now();
                client.publish(&name, made).await?;
                took.push(began.elapsed());
            }
            anyhow::Ok(took)
        })
    });
    let mut took = Vec::new();
    for one in work.collect::<Vec<_>>() {
        took.extend(one.await??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    took.sort();
    let percentile =
        |p: usize| took.get((took.len() * p / 100).min(took.len().saturating_sub(1))).map_or(0, Duration::as_millis);
    #[allow(clippy::cast_precision_loss)]
    let rate = took.len() as f64 / elapsed;
    writeln!(std::io::stdout(), "{rate:.1} {} {}", percentile(50), percentile(99))?;
    Ok(())
}
