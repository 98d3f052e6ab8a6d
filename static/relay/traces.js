/* The trace list and page: peek, keys, live counter, copy. Every row is a plain link without it. */
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const list = one("[data-trace-list]");
  const say = (text) => { const status = one("[data-status]"); if (status) status.textContent = text; };

  // Exact times also in the zone of the reader.
  for (const time of all("time[datetime]")) {
    time.title += ` · ${new Date(time.dateTime).toLocaleString()} here`;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from], [data-copy-url]");
    if (!button) return;
    event.preventDefault();
    let text = button.dataset.copy ?? "";
    if (button.dataset.copyFrom) text = one(button.dataset.copyFrom).textContent;
    if (button.dataset.copyUrl) text = await (await fetch(button.dataset.copyUrl)).text();
    await navigator.clipboard.writeText(text);
    const label = one("[data-label]", button) ?? button;
    const before = label.textContent;
    label.textContent = "Copied";
    say("Copied");
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  document.addEventListener("click", (event) => {
    const unfold = event.target.closest("[data-unfold]");
    if (!unfold) return;
    one(".folded", unfold.parentElement).classList.remove("folded");
    unfold.remove();
  });

  document.addEventListener("change", (event) => {
    const select = event.target.closest("[data-go]");
    if (!select) return;
    if (select.value === "custom") one("[data-custom]").hidden = false;
    else location.search = select.selectedOptions[0].dataset.url;
  });

  async function peek(row) {
    const button = one(".relay-fold", row);
    const target = row.nextElementSibling;
    const open = target.hidden;
    target.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (!open || target.dataset.loaded) return;
    const answer = await fetch(row.dataset.peek, { headers: { "X-Requested-With": "fetch" } });
    one("td", target).innerHTML = answer.ok ? await answer.text() : "This trace could not be loaded. Close and open it to try again.";
    if (answer.ok) target.dataset.loaded = "1";
  }

  let current = -1;
  function move(step) {
    const rows = all("tr.row", list);
    if (!rows.length) return;
    rows[current]?.classList.remove("current");
    current = Math.min(Math.max(current + step, 0), rows.length - 1);
    rows[current].classList.add("current");
    rows[current].scrollIntoView({ block: "nearest" });
    one("a", rows[current]).focus({ preventScroll: true });
  }

  let timer = 0;
  async function poll() {
    if (document.hidden) return;
    const answer = await fetch(list.dataset.live).catch(() => null);
    const label = one("[data-live-label]");
    label.textContent = answer?.ok ? "Live" : "Reconnecting";
    if (!answer?.ok) return;
    const { newer, more } = await answer.json();
    const pill = one("[data-newer]");
    pill.hidden = !newer;
    const text = `${newer}${more ? "+" : ""} new`;
    if (newer && one("a", pill).textContent.trim() !== text) { one("a", pill).textContent = text; say(`${text} traces`); }
  }
  function live(on) {
    const button = one("[data-live-toggle]");
    button.setAttribute("aria-pressed", String(on));
    sessionStorage.setItem("relay-live", on ? "1" : "");
    clearInterval(timer);
    if (on) { poll(); timer = setInterval(poll, 4000); }
  }

  if (list) {
    list.addEventListener("click", (event) => {
      const row = event.target.closest("tr.row");
      if (!row) return;
      if (event.target.closest(".relay-fold")) peek(row);
      else if (!event.target.closest("a, button") && !String(getSelection())) location.href = one("a", row).href;
    });
    one("[data-live-toggle]").addEventListener("click", (event) => live(event.currentTarget.getAttribute("aria-pressed") !== "true"));
    if (sessionStorage.getItem("relay-live")) live(true);
    one("[data-filters-toggle]").addEventListener("click", (event) => {
      const form = one("[data-filters]");
      form.hidden = !form.hidden;
      event.currentTarget.setAttribute("aria-expanded", String(!form.hidden));
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const keys = list
      ? { j: () => move(1), k: () => move(-1), l: () => one("[data-live-toggle]").click(), o: () => current >= 0 && peek(all("tr.row", list)[current]),
          "/": () => { event.preventDefault(); one("[data-search]").focus(); } }
      : { "[": () => one("[data-newer-trace]")?.click(), "]": () => one("[data-older-trace]")?.click(), c: () => one("[data-copy-link]")?.click() };
    keys[event.key]?.();
  });
})();
