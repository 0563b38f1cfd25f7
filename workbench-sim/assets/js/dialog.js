// Dialogs that exist only while they are open: automation looks for roles in the whole page.

/** Opens the dialog of a template; answers with its element and a function that closes it. */
export function open(id) {
  const before = document.activeElement;
  const veil = document.getElementById(id).content.cloneNode(true).firstElementChild;
  document.body.append(veil);
  const keys = (event) => {
    if (event.key === "Escape" && !veil.querySelector("[role=listbox]")) {
      event.preventDefault();
      close();
    } else if (event.key === "Tab") {
      // The page behind is out of reach.
      const all = [...veil.querySelectorAll("button, input, select, a[href]")]
        .filter((element) => !element.disabled && element.tabIndex >= 0 && element.offsetParent);
      const [first, last] = [all[0], all.at(-1)];
      if (event.shiftKey && document.activeElement === first) {
        event.preventDefault();
        last.focus();
      } else if (!event.shiftKey && document.activeElement === last) {
        event.preventDefault();
        first.focus();
      }
    }
  };
  const close = () => {
    document.removeEventListener("keydown", keys, true);
    veil.remove();
    if (before?.isConnected) before.focus();
  };
  document.addEventListener("keydown", keys, true);
  veil.addEventListener("mousedown", (event) => {
    if (event.target === veil) close();
  });
  for (const button of veil.querySelectorAll("[data-close]")) button.addEventListener("click", close);
  return { element: veil, close };
}

/** A button that opens a list of options, which are in the page only while it is open. */
export function listbox(button) {
  const options = JSON.parse(button.dataset.options);
  let list = null;
  let current = 0;
  const shut = () => {
    list?.remove();
    list = null;
    button.setAttribute("aria-expanded", "false");
  };
  const mark = (n) => {
    current = (n + options.length) % options.length;
    [...list.children].forEach((item, i) => item.classList.toggle("on", i === current));
  };
  const choose = (n) => {
    if (options[n].disabled) return;
    button.dataset.value = options[n].value;
    button.textContent = options[n].text;
    shut();
    button.focus();
  };
  const show = () => {
    list = document.createElement("ul");
    list.setAttribute("role", "listbox");
    options.forEach((option, n) => {
      const item = document.createElement("li");
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(option.value === button.dataset.value));
      if (option.disabled) {
        item.setAttribute("aria-disabled", "true");
        item.dataset.disabled = "";
      }
      item.textContent = option.text;
      item.addEventListener("click", () => choose(n));
      list.append(item);
    });
    button.after(list);
    button.setAttribute("aria-expanded", "true");
    mark(Math.max(0, options.findIndex((option) => option.value === button.dataset.value)));
  };
  button.addEventListener("click", () => (list ? shut() : show()));
  button.addEventListener("keydown", (event) => {
    if (!list) {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      show();
    } else if (event.key === "ArrowDown") mark(current + 1);
    else if (event.key === "ArrowUp") mark(current - 1);
    else if (event.key === "Enter" || event.key === " ") choose(current);
    else if (event.key === "Escape") shut();
    else return;
    event.preventDefault();
  });
  // A click elsewhere, but not one on the list, shuts it.
  button.addEventListener("blur", () => {
    if (list && !list.matches(":hover")) shut();
  });
}
