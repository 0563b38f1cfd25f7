// A session's page: the R console and the terminal, each over a WebSocket. Output so far comes again when the page is
// opened anew.

import { call, root } from "./common.js";
import { Terminal } from "./xterm/xterm.mjs";
import { FitAddon } from "./xterm/addon-fit.mjs";

const element = (name) => document.getElementById(name);
const id = element("rstudio_container").dataset.session;

function say(text) {
  element("waiting-text").textContent = text;
  element("waiting").hidden = !text;
}

function socket(channel, query = "") {
  const url = new URL(channel + query, location.href.split("#")[0]);
  url.protocol = url.protocol.replace("http", "ws");
  const made = new WebSocket(url);
  made.binaryType = "arraybuffer";
  return made;
}

function send(to, text) {
  if (to?.readyState === WebSocket.OPEN) to.send(new TextEncoder().encode(text));
}

// ---- the console ----

const LONGEST_OUTPUT = 400_000;
const output = element("rstudio_console_output");
const input = element("rstudio_console_input").querySelector("textarea");
const history = [];
let back = 0;
let consoleSocket = null;
let decoder = new TextDecoder();
let held = "";

function print(text) {
  // What is not whole yet, such as half a colour, waits for the rest.
  held += text;
  const cut = held.search(/\x1b(\[[0-9;?]*)?$/);
  const ready = cut < 0 ? held : held.slice(0, cut);
  held = cut < 0 ? "" : held.slice(cut);
  const plain = ready.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|[\r\x07]/g, "");
  let group = output.lastElementChild;
  if (!group || group.textContent.length > 4000) {
    group = document.createElement("span");
    output.append(group);
  }
  const piece = document.createElement("span");
  piece.textContent = plain;
  group.append(piece);
  // A backspace takes the character before it away.
  if (plain.includes("\b")) {
    let whole = group.textContent;
    while (/[^\b]\b/.test(whole)) whole = whole.replace(/[^\b]\b/g, "");
    piece.textContent = whole;
    group.replaceChildren(piece);
  }
  while (output.textContent.length > LONGEST_OUTPUT) output.firstElementChild.remove();
  element("rstudio_shell_widget").scrollTop = 1e9;
}

function connectConsole() {
  output.replaceChildren();
  decoder = new TextDecoder();
  held = "";
  consoleSocket = socket("console");
  consoleSocket.onmessage = (event) => {
    if (typeof event.data !== "string") return print(decoder.decode(event.data, { stream: true }));
    const frame = JSON.parse(event.data);
    if (frame.type === "exit") print(`\n[R ended with status ${frame.code}. Press Enter to start it again.]\n`);
  };
}

input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (consoleSocket?.readyState === WebSocket.CLOSED) return connectConsole();
    send(consoleSocket, input.value + "\n");
    if (input.value.trim()) history.push(input.value);
    back = 0;
    input.value = "";
  } else if (event.key === "ArrowUp" && back < history.length && !input.value.includes("\n")) {
    event.preventDefault();
    back += 1;
    input.value = history.at(-back);
  } else if (event.key === "ArrowDown" && back > 0) {
    event.preventDefault();
    back -= 1;
    input.value = back ? history.at(-back) : "";
  } else if (event.key === "Escape" || (event.ctrlKey && event.key === "c" && input.selectionStart === input.selectionEnd)) {
    send(consoleSocket, "\x03");
  } else if (event.ctrlKey && event.key === "l") {
    event.preventDefault();
    output.replaceChildren();
  }
});
element("rstudio_shell_widget").addEventListener("click", () => {
  if (!getSelection().toString()) input.focus();
});
element("rstudio_tb_consoleclear_0").addEventListener("click", () => output.replaceChildren());
element("rstudio_tb_interruptr_0").addEventListener("click", () => send(consoleSocket, "\x03"));

// ---- the terminal ----

let terminal = null;
let terminalSocket = null;

function connectTerminal() {
  terminalSocket = socket("terminal", `?cols=${terminal.cols}&rows=${terminal.rows}`);
  terminalSocket.onmessage = (event) => {
    if (typeof event.data !== "string") return terminal.write(new Uint8Array(event.data));
    const frame = JSON.parse(event.data);
    if (frame.type === "exit") {
      terminal.write(`\r\n[The terminal ended with status ${frame.code}. Press a key to start another.]\r\n`);
    }
  };
}

function openTerminal() {
  if (!terminal) {
    terminal = new Terminal({
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 14,
      scrollback: 5000,
      cursorBlink: true,
      theme: { background: "#101418", foreground: "#e6e9ee", cursor: "#4fc1b5" },
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(element("terminal"));
    fit.fit();
    terminal.onData((text) => {
      if (terminalSocket.readyState === WebSocket.CLOSED) {
        terminal.reset();
        connectTerminal();
      } else {
        send(terminalSocket, text);
      }
    });
    terminal.onResize(({ cols, rows }) => {
      if (terminalSocket?.readyState === WebSocket.OPEN) {
        terminalSocket.send(JSON.stringify({ type: "resize", cols, rows }));
      }
    });
    new ResizeObserver(() => {
      if (element("terminal").offsetParent) fit.fit();
    }).observe(element("terminal"));
    connectTerminal();
  }
  terminal.focus();
}

// ---- tabs, buttons, life ----

const tabs = ["console", "terminal"].map((name) => element(`rstudio_workbench_tab_${name}`));
const consoleOnly = ["rstudio_tb_consoleclear_0", "rstudio_tb_interruptr_0", "rstudio_console_interpreter_version"];

function select(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    element(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  for (const name of consoleOnly) element(name).hidden = tab !== tabs[0];
  if (tab === tabs[0]) input.focus();
  else openTerminal();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    const next = tabs.find((other) => other !== tab);
    select(next);
    next.focus();
  });
}

element("go-home").addEventListener("click", () => {
  location.href = `${root}/home`;
});
element("rstudio_tb_quitsession").addEventListener("click", async () => {
  await call("stop_session", { session_ids: id });
  location.href = `${root}/home`;
});

async function begin() {
  for (;;) {
    const told = await call("get_session", { session_id: id });
    const session = told.sessions[0];
    if (session?.activity_state === "running") break;
    if (!session || session.activity_state === "failed") {
      return say(`The session could not be started. ${session?.status_message ?? ""}`);
    }
    say(session.activity_state === "pending" ? "The session is waiting to be started…" : "Starting the session…");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  say("");
  connectConsole();
  input.focus();
}
begin().catch((error) => say(error.message));
