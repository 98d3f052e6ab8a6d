"use strict";
// The policy editor: line numbers, colours, Tab, checking on pause, ⌘S and ⌘Enter. Without it the form still saves.
(() => {
  const form = document.getElementById("policy-form");
  const editor = document.getElementById("editor");
  const area = editor.querySelector("textarea");
  const copy = editor.querySelector("pre");
  const gutter = editor.querySelector(".policy-gutter");
  const byId = (id) => document.getElementById(id);
  const PAUSE_MS = 400;
  const saved = area.value;
  let bad = new Map(); // line -> message
  let leaving = false; // Esc was pressed: Tab moves on instead of indenting
  let timer = 0;
  let asked = 0;

  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // One line of YAML as coloured spans: comment, key, value.
  const colour = (text) => {
    const line = element("span", "line");
    const at = text.search(/(^|\s)#/);
    const code = at < 0 ? text : text.slice(0, at);
    const token = /([A-Za-z_][\w.-]*)(?=\s*:(\s|$))|("[^"]*"|'[^']*'|[\w./+-]+)/g;
    let last = 0;
    for (const match of code.matchAll(token)) {
      line.append(code.slice(last, match.index), element("span", match[1] ? "k" : "v", match[0]));
      last = match.index + match[0].length;
    }
    line.append(code.slice(last));
    if (at >= 0) line.append(element("span", "c", text.slice(at)));
    return line;
  };

  const draw = () => {
    const lines = area.value.split("\n");
    const here = area.value.slice(0, area.selectionStart).split("\n").length;
    copy.replaceChildren(...lines.map((text, index) => {
      const line = colour(text);
      line.classList.toggle("bad", bad.has(index + 1));
      return line;
    }));
    gutter.replaceChildren(...lines.map((_, index) => {
      const number = element("span", bad.has(index + 1) ? "bad" : index + 1 === here ? "here" : "", index + 1);
      if (bad.has(index + 1)) number.title = bad.get(index + 1);
      return number;
    }));
    area.rows = lines.length;
  };

  const goTo = (line) => {
    const start = area.value.split("\n").slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    area.focus();
    area.setSelectionRange(start, start + (area.value.split("\n")[line - 1] ?? "").length);
    editor.scrollTop = Math.max(0, (line - 4) * 20);
  };

  const post = (url, values) => {
    const body = new FormData(form);
    for (const [name, value] of Object.entries(values)) body.set(name, value);
    return fetch(url, { method: "POST", body, credentials: "same-origin" });
  };

  const showProblems = (problems) => {
    bad = new Map(problems.map((problem) => [problem.line ?? 1, problem.message]));
    byId("problems").replaceChildren(...problems.map((problem) => {
      const item = element("li");
      const link = element("button", "", `Line ${problem.line ?? 1}`);
      link.type = "button";
      link.dataset.line = problem.line ?? 1;
      item.append(link, " ", element("code", "", problem.path || "document"), ` ${problem.message}`);
      return item;
    }));
    const words = problems.length ? `${problems.length} problem${problems.length > 1 ? "s" : ""}` : "Valid";
    byId("state").replaceChildren(element("span", `relay-pill relay-pill--plain relay-pill--${problems.length ? "failed" : "ok"}`, words));
    draw();
  };

  const check = async () => {
    const mine = ++asked;
    try {
      const answer = await post(form.dataset.check, { left: form.dataset.left });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const result = await answer.json();
      if (mine !== asked) return;
      showProblems(result.problems);
      if (!("fixedDiff" in form.dataset) && area.value !== saved) byId("changes").innerHTML = result.changes;
    } catch (error) {
      if (mine === asked) byId("state").replaceChildren(element("span", "relay-pill relay-pill--limited relay-pill--plain", `Not checked: ${error.message}`));
    }
  };

  const changed = () => {
    draw();
    const activate = byId("activate");
    if (activate) {
      const stale = area.value !== saved;
      activate.setAttribute("aria-disabled", stale || bad.size > 0);
      activate.textContent = stale ? "Save, then activate" : "Review and activate";
    }
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
  };

  const insert = (text) => {
    if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  };

  // Indents or outdents the selected lines; without a selection it inserts two spaces.
  const indent = (back) => {
    const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
    const end = area.selectionEnd;
    if (!back && area.selectionStart === end) return insert("  ");
    const lines = area.value.slice(start, end).split("\n");
    const moved = lines.map((line) => (back ? line.replace(/^ {1,2}/, "") : `  ${line}`)).join("\n");
    area.setSelectionRange(start, end);
    insert(moved);
    area.setSelectionRange(start, start + moved.length);
  };

  const attempt = async () => {
    const place = byId("outcome");
    if (!place) return;
    try {
      const answer = await post(form.dataset.try, {});
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      place.innerHTML = await answer.text();
    } catch (error) {
      place.replaceChildren(element("p", "relay-problem", `It could not be tried (${error.message}). Try again.`));
    }
  };

  area.addEventListener("input", changed);
  area.addEventListener("click", draw);
  area.addEventListener("keyup", draw);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && !leaving && !area.readOnly) {
      event.preventDefault();
      indent(event.shiftKey);
    }
    leaving = event.key === "Escape" || (leaving && event.key === "Shift");
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.metaKey || event.ctrlKey)) return;
    if (event.key === "s" && byId("save")) {
      event.preventDefault();
      form.requestSubmit(byId("save"));
    } else if (event.key === "Enter") {
      event.preventDefault();
      attempt();
    }
  });
  form.addEventListener("click", (event) => {
    if (event.target.dataset.line) goTo(Number(event.target.dataset.line));
  });
  form.addEventListener("submit", () => { leaving = "saving"; });
  addEventListener("beforeunload", (event) => {
    if (area.value !== saved && leaving !== "saving") event.preventDefault();
  });
  byId("try")?.addEventListener("click", attempt);

  editor.classList.add("alive");
  draw();
  if (byId("problems").children.length) check();
})();
