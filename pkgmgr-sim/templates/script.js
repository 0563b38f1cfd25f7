// Pages work without this script. With it, addresses are hash routes (`#/repos/cran/packages?search=sf`), as those of the
// real product are: each is a view of the server (`/client/view/repos/cran/packages?search=sf`), fetched and put in place.
"use strict";
(() => {
  const base = document.documentElement.dataset.base;
  const views = base + "/client/view/";
  const view = document.documentElement.dataset.view;
  const main = document.getElementById("main");
  let shown = null;
  let turn = 0;

  const hashOf = (url) => "#/" + url.pathname.slice(views.length) + url.search;
  const route = () => location.hash.replace(/^#\/?/, "");
  const isShell = () => [base + "/", base + "/client", base + "/client/"].includes(location.pathname);

  // A view that was opened by its own address goes on as a hash route, without being loaded again.
  if (view !== undefined && location.pathname.startsWith(views)) {
    shown = location.pathname.slice(views.length) + location.search;
    history.replaceState(null, "", base + "/client/" + "#/" + shown);
  }

  const put = (page, fresh) => {
    const results = main.querySelector("#results");
    const found = page.querySelector("#results");
    // The form that is being typed into stays.
    if (!fresh && results && found) {
      results.replaceWith(found);
      for (const field of page.querySelectorAll("#main form [name]")) {
        const own = main.querySelector(`form [name="${CSS.escape(field.name)}"]`);
        if (own && own !== document.activeElement) own.value = field.value;
      }
    } else main.innerHTML = page.getElementById("main").innerHTML;
    document.querySelector(".bar nav").innerHTML = page.querySelector(".bar nav").innerHTML;
    document.title = page.title;
  };
  const get = async (path) => {
    const answer = await fetch(views + path, { headers: { Accept: "text/html" } });
    if (!(answer.headers.get("content-type") || "").startsWith("text/html")) throw new Error("no page: " + answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  const show = async () => {
    const path = route() || "home";
    if (path === shown || !isShell() || (location.hash && !location.hash.startsWith("#/"))) return;
    const mine = ++turn;
    const fresh = shown === null || shown.split("?")[0] !== path.split("?")[0];
    main.setAttribute("aria-busy", "true");
    try {
      const page = await get(path);
      if (mine !== turn) return;
      put(page, fresh);
      // Moving to another page moves the reader; typing into a search does not.
      if (fresh && shown !== null) { scrollTo(0, 0); main.focus(); }
      shown = path;
    } catch (error) {
      if (mine === turn) main.innerHTML = '<div class="empty"><p>The server did not answer. Try again in a moment.</p></div>';
    } finally {
      if (mine === turn) main.removeAttribute("aria-busy");
    }
    live();
  };

  addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = copy.closest(".code").querySelector("pre").textContent;
      navigator.clipboard.writeText(text).then(() => {
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = "Copy"; }, 1500);
      });
      return;
    }
    const link = event.target.closest("a[href]");
    if (link && link.classList.contains("skip")) {
      event.preventDefault();
      main.focus();
      return;
    }
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith(views)) return;
    event.preventDefault();
    if (isShell()) location.hash = hashOf(url);
    else location.assign(base + "/client/" + hashOf(url));
  });

  // Forms that ask for a view (searches, the choices of the setup page) answer while they are being filled in.
  const ask = (form, replace) => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value !== "") query.append(name, value);
    const url = new URL(form.action);
    const text = query.toString();
    const hash = "#/" + url.pathname.slice(views.length) + (text ? "?" + text : "");
    if (!isShell()) location.assign(base + "/client/" + hash);
    else if (replace) { history.replaceState(null, "", hash); show(); }
    else location.hash = hash;
  };
  const asks = (form) => form && form.method === "get" && new URL(form.action).pathname.startsWith(views);
  let typing;
  addEventListener("input", (event) => {
    const form = event.target.form;
    if (!asks(form)) return;
    clearTimeout(typing);
    typing = setTimeout(() => { if (form.isConnected) ask(form, true); }, event.target.tagName === "INPUT" ? 400 : 0);
  });
  addEventListener("submit", (event) => {
    const question = event.target.dataset.sure;
    if (question && !confirm(question)) { event.preventDefault(); return; }
    if (!asks(event.target)) return;
    event.preventDefault();
    clearTimeout(typing);
    ask(event.target, false);
  });

  // What goes on at the server right now is looked at every second.
  let looking;
  const live = () => {
    clearTimeout(looking);
    const part = main.querySelector("[data-live=running]");
    if (!part) return;
    looking = setTimeout(async () => {
      try {
        const fresh = (await get(part.dataset.view)).querySelector("[data-live]");
        if (fresh && part.isConnected) part.replaceWith(fresh);
      } catch (error) { /* the next look may succeed */ }
      live();
    }, 1000);
  };

  // On the page of the API a link to a schema opens it.
  const unfold = () => {
    const target = location.hash.startsWith("#/") ? null : document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", () => { show(); unfold(); });
  unfold();
  if (isShell() && shown === null && !route()) shown = "home";
  show();
  live();
})();
