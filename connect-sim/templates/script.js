// Hash routes of the dashboard become server-rendered views; a running task is followed until it ends.
(() => {
  const main = document.getElementById("main");
  const xsrf = document.body.dataset.xsrf;
  let shown = 0;
  const view = (hash) => {
    const path = hash.replace(/^#\/?/, "");
    const app = path.match(/^apps\/([^?]+)/);
    return app ? "/connect/view/apps/" + app[1] : path.startsWith("content") ? "/connect/view/content" : null;
  };
  const follow = async (turn) => {
    const log = document.querySelector("pre[data-task]");
    if (!log || log.dataset.finished === "true") return;
    let last = Number(log.dataset.last);
    while (turn === shown) {
      const answer = await fetch(`/__api__/v1/tasks/${log.dataset.task}?first=${last}&wait=1`, { headers: { "X-Rsc-Xsrf": xsrf } });
      if (!answer.ok) return;
      const task = await answer.json();
      for (const line of task.output) log.append(line + "\n");
      last = task.last;
      if (task.finished) {
        const state = document.getElementById("task-state");
        if (state) state.textContent = task.code === 0 ? "finished" : "failed: " + task.error;
        return;
      }
    }
  };
  const show = async () => {
    const turn = ++shown;
    const path = view(location.hash);
    if (path) {
      const answer = await fetch(path, { headers: { Accept: "text/html" } });
      if (answer.url.includes("/__login__")) { location.reload(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (turn !== shown) return;
      main.innerHTML = page.getElementById("main").innerHTML;
      document.title = page.title;
    }
    follow(turn);
  };
  addEventListener("hashchange", show);
  show();
})();
