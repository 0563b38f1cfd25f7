// The home page: keeps the rows up to date, and does what its buttons say.

import { call, root } from "./common.js";
import { listbox, open } from "./dialog.js";

const rows = document.getElementById("rows");
const selected = new Set();
let version = "";
// Session to go to as soon as it is ready.
let joining = null;

const row = (id) => rows.querySelector(`tr[data-id="${id}"]`);

function problem(text) {
  const panel = document.getElementById("problem");
  panel.textContent = text;
  panel.hidden = !text;
}

async function attempt(work) {
  problem("");
  try {
    await work();
  } catch (error) {
    problem(error.message);
  }
}

function refreshControls() {
  const all = [...rows.children];
  for (const id of selected) if (!row(id)) selected.delete(id);
  for (const tr of all) {
    tr.querySelector("[role=checkbox]").setAttribute("aria-checked", String(selected.has(tr.dataset.id)));
  }
  const quit = document.getElementById("quit");
  quit.textContent = selected.size ? `Quit (${selected.size})` : "Quit";
  quit.disabled = !selected.size;
  document.getElementById("suspend").disabled = ![...selected].some((id) => row(id).dataset.suspendable);
  document.getElementById("suspendAllBtn").disabled = !all.some((tr) => tr.dataset.suspendable);
  document.getElementById("quitAll").disabled = !all.length;
  document.getElementById("empty").hidden = all.length > 0;
  const ready = joining && row(joining);
  if (ready?.dataset.state === "running") {
    joining = null;
    location.href = ready.dataset.url;
  }
}

function show(answer) {
  if (answer.version === version) return;
  version = answer.version;
  // Keep the keyboard where it was: the rows are new elements.
  const focused = document.activeElement?.closest?.("tr[data-id]");
  const label = focused && document.activeElement.getAttribute("aria-label");
  rows.innerHTML = answer.html;
  if (focused && label) row(focused.dataset.id)?.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
  refreshControls();
}

async function fetchRows(since) {
  const answer = await fetch(`${root}/workspaces/sessions?since=${since}`, {
    headers: { "X-RStudio-Refresh-Auth-Creds": "0" },
  });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  show(await answer.json());
}

const now = () => fetchRows("");

// The server answers when something changes, or after a while.
async function follow() {
  for (;;) {
    try {
      await fetchRows(version);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function newSession() {
  const { element, close } = open("new-session");
  const find = (selector) => element.querySelector(selector);
  const tabs = [...element.querySelectorAll("[role=tab]")];
  listbox(find("#rstudio_label_resource_profile"));
  const form = find("form");
  const launch = find("[type=submit]");
  const select = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    form.dataset.workbench = tab.dataset.workbench;
    const available = Boolean(tab.dataset.available);
    form.hidden = !available;
    // Without the IDE there is nothing to launch, and nothing that looks as if.
    if (available) find(".buttons").append(launch);
    else launch.remove();
    const note = find("#not-installed");
    note.hidden = available;
    note.textContent = `${tab.textContent} is not installed on this simulated server.`;
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      select(next);
      next.focus();
    });
  }
  select(tabs[0]);
  find("#rstudio_label_session_name").focus();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = (id) => find(`#${id}`).value;
    const join = find("#modal-auto-join-button").checked;
    const name = value("rstudio_label_session_name");
    const parameters = {
      workbench: form.dataset.workbench,
      name,
      r_version: value("rstudio_label_r_version"),
      python_version: value("rstudio_label_python_version"),
      launch_parameters: {
        name,
        cluster: value("rstudio_label_cluster"),
        resource_profile: find("#rstudio_label_resource_profile").dataset.value,
      },
    };
    close();
    attempt(async () => {
      const made = await call("launch_session", parameters);
      if (join) joining = made.id;
      version = "";
      await now();
    });
  });
}

function details(id) {
  attempt(async () => {
    const told = await call("get_session", { session_id: id });
    const session = told.sessions[0];
    if (!session) return;
    const { element, close } = open("details");
    const facts = [
      ["Name", session.label], ["Status", session.status], ["IDE", session.workbench], ["Id", session.id],
      ["R", session.r_version], ["Python", session.python_version], ["Created", session.created],
      ["Last used", session.last_used], ["Message", session.status_message],
      ["Cluster", session.launch_parameters.cluster], ["Resource profile", session.launch_parameters.resource_profile],
    ];
    for (const [term, fact] of facts.filter(([, fact]) => fact)) {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = fact;
      element.querySelector("dl").append(dt, dd);
    }
    const launch = element.querySelector("[data-launch]");
    if (["suspended", "failed"].includes(session.activity_state)) {
      launch.addEventListener("click", () => attempt(async () => {
        await call("resume_session", { session_id: id });
        location.href = session.url;
      }));
      launch.focus();
    } else {
      launch.remove();
      element.querySelector("[data-close]").focus();
    }
    const confirm = element.querySelector("[data-testid=confirm-force-quit-button]");
    const force = element.querySelector("[data-testid=force-quit-session-button]");
    force.addEventListener("click", () => {
      force.hidden = true;
      confirm.hidden = false;
      confirm.focus();
    });
    confirm.addEventListener("click", () => {
      close();
      stop([id], { force_quit: true });
    });
  });
}

function rename(id) {
  const { element, close } = open("rename");
  const input = element.querySelector("#new-name");
  input.value = row(id).querySelector(".name a").title;
  input.select();
  element.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    close();
    attempt(async () => {
      await call("rename_session", { session_id: id, name: input.value });
      await now();
    });
  });
}

const stop = (ids, options) => attempt(async () => {
  try {
    await call("stop_session", { session_ids: ids.join(","), ...options });
  } finally {
    await now();
  }
});
const idsOf = (filter) => [...rows.children].filter(filter).map((tr) => tr.dataset.id);

for (const button of document.querySelectorAll("[data-new-session]")) button.addEventListener("click", newSession);
document.getElementById("quit").addEventListener("click", () => stop([...selected]));
document.getElementById("suspend").addEventListener("click", () =>
  stop([...selected].filter((id) => row(id).dataset.suspendable), { suspend: true }));
document.getElementById("suspendAllBtn").addEventListener("click", () =>
  stop(idsOf((tr) => tr.dataset.suspendable), { suspend: true }));
document.getElementById("quitAll").addEventListener("click", () => stop(idsOf(() => true)));

rows.addEventListener("click", (event) => {
  const tr = event.target.closest("tr");
  const id = tr?.dataset.id;
  if (event.target.closest("[role=checkbox]")) {
    if (!selected.delete(id)) selected.add(id);
    refreshControls();
  } else if (event.target.closest("[data-action=rename]")) {
    rename(id);
  } else if (event.target.closest("[data-action=details]")) {
    details(id);
  } else if (event.target.closest(".name a") && tr.dataset.state !== "running") {
    event.preventDefault();
    details(id);
  }
});

function view() {
  const known = ["sessions", "projects", "jobs", "settings"];
  const wanted = location.hash.slice(1);
  const name = known.includes(wanted) ? wanted : "sessions";
  for (const other of known) document.getElementById(`${other}-view`).hidden = other !== name;
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
addEventListener("hashchange", view);
view();
refreshControls();
follow();
