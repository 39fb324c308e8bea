/* Reviewing the ranked rows by key or button. Decisions stay in this browser, by run id, and leave it as a file. */
(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const island = by("review-data");
  if (!island || !by("r1")) return;
  const { run, of, classes, names, digits, rows: entries, expected, first: FROM, last: LAST, few: FEW } = JSON.parse(island.textContent);
  const rows = entries.map(([name, label, suggested, p]) => [name, classes[label], classes[suggested], p]);
  const KEY = `dataaudit:decisions:${run}`;
  const items = rows.map((_, at) => by(`r${at + 1}`).parentElement);
  const place = new Map(rows.map(([name], at) => [name, at]));
  const list = by("list"), bar = by("bar"), say = by("said");
  const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd").slice(0, 80);
  const shownAs = (label) => names[classes.indexOf(label)] ?? plain(label);
  const SAID = { keep: () => "kept", drop: () => "drop", unsure: () => "unsure", relabel: (d) => `→ ${shownAs(d.label)}`, weight: (d) => `weight ${d.weight}` };

  let events = [];            // decisions in the order in which they were made; the last one of a row counts
  let kept = true;            // whether the browser lets us keep them
  let now = -1;               // number of the current row, from 0
  try { events = JSON.parse(localStorage.getItem(KEY)) || []; } catch { kept = false; }
  if (!Array.isArray(events)) events = [];

  const decisions = () => new Map(events.map((d) => [d.row_id, d]));
  const wrong = (d) => d.action === "relabel" || d.action === "drop";
  const percent = (part, whole) => `${Math.round((100 * part) / whole)} %`;
  const many = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  function save() {
    try { localStorage.setItem(KEY, JSON.stringify(events)); } catch { kept = false; }
    show();
  }

  function show() {
    const decided = decisions();
    items.forEach((item, at) => {
      const d = decided.get(rows[at][0]);
      item.dataset.d = d ? d.action : "";
      item.querySelector(".d").textContent = d ? (SAID[d.action] || String)(d) : "";
    });
    const sure = [...decided.values()].filter((d) => d.action !== "unsure");
    const found = sure.filter(wrong).length;
    const left = rows.reduce((sum, [name, , , p]) => sum - (decided.has(name) ? p || 0 : 0), expected);
    const parts = [`${decided.size.toLocaleString("en")} of ${many(rows.length, "row")} decided`];
    if (sure.length) parts.push(`${found} of ${sure.length} were wrong (${percent(found, sure.length)})`);
    if (expected !== null) parts.push(`about ${many(Math.max(0, Math.round(left)), "wrong label")} expected among the rest`);
    by("progress").textContent = `${parts.join(" · ")}.`;
    by("done").max = rows.length;
    by("done").value = decided.size;
    const recent = sure.slice(-LAST), bad = recent.filter(wrong).length;
    const stop = sure.length >= FROM && bad <= FEW;
    by("stop").hidden = !stop;
    const thought = recent.reduce((sum, d) => sum + (rows[place.get(d.row_id)]?.[3] || 0), 0);
    if (stop) by("stop").textContent = `Of the last ${recent.length} rows ${bad} ${bad === 1 ? "was" : "were"} wrong. You may stop here.`
      + (thought > recent.length / 2 ? ` The audit expected about ${Math.round(thought)}: its suggestions do not fit these data.` : "");
    by("kept").textContent = kept
      ? "Your decisions are kept in this browser until you clear its data."
      : "This browser keeps nothing for this page: download your decisions before you close it.";
    for (const id of ["jsonl", "csv", "undo"]) by(id).disabled = !events.length;
    by("apply").hidden = !decided.size;
    document.dispatchEvent(new Event("decided"));
    aim();
  }

  function aim() {             // tell the bar which row is meant
    const row = rows[now];
    bar.querySelectorAll("[data-row]").forEach((button) => { button.disabled = !row; });
    by("on").textContent = row ? `Row ${now + 1}: ${of && `${of}: `}${shownAs(row[1])} → ${shownAs(row[2])}?` : "Choose a row, or press Next.";
    by("accept").textContent = row ? `Accept ${shownAs(row[2])}` : "Accept";
    by("keep").textContent = row ? `Keep ${shownAs(row[1])}` : "Keep";
    items.forEach((item, at) => { if (at === now) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current"); });
  }

  function go(at, focus) {
    if (at < 0) return;
    if (now >= 0 && now !== at) items[now].firstElementChild.open = false;
    now = at;
    const details = items[at].firstElementChild;
    details.open = true;
    if (focus) details.querySelector("summary").focus({ preventScroll: true });
    details.scrollIntoView({ block: "start", behavior: "instant" });
    aim();
  }

  const shown = () => Array.from(list.children).filter((item) => !item.hidden).map((item) => items.indexOf(item));
  function move(step, focus) {
    const order = shown(), from = order.indexOf(now);
    go(order[from < 0 ? 0 : Math.min(Math.max(from + step, 0), order.length - 1)] ?? -1, focus);
  }

  function decide(action, label, focus) {
    const row = rows[now];
    if (!row) return;
    if (action === "relabel" && label === row[1]) action = "keep";
    const d = { row_id: row[0], action };
    if (action === "relabel") d.label = label;
    events.push(d);
    say.textContent = `Row ${now + 1}: ${SAID[action](d)}.`;
    const order = shown();     // before a filter takes the row away
    save();
    const decided = decisions(), open = (at) => !decided.has(rows[at][0]);
    const next = order.slice(order.indexOf(now) + 1).find(open);
    if (next !== undefined) go(next, focus);
    else say.textContent += order.some(open) ? " That was the last row; some above are not decided." : " Every row shown is decided.";
  }

  function undo(focus) {
    const d = events.pop();
    if (!d) return;
    save();
    const at = place.get(d.row_id);
    say.textContent = at === undefined ? "Took one decision back." : `Row ${at + 1}: taken back.`;
    if (at !== undefined) { items[at].hidden = false; go(at, focus); }
  }

  const ACTS = {
    next: (focus) => move(1, focus), before: (focus) => move(-1, focus),
    accept: (focus) => rows[now] && decide("relabel", rows[now][2], focus),
    keep: (focus) => decide("keep", null, focus), unsure: (focus) => decide("unsure", null, focus),
    drop: (focus) => decide("drop", null, focus), undo, find: () => by("find").focus(),
    help: () => by("help").showModal(),
  };
  const KEYS = { j: "next", k: "before", a: "accept", x: "keep", s: "unsure", d: "drop", u: "undo", "/": "find", "?": "help" };

  document.addEventListener("keydown", (event) => {
    const on = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || by("help").open || !by("keys").checked) return;
    if (on.matches("input:not([type=checkbox]), select, textarea")) { if (event.key === "Escape") on.blur(); return; }
    const choice = /^[0-9]$/.test(event.key) ? classes[digits.indexOf(event.key)] : undefined;
    if (choice === undefined && !KEYS[event.key]) return;
    event.preventDefault();
    if (choice !== undefined) decide("relabel", choice, true); else ACTS[KEYS[event.key]](true);
  });
  document.querySelectorAll("[data-act]").forEach((button) => button.addEventListener("click", () => ACTS[button.dataset.act](false)));
  bar.querySelectorAll("[data-class]").forEach((button) => button.addEventListener("click", () => decide("relabel", classes[button.dataset.class], false)));
  by("class")?.addEventListener("change", (event) => { if (event.target.value) decide("relabel", classes[event.target.value], false); event.target.value = ""; });
  list.addEventListener("toggle", (event) => {
    const at = items.indexOf(event.target.parentElement);
    if (event.target.open && at >= 0 && at !== now && document.activeElement === event.target.firstElementChild) { now = at; aim(); }
  }, true);

  const FIELDS = ["row_id", "action", "label", "weight", "reviewer", "note"];
  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say.textContent = `${many(decisions().size, "decision")} downloaded as ${name}.`;
  }
  const ordered = () => [...decisions().values()].sort((a, b) => (place.get(a.row_id) ?? rows.length) - (place.get(b.row_id) ?? rows.length));
  by("jsonl").addEventListener("click", () => {
    const lines = [{ run_id: run }, ...ordered()].map((d) => `${JSON.stringify(d)}\n`);
    download("decisions.jsonl", "application/x-ndjson", lines.join(""));
  });
  // A spreadsheet takes a cell that begins with = + - @ for a formula; an apostrophe before it is taken off again when it is read.
  const safe = (text) => (/^'*[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  by("csv").addEventListener("click", () => {
    const lines = ordered().map((d) => [...FIELDS.map((f) => String(d[f] ?? "")), run].map((cell) => quoted(safe(cell))).join(","));
    download("decisions.csv", "text/csv", `${[[...FIELDS, "run_id"].join(","), ...lines].join("\r\n")}\r\n`);
  });

  function cells(text) {       // the records of a CSV file
    const records = [[]];
    for (const [, quote, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
      records.at(-1).push(quote === undefined ? plain.trim() : quote.replaceAll('""', '"'));
      if (end !== ",") records.push([]);
    }
    return records.filter((record) => record.some(Boolean));
  }
  function parsed(name, text) {
    if (!/\.csv$/i.test(name)) return text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
    const [head, ...records] = cells(text);
    const bare = (cell) => (/^'+[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell);
    return records.map((record) => Object.fromEntries(head.map((field, i) => [field, bare(record[i] ?? "")]).filter(([, cell]) => cell)));
  }
  by("load").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    try {
      const lines = parsed(file.name, (await file.text()).replace(/^\ufeff/, ""));
      const other = lines.find((d) => d.run_id && d.run_id !== run);
      if (other) throw new Error(`it is of run ${String(other.run_id).slice(0, 16)}, this page of run ${run}`);
      const good = lines.filter((d) => typeof d.row_id === "string" && SAID[d.action]);
      const bad = lines.find((d) => d.row_id && !good.includes(d));
      if (bad || !good.length) throw new Error(bad ? `unknown action ${String(bad.action).slice(0, 20)}` : "it holds no decisions");
      events.push(...good.map((d) => Object.fromEntries(FIELDS.filter((f) => d[f] !== undefined && d[f] !== "").map((f) => [f, d[f]]))));
      save();
      say.textContent = `${many(good.length, "decision")} loaded from ${plain(file.name)}.`;
    } catch (error) { say.textContent = `${plain(file.name)} was not loaded: ${plain(error.message)}.`; }
    event.target.value = "";
  });

  for (const item of items) item.querySelector("summary").append(Object.assign(document.createElement("span"), { className: "d" }));
  by("review").hidden = bar.hidden = false;
  show();
  addEventListener("hashchange", hash);
  function hash() { const at = /^#r(\d+)$/.exec(location.hash); if (at && items[at[1] - 1]) { now = at[1] - 1; aim(); } }
  hash();
})();
