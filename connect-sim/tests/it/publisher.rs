//! The calls that Posit Publisher's deployment makes, in its order and with its headers, from Node.js.

use connect_sim::Config;
use connect_sim::version::{NEWEST, Version};
use sim_kit::testing::need_tool;

use super::index::Index;
use super::site::Site;

/// Routes that the flow is seen to succeed with.
pub(crate) const PUBLISHER: &[&str] = &[
    "GET /__api__/server_settings",
    "GET /__api__/server_settings/applications",
    "GET /__api__/server_settings/scheduler",
    "GET /__api__/server_settings/scheduler/{app_mode}",
    "GET /__api__/v1/content/{guid}",
    "GET /__api__/v1/content/{guid}/bundles/{id}/download",
    "GET /__api__/v1/server_settings/nodejs",
    "GET /__api__/v1/server_settings/python",
    "GET /__api__/v1/server_settings/quarto",
    "GET /__api__/v1/server_settings/r",
    "GET /__api__/v1/tasks/{id}",
    "GET /__api__/v1/user",
    "PATCH /__api__/v1/content/{guid}",
    "PATCH /__api__/v1/content/{guid}/environment",
    "POST /__api__/tokens",
    "POST /__api__/v1/content",
    "POST /__api__/v1/content/{guid}/bundles",
    "POST /__api__/v1/content/{guid}/deploy",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_of_publisher() {
    let Some(node) = need_tool("node") else { return };
    let tools = node.parent().expect("a program is in a folder").to_owned();
    for release in [Version::new(2023, 1, 0), Version::new(2024, 8, 0), NEWEST] {
        let index = Index::start().await;
        let site = Site::new(Config { version: release, ..index.config() }, tools.clone()).await;
        site.write("app/app.py", "app = None\n");
        site.write("app/requirements.txt", "flask==3.0.0\n");
        site.write(
            "app/manifest.json",
            r#"{"version":1,"metadata":{"appmode":"python-fastapi","entrypoint":"app:app"},"python":{"version":"3.11.4",
            "package_manager":{"name":"pip","version":"24.0","package_file":"requirements.txt"}},"files":{}}"#,
        );
        site.write("publisher.mjs", SCRIPT);
        let password = sim_kit::seed::users(1)[1].password.clone();
        let output = site.run("node", &["publisher.mjs", &site.running.url(), &password]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("all is well"), "{release}: {text}");
        if release == NEWEST {
            site.proves(PUBLISHER);
        }
        site.running.stop().await;
    }
}

const SCRIPT: &str = r#"
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { createHash, createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [server, password] = process.argv.slice(2);
let cookies = [];

// Finds the server below the address that a user pasted: the longest candidate that answers 401 is Connect.
async function discover(pasted) {
  const url = new URL(pasted);
  const segments = url.pathname.split("/").filter(Boolean);
  for (let count = segments.length; count >= 0; count--) {
    const candidate = url.origin + segments.slice(0, count).map((segment) => "/" + segment).join("");
    const answer = await fetch(candidate + "/__api__/v1/user");
    if (answer.status === 401) return candidate;
  }
  assert.fail("no Connect there");
}

// A key pair, its public half registered as a token, claimed by the user in a browser.
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const token = "T" + randomBytes(16).toString("hex");
const base = await discover(server + "/connect/");
assert.equal(base, server);

async function call(method, path, { json, body, type, statuses = [200] } = {}) {
  const bytes = body ?? (json === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(json)));
  const date = new Date().toUTCString();
  const checksum = createHash("md5").update(bytes).digest("base64");
  const canonical = [method, path.split("?")[0], date, checksum].join("\n");
  const headers = {
    Date: date,
    "X-Auth-Token": token,
    "X-Auth-Signature": createSign("RSA-SHA1").update(canonical).sign(privateKey, "base64"),
    "X-Content-Checksum": checksum,
  };
  if (bytes.length) headers["Content-Type"] = type ?? "application/json";
  if (cookies.length) headers.Cookie = cookies.map((cookie) => cookie.split(";")[0]).join("; ");
  const answer = await fetch(base + path, { method, headers, body: bytes.length ? bytes : undefined, redirect: "error" });
  if (answer.headers.getSetCookie().length) cookies = answer.headers.getSetCookie();
  const text = await answer.text();
  assert.ok(statuses.includes(answer.status), `${method} ${path}: ${answer.status} ${text}`);
  return answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
}

const der = publicKey.export({ type: "spki", format: "der" }).toString("base64");
const registered = await fetch(base + "/__api__/tokens", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ token, public_key: der, user_id: 0 }),
});
assert.equal(registered.status, 200);
const { token_claim_url } = await registered.json();
await call("GET", "/__api__/v1/user", { statuses: [401, 500] });
await claim(token_claim_url);

// Who is it, and what does the server allow?
const user = await call("GET", "/__api__/v1/user");
assert.ok(!user.locked && user.confirmed && user.user_role === "publisher");
const [settings] = await Promise.all([
  call("GET", "/__api__/server_settings"),
  call("GET", "/__api__/server_settings/applications"),
  call("GET", "/__api__/server_settings/scheduler"),
  call("GET", "/__api__/server_settings/scheduler/python-fastapi"),
  call("GET", "/__api__/v1/server_settings/python"),
  call("GET", "/__api__/v1/server_settings/r"),
  call("GET", "/__api__/v1/server_settings/quarto"),
  call("GET", "/__api__/v1/server_settings/nodejs", { statuses: [200, 404] }),
]);
assert.ok(settings.license["allow-apis"]);

async function publish(guid, value) {
  const path = `/__api__/v1/content/${guid}`;
  writeFileSync("app/app.py", `app = ${value}\n`);
  execFileSync("tar", ["-czf", "bundle.tar.gz", "-C", "app", "manifest.json", "app.py", "requirements.txt"]);
  const bundle = readFileSync("bundle.tar.gz");
  const uploaded = await call("POST", `${path}/bundles`, { body: bundle, type: "application/gzip" });
  const change = { name: "", title: "From Publisher", description: `build ${value}`, max_processes: 2, idle_timeout: 60 };
  await call("PATCH", path, { json: change, statuses: [200, 204] });
  await call("PATCH", `${path}/environment`, { json: [{ name: "A", value }], statuses: [200, 204] });
  const { task_id } = await call("POST", `${path}/deploy`, { json: { bundle_id: uploaded.id }, statuses: [200, 202] });
  let first = 0;
  let task;
  const lines = [];
  do {
    // Publisher waits half a second between; the server holds the answer back here instead.
    task = await call("GET", `/__api__/v1/tasks/${task_id}?first=${first}&wait=1`);
    lines.push(...task.output);
    first = task.last;
  } while (!task.finished);
  assert.equal(task.error, "", lines.join("\n"));
  assert.ok(lines.some((line) => line.includes("flask==3.0.0")), lines.join("\n"));
  await call("GET", `/content/${guid}/`);
  return uploaded.id;
}

const content = await call("POST", "/__api__/v1/content", { json: { name: "" } });
await publish(content.guid, "1");
const again = await call("GET", `/__api__/v1/content/${content.guid}`);
assert.ok(!again.locked && again.app_mode === "python-fastapi" && again.title === "From Publisher");
assert.equal(again.max_processes, 2);
const second = await publish(content.guid, "2");
const copy = await call("GET", `/__api__/v1/content/${content.guid}`);
assert.equal(copy.bundle_id, second);
await call("GET", `/__api__/v1/content/${content.guid}/bundles/${second}/download`);
console.log("all is well");

// What a user does in the browser that is opened: sign in, and agree.
async function claim(url) {
  const form = (fields) => ({ method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
  const signedIn = await fetch(base + "/__login__", form({ username: "publisher", password }));
  const jar = signedIn.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
  const page = await (await fetch(url, { headers: { Cookie: jar } })).text();
  const xsrf = page.match(/name="xsrf" value="([^"]*)"/)[1];
  const agreed = await fetch(url, { ...form({ xsrf }), headers: { Cookie: jar } });
  assert.equal(agreed.status, 200);
}
"#;
