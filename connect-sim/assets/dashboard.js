// The dashboard's routes are behind the hash sign: `#/apps/{guid}/logs` shows the view `/connect/view/apps/{guid}/logs`,
// which the server renders. Forms say which request of the API they make, and send the fields as its JSON body.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const { root, xsrf } = document.body.dataset;
  let turn = 0;

  // The view that is shown: what is behind the hash sign, or the page's own address when a view was opened by it.
  const path = () => {
    if (location.hash.startsWith("#/")) return location.hash.slice(2).replace(/^\/+/, "") || "content/listing";
    const [, below] = `${location.pathname}${location.search}`.split("/connect/view/");
    return below || "content/listing";
  };

  const say = (text) => { document.getElementById("toast").textContent = text; };

  // Requests.

  const api = async (method, path, body) => {
    const headers = { "X-Rsc-Xsrf": xsrf };
    if (typeof body === "string") headers["Content-Type"] = "application/json";
    const answer = await fetch(`${root}/__api__${path}`, { method, headers, body });
    if (answer.status === 401) location.reload();
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.error || `The server answered ${answer.status} ${answer.statusText}.`);
  };

  const fetchView = async () => {
    const answer = await fetch(`${root}/connect/view/${path()}`, { headers: { Accept: "text/html" } });
    if (answer.url.includes("/__login__")) { location.reload(); return null; }
    const text = await answer.text();
    if (!(answer.headers.get("Content-Type") || "").startsWith("text/html")) throw new Error(text);
    return new DOMParser().parseFromString(text, "text/html");
  };

  // Views.

  const mark = () => {
    const now = path();
    for (const link of document.querySelectorAll(".menu a")) {
      const below = link.dataset.route;
      const current = now === below || now.startsWith(`${below}/`) || (below === "content" && now.startsWith("apps/"));
      current ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
  };

  // Parts of the same page are exchanged one by one, so that content in a frame goes on while settings change.
  const put = (page) => {
    const fresh = page.getElementById("main");
    const [kept, next] = [main, fresh].map((one) => one.querySelector("[data-keep]"));
    document.title = page.title;
    if (kept && kept.dataset.keep === next?.dataset.keep) {
      kept.className = next.className;
      for (const part of fresh.querySelectorAll("[data-part]")) {
        main.querySelector(`[data-part="${part.dataset.part}"]`)?.replaceWith(document.importNode(part, true));
      }
    } else {
      main.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    }
    settle();
  };

  const show = async ({ quiet = false } = {}) => {
    const mine = ++turn;
    mark();
    main.setAttribute("aria-busy", "true");
    try {
      const page = await fetchView();
      if (mine !== turn || !page) return;
      put(page);
      if (!quiet) {
        say("");
        scrollTo(0, 0);
        main.focus({ preventScroll: true });
        main.querySelector("[autofocus]")?.focus();
      }
    } catch (error) {
      if (mine === turn) main.replaceChildren(alertOf(`The page could not be loaded: ${error.message}`));
    } finally {
      if (mine === turn) main.removeAttribute("aria-busy");
    }
    follow(mine);
    watch(mine);
  };

  const go = (hash) => { if (hash === location.hash) show(); else location.hash = hash; };

  const alertOf = (text) => {
    const alert = document.createElement("p");
    alert.className = "error";
    alert.setAttribute("role", "alert");
    alert.textContent = text;
    return alert;
  };

  const settle = () => {
    for (const log of main.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
    for (const form of main.querySelectorAll("form")) switchFields(form);
    progress();
  };

  // A running task is followed line by line.

  const progress = () => {
    const log = main.querySelector("pre[data-task]");
    const steps = main.querySelectorAll(".steps li");
    if (!log || !steps.length) return;
    const text = log.textContent;
    const reached = log.dataset.state === "finished" ? steps.length
      : /^Launching /m.test(text) ? 2
      : /^(Building .* environment|Collecting|Installing|Looking in|Restoring)/m.test(text) ? 1 : 0;
    steps.forEach((step, index) => {
      step.classList.toggle("done", index < reached);
      step.classList.toggle("failed", index === reached && log.dataset.state === "failed");
      step.classList.toggle("now", index === reached && log.dataset.state === "running");
    });
  };

  const follow = async (mine) => {
    const log = main.querySelector("pre[data-task][data-state='running']");
    if (!log) return;
    let last = Number(log.dataset.last);
    try {
      while (mine === turn && log.isConnected) {
        const answer = await api("GET", `/v1/tasks/${log.dataset.task}?first=${last}&wait=1`);
        const task = await answer.json();
        const low = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
        for (const line of task.output) log.append(`${line}\n`);
        if (low) log.scrollTop = log.scrollHeight;
        last = task.last;
        if (task.finished) { if (mine === turn) show({ quiet: true }); return; }
        progress();
      }
    } catch (error) {
      log.after(alertOf(`The log cannot be followed: ${error.message}`));
    }
  };

  // What may change by itself is looked at again now and then, while somebody can see it.

  const watch = async (mine) => {
    const seconds = Number(main.querySelector("[data-refresh]")?.dataset.refresh);
    if (!seconds) return;
    await new Promise((done) => setTimeout(done, seconds * 1000));
    if (mine !== turn) return;
    const busy = document.hidden || document.querySelector("dialog[open]");
    if (!busy) {
      const page = await fetchView().catch(() => null);
      if (mine !== turn) return;
      for (const old of main.querySelectorAll("[data-refresh]")) {
        const fresh = page?.getElementById(old.id);
        const touched = old.contains(document.activeElement) || old.querySelector("pre[data-state='running']");
        if (fresh && !touched && fresh.outerHTML !== old.outerHTML) {
          old.replaceWith(document.importNode(fresh, true));
          settle();
          follow(mine);
        }
      }
    }
    watch(mine);
  };

  // Forms.

  const valueOf = (field) => {
    const { type = field.type, empty } = field.dataset;
    if (type === "checkbox") return field.checked;
    if (field.value === "" && empty === "skip") return undefined;
    if (type === "number") return field.value === "" ? null : Number(field.value);
    if (type === "time") return field.value === "" ? null : `${field.value.slice(0, 16)}:00Z`;
    if (type === "flag") return field.value === "" ? null : field.value === "true";
    return field.value === "" && empty === "null" ? null : field.value;
  };

  const fieldsOf = (form) => {
    const body = {};
    for (const field of form.elements) {
      if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
      const names = field.name.split(".");
      const last = names.pop();
      const place = names.reduce((place, name) => (place[name] ??= {}), body);
      if (field.dataset.type === "many") {
        place[last] ??= [];
        if (field.checked) place[last].push(isNaN(field.value) ? field.value : Number(field.value));
        continue;
      }
      const value = valueOf(field);
      if (value !== undefined) place[last] = value;
      const also = field.selectedOptions?.[0]?.dataset.also;
      if (also) Object.assign(body, JSON.parse(also));
    }
    for (const name of (form.dataset.stringify || "").split(" ").filter(Boolean)) body[name] = JSON.stringify(body[name] ?? {});
    return body;
  };

  const bodyOf = (form) => {
    switch (form.dataset.shape) {
      case "none": return undefined;
      case "file": return form.querySelector("input[type='file']").files[0];
      case "list": return JSON.stringify([fieldsOf(form)]);
      case "each": return JSON.stringify([...form.querySelectorAll("input:checked")].map((box) => ({ [box.name]: box.value })));
      default: return JSON.stringify(fieldsOf(form));
    }
  };

  // Fields that belong to one choice only are there when it is made.
  const switchFields = (form) => {
    for (const part of form.querySelectorAll("[data-for]")) {
      const [name, ...values] = part.dataset.for.split(" ");
      const wanted = values.includes(form.elements[name]?.value);
      part.hidden = !wanted;
      for (const field of part.querySelectorAll("input, select, textarea")) field.disabled = !wanted;
    }
  };

  const ask = (text, action) => new Promise((answer) => {
    const dialog = document.createElement("dialog");
    dialog.className = "stack";
    dialog.setAttribute("aria-label", action);
    const question = document.createElement("p");
    question.textContent = text;
    const buttons = document.createElement("form");
    buttons.method = "dialog";
    buttons.className = "row end";
    for (const [label, value] of [["Cancel", ""], [action, "yes"]]) {
      const button = document.createElement("button");
      button.value = value;
      button.textContent = label;
      if (value) button.className = "danger";
      buttons.append(button);
    }
    dialog.append(question, buttons);
    dialog.addEventListener("close", () => { dialog.remove(); answer(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });

  // What is told once: shown until it is closed.
  const reveal = (label, secret) => new Promise((closed) => {
    const dialog = document.createElement("dialog");
    dialog.innerHTML = `<form method="dialog" class="stack"><label class="field"><span></span>
      <input readonly class="api-key-value" data-automation="api-key-value"></label>
      <div class="row end"><button type="button">Copy</button><button class="primary">Done</button></div></form>`;
    dialog.querySelector("span").textContent = label;
    const input = dialog.querySelector("input");
    input.value = secret;
    dialog.querySelector("button[type='button']").addEventListener("click", () => copy(secret, input));
    dialog.addEventListener("close", () => { dialog.remove(); closed(); });
    document.body.append(dialog);
    dialog.showModal();
    input.select();
  });

  const copy = async (text, input) => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      input?.select();
      say("Press Ctrl+C to copy");
    }
  };

  const send = async (form) => {
    const { api: request, confirm, then, done, secret } = form.dataset;
    const [method, path] = [request.split(" ", 1)[0], request.slice(request.indexOf(" ") + 1)];
    const button = form.querySelector("button:not([type='button'])");
    if (confirm && !(await ask(confirm, button?.textContent.trim() || "Go on"))) return;
    form.querySelector("[role='alert']")?.remove();
    if (button) button.disabled = true;
    try {
      const answer = await api(method, path, bodyOf(form));
      form.closest("dialog")?.close();
      if (secret) await reveal(secret, (await answer.json()).key);
      if (then) {
        const made = then.includes("{") ? await answer.json() : {};
        go(then.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(made[name])));
      } else {
        await show({ quiet: true });
      }
      say(done || "");
    } catch (error) {
      form.append(alertOf(error.message));
      if (form.dataset.submit === "change") form.reset();
    } finally {
      if (button) button.disabled = false;
    }
  };

  const download = async (link) => {
    try {
      const answer = await api("GET", link.getAttribute("href").slice(`${root}/__api__`.length));
      const name = (answer.headers.get("Content-Disposition") || "").match(/filename="([^"]+)"/);
      const saved = document.createElement("a");
      saved.href = URL.createObjectURL(await answer.blob());
      saved.download = name ? name[1] : link.dataset.download;
      saved.click();
      setTimeout(() => URL.revokeObjectURL(saved.href), 10_000);
    } catch (error) {
      say(error.message);
    }
  };

  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.api) {
      event.preventDefault();
      send(form);
    } else if (form.dataset.route) {
      event.preventDefault();
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")).toString();
      go(`#/${form.dataset.route}${query ? `?${query}` : ""}`);
    }
  });

  addEventListener("change", (event) => {
    const form = event.target.form;
    if (!form) return;
    switchFields(form);
    if (form.dataset.submit === "change") form.requestSubmit();
  });

  addEventListener("click", (event) => {
    const menu = document.querySelector(".user[open]");
    if (menu && (!menu.contains(event.target) || event.target.closest(".pop a"))) menu.open = false;
    const target = event.target.closest("[data-dialog], [data-close], [data-copy], [data-download], .skip");
    if (!target) return;
    if (target.dataset.dialog) document.getElementById(target.dataset.dialog).showModal();
    else if (target.hasAttribute("data-close")) target.closest("dialog").close();
    else if (target.dataset.copy) copy(document.getElementById(target.dataset.copy).textContent);
    else {
      event.preventDefault();
      if (target.dataset.download) download(target); else main.focus();
    }
  });

  addEventListener("keydown", (event) => {
    const menu = document.querySelector(".user[open]");
    if (event.key === "Escape" && menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  addEventListener("hashchange", () => { if (!location.hash || location.hash.startsWith("#/")) show(); });
  if (main.hasAttribute("data-shell")) show(); else { settle(); follow(turn); watch(turn); }
})();
