// What the pages of a signed-in user share: calls to the server, and the user menu.

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

export const root = meta("root");

/** Calls a method of the home page's API. Throws with the server's words. */
export async function call(method, kwparams) {
  const answer = await fetch(`${root}/workspaces/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-RS-CSRF-Token": meta("rs-csrf-token") },
    body: JSON.stringify({ method, kwparams }),
  });
  if (answer.status === 401) location.reload();
  const value = await answer.json();
  if (value.error) throw new Error(value.error.message);
  return value.result;
}

const user = document.getElementById("current-user");
const menu = document.getElementById("user-menu");

function toggle(open) {
  menu.hidden = !open;
  user.setAttribute("aria-expanded", String(open));
}

user.addEventListener("click", (event) => {
  event.stopPropagation();
  toggle(menu.hidden);
});
document.addEventListener("click", (event) => {
  if (!menu.contains(event.target)) toggle(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !menu.hidden) {
    toggle(false);
    user.focus();
  }
});
