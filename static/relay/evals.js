/* Progress of runs that are under way: asked for every two seconds while the page is seen, and shown in place. */
(() => {
  const page = document.querySelector("[data-live]");
  if (!page) return;
  const set = (root, selector, text) => { const found = root?.querySelector(selector); if (found && found.textContent !== text) found.textContent = text; };
  const say = (text) => set(document, "[data-status]", text);
  let timer = 0;

  function show(pk, run) {
    const progress = document.querySelector(`[data-run="${pk}"]`);
    const meter = progress?.querySelector("[role=progressbar]");
    if (meter) { meter.setAttribute("aria-valuenow", Math.round(run.percent)); meter.firstElementChild.style.width = `${run.percent}%`; }
    set(progress, "[data-done]", run.done);
    set(progress, "[data-failed]", run.failed ? `, ${run.failed.toLocaleString("en")} failed` : "");
    set(progress, "[data-left]", run.left);
    set(document, `[data-cost="${pk}"]`, run.cost);
    const pill = document.querySelector(`[data-state="${pk}"] .relay-pill`);
    const word = run.state[0].toUpperCase() + run.state.slice(1);
    if (pill && pill.lastChild.textContent.trim() !== word) { pill.lastChild.textContent = word; say(`Run ${pk}: ${word}`); }
  }

  async function poll() {
    if (document.hidden) return;
    const answer = await fetch(page.dataset.live).catch(() => null);
    if (!answer?.ok) return;
    const runs = Object.entries(await answer.json());
    for (const [pk, run] of runs) show(pk, run);
    if (runs.some(([, run]) => run.open)) return;
    clearInterval(timer);
    const finished = document.querySelector("[data-finished]");
    if (finished) finished.hidden = false;
  }
  poll();
  timer = setInterval(poll, 2000);
})();
