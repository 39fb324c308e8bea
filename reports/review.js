/* Reviewing the ranked rows by key or button. Decisions stay in this browser, by run id, and leave it as a file. */
(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const island = by("review-data");
  if (!island || !by("r1")) return;
  const { run, of, classes, names, number, digits, rows: entries, expected, sample, made, counted, learned: [looks, total], first: FROM, last: LAST, few: FEW } = JSON.parse(island.textContent);
  const KEY = `dataaudit:decisions:${run}`;
  const list = by("list"), drawn = by("sample"), bar = by("bar"), say = by("said");
  const RANKED = entries.length;
  // The ranked rows, then those drawn for the count, of which some are among them.
  const rows = [...entries, ...sample.rows.slice(0, drawn?.children.length ?? 0)]
    .map(([name, label, suggested, p, ...figures]) => [name, classes[label], classes[suggested], p, ...figures]);
  const known = new Map(rows.map((row) => [row[0], row]));
  const isDrawn = (at) => at >= RANKED;
  const items = rows.map((_, at) => by(isDrawn(at) ? `s${at - RANKED + 1}` : `r${at + 1}`).parentElement);
  const placed = [new Map(), new Map()];  // of names, in the list and in the sample
  rows.forEach(([name], at) => placed[+isDrawn(at)].set(name, at));
  const asked = new Set();                // names of drawn rows whose suggestion was asked for
  const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd").slice(0, 80);
  const shownAs = (label) => names[classes.indexOf(label)] ?? plain(label);
  const SAID = { keep: () => "kept", drop: () => "drop", unsure: () => "unsure", relabel: (d) => `→ ${shownAs(d.label)}`, weight: (d) => `weight ${d.weight}` };

  let events = [];            // decisions in the order in which they were made; the last one of a row counts
  let kept = true;            // whether the browser lets us keep them
  let now = -1;               // number of the current row, from 0
  try { events = JSON.parse(localStorage.getItem(KEY)) || []; } catch { kept = false; }
  if (!Array.isArray(events)) events = [];
  const stored = new Set(events.map((d) => d.row_id));
  events.unshift(...made.filter(([name]) => !stored.has(name))  // those that were learned from
    .map(([row_id, action, label]) => ({ row_id, action, ...(label !== null && { label: classes[label] }), drawn: true })));

  const decisions = () => new Map(events.map((d) => [d.row_id, d]));
  const wrong = (d) => (d.action === "relabel" && d.label !== known.get(d.row_id)?.[1]) || d.action === "drop";
  const place = (name) => placed[+isDrawn(now)].get(name) ?? placed[0].get(name) ?? placed[1].get(name);
  const isBlind = (at) => isDrawn(at) && !asked.has(rows[at][0]) && !events.some((d) => d.row_id === rows[at][0]);
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
    const count = countWrong(decided);
    const thought = [...known.values()].reduce((sum, [name, , , p]) => sum - (decided.has(name) && !made.some((d) => d[0] === name) ? p || 0 : 0), expected);
    const counts = looked(decided).length <= looks ? total : count?.expected ?? null;
    const left = counts !== null ? counts - found : thought;
    const parts = [`${decided.size.toLocaleString("en")} of ${many(known.size, "row")} decided`];
    if (sure.length) parts.push(`${found} of ${sure.length} were wrong (${percent(found, sure.length)})`);
    if (expected !== null || counts !== null) parts.push(`about ${many(Math.max(0, Math.round(left)), "wrong label")} expected among the rest`);
    by("progress").textContent = `${parts.join(" · ")}.`;
    by("done").max = known.size;
    by("done").value = decided.size;
    const down = sure.filter((d) => !d.drawn);  // a look at the sample does not say how far down the list it is
    const recent = down.slice(-LAST), bad = recent.filter(wrong).length;
    const stop = down.length >= FROM && bad <= FEW;
    by("stop").hidden = !stop;
    const due = recent.reduce((sum, d) => sum + (known.get(d.row_id)?.[3] || 0), 0);
    if (stop) by("stop").textContent = `Of the last ${recent.length} rows ${bad} ${bad === 1 ? "was" : "were"} wrong. You may stop here.`
      + (due > recent.length / 2 ? ` The audit expected about ${Math.round(due)}: its suggestions do not fit these data.` : "");
    by("kept").textContent = kept
      ? "Your decisions are kept in this browser until you clear its data."
      : "This browser keeps nothing for this page: download your decisions before you close it.";
    for (const id of ["jsonl", "csv", "undo"]) by(id).disabled = !events.length;
    by("apply").hidden = !decided.size;
    if (drawn) tell(decided, count);
    document.dispatchEvent(new Event("decided"));
    aim();
  }

  const called = (at) => (isDrawn(at) ? `Row ${at - RANKED + 1} of the sample` : `Row ${at + 1}`);

  function looked(decided) {   // answered rows of the sample, up to the first that nobody looked at
    const drawnRows = rows.slice(RANKED), end = drawnRows.findIndex(([name]) => !decided.has(name));
    const seen = end < 0 ? drawnRows : drawnRows.slice(0, end);
    return seen.filter(([name]) => ["keep", "relabel", "drop"].includes(decided.get(name).action));
  }

  function solve(A, b) {       // a system of equations, symmetric and positive definite
    const M = A.map((row, i) => [...row, b[i]]);
    for (let i = 0; i < M.length; i++) for (let j = 0; j < M.length; j++) if (j !== i) {
      const by = M[j][i] / M[i][i];
      M[j] = M[j].map((value, k) => value - by * M[i][k]);
    }
    return M.map((row, i) => row.at(-1) / row[i]);
  }

  // The chance of a row to be among so many: in proportion to its size, and at most 1.
  function chancesOf(sizes, total, looks) {
    const sure = new Set();
    for (;;) {
      const rest = [...sizes].filter(([name, size]) => !sure.has(name) && ((looks - sure.size) * size) / total >= 1);
      if (!rest.length) return (name) => (sure.has(name) ? 1 : ((looks - sure.size) * sizes.get(name)) / total);
      for (const [name, size] of rest) { sure.add(name); total -= size; }
    }
  }

  // The difference estimator with a linear regression that is cross-fitted on the sample, 90 % interval: see
  // noise/learned.py, where the regression is logistic.
  function countWrong(decided) {  // after every ten looks, and after the last
    let seen = looked(decided);
    if ([...placed[1].keys()].some((name) => !decided.has(name))) seen = seen.slice(0, 10 * Math.floor(seen.length / 10));
    const m = seen.length;
    if (m < 10) return null;
    const inSample = new Set(rows.slice(RANKED).map(([name]) => name));
    const aside = [...known.values()].filter(([name]) => !inSample.has(name) && ["keep", "relabel", "drop"].includes(decided.get(name)?.action));
    const isWrong = ([name]) => Number(wrong(decided.get(name)));
    const x = ([, , , , , p, q]) => [1, p, q];
    const sums = aside.reduce((all, row) => all.map((sum, k) => sum - x(row)[k]), sample.sums);
    const [n] = sums, before = aside.reduce((sum, row) => sum + isWrong(row), 0);
    const sizes = new Map([...known.values()].filter((row) => !aside.includes(row)).map((row) => [row[0], row[4]]));
    const chance = chancesOf(sizes, 1 - aside.reduce((sum, row) => sum + row[4], 0), m);
    const pi = seen.map(([name]) => chance(name)), w = seen.map(isWrong);
    const least = w.reduce((a, b) => a + b, 0);
    const said = (expected, low, high) => ({ looks: m, wrong: least, expected: before + expected, low: before + Math.max(low, least), high: before + Math.min(high, n) });
    if (least === 0 || least === m) {          // Clopper and Pearson with the effective number of looks
      const sum = pi.reduce((a, p) => a + 1 / p, 0), squares = pi.reduce((a, p) => a + 1 / p ** 2, 0);
      const end = n * 0.05 ** (squares / sum ** 2);
      return least ? said(n, end, n) : said(0, 0, n - end);
    }
    let total = 0, variance = 0;
    for (let fold = 0; fold < 5; fold++) {
      const A = [[1e-3, 0, 0], [0, 1, 0], [0, 0, 1]], b = [0, 0, 0];
      seen.forEach((row, i) => { if (i % 5 !== fold) x(row).forEach((value, k) => { b[k] += value * w[i]; x(row).forEach((other, l) => { A[k][l] += value * other; }); }); });
      const beta = solve(A, b), fitted = (values) => values.reduce((sum, value, k) => sum + value * beta[k], 0);
      total += fitted(sums) / 5;
      seen.forEach((row, i) => { if (i % 5 === fold) {
        const missed = (w[i] - fitted(x(row))) / pi[i];
        total += missed;
        variance += (1 - pi[i]) * missed ** 2;
      } });
    }
    const expected = Math.min(Math.max(total, least), n), half = student(Math.max(m - 5, 3)) * Math.sqrt(variance);
    return said(expected, expected - half, expected + half);
  }

  function student(freedom) {  // the quantile .95, to .1 %
    const z = 1.6448536, f = freedom;
    return z * (1 + (z ** 2 + 1) / (4 * f) + (5 * z ** 4 + 16 * z ** 2 + 3) / (96 * f ** 2) + (3 * z ** 6 + 19 * z ** 4 + 17 * z ** 2 - 15) / (384 * f ** 3));
  }

  function tell(decided, count) {  // how far the sample is, and what it says so far
    const all = rows.length - RANKED, done = rows.slice(RANKED).filter(([name]) => decided.has(name)).length, seen = looked(decided).length;
    by("looks").hidden = false;
    by("looked").textContent = `${done} of ${all} rows looked at.` + (done < 10 ? " A first count comes after ten." : "");
    by("begin").textContent = done === all ? "All are decided" : done ? "Go on" : "Begin";
    by("begin").disabled = done === all;
    const whole = (x) => Math.round(x).toLocaleString("en");
    if (!count || seen <= looks) { by("counted").textContent = counted; return; }
    const half = (count.high - count.low) / 2;
    by("counted").textContent = `By ${count.looks} rows drawn for it, about ${whole(count.expected)} of ${whole(sample.sums[0])} labels are wrong: `
      + `${whole(count.low)} to ${whole(count.high)} with 90 % confidence. ${count.wrong} of the ${count.looks} were wrong (${percent(count.wrong, count.looks)}). `
      + `That is about ±${whole(half)}; ${count.looks} more looks make it about ±${whole(half / Math.SQRT2)}: stop where it is close enough. `
      + "This is a first count; audit learn makes the final one.";
  }

  function aim() {             // tell the bar which row is meant
    const row = rows[now];
    const blind = row && isBlind(now);
    bar.querySelectorAll("[data-row]").forEach((button) => { button.disabled = !row; });
    by("on").textContent = !row ? "Choose a row, or press Next."
      : blind ? `${called(now)}: is it ${of && `${of}: `}${shownAs(row[1])}?` : `${called(now)}: ${of && `${of}: `}${shownAs(row[1])} → ${shownAs(row[2])}?`;
    by("show").hidden = !blind;
    by("accept").parentElement.hidden = Boolean(blind);
    const above = isDrawn(now) ? drawn : list;
    if (bar.previousElementSibling !== above) above.after(bar);
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

  const shown = () => Array.from((isDrawn(now) ? drawn : list).children).filter((item) => !item.hidden).map((item) => items.indexOf(item));
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
    if (isDrawn(now)) d.drawn = true;
    events.push(d);
    say.textContent = `${called(now)}: ${SAID[action](d)}.`;
    const order = shown();     // before a filter takes the row away
    const before = by("counted")?.textContent;
    save();
    const after = by("counted")?.textContent;
    if (after && after !== before) say.textContent += ` ${after}`;
    const decided = decisions(), open = (at) => !decided.has(rows[at][0]);
    const next = order.slice(order.indexOf(now) + 1).find(open);
    if (next !== undefined) go(next, focus);
    else say.textContent += order.some(open) ? " That was the last row; some above are not decided." : " Every row shown is decided.";
  }

  function undo(focus) {
    const d = events.pop();
    if (!d) return;
    save();
    const at = place(d.row_id);
    say.textContent = at === undefined ? "Took one decision back." : `${called(at)}: taken back.`;
    if (at !== undefined) { items[at].hidden = false; go(at, focus); }
  }

  const ACTS = {
    next: (focus) => move(1, focus), before: (focus) => move(-1, focus),
    accept(focus) {
      if (rows[now] && isBlind(now)) say.textContent = "This row is of the sample: decide by its cells, or press v to see more.";
      else if (rows[now]) decide("relabel", rows[now][2], focus);
    },
    show() {
      if (!isDrawn(now)) return;
      asked.add(rows[now][0]);
      items[now].querySelector(".behind").open = true;
      aim();
    },
    begin() {
      const decided = decisions(), at = rows.findIndex(([name], i) => isDrawn(i) && !decided.has(name));
      go(at, true);
    },
    save: () => by("jsonl").click(),
    keep: (focus) => decide("keep", null, focus), unsure: (focus) => decide("unsure", null, focus),
    drop: (focus) => decide("drop", null, focus), undo, find: () => by("find").focus(),
    help: () => by("help").showModal(),
  };
  const KEYS = { j: "next", k: "before", a: "accept", x: "keep", s: "unsure", d: "drop", u: "undo", v: "show", "/": "find", "?": "help" };

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
  by("typed")?.addEventListener("change", ({ target }) => {
    const text = target.value.trim().replace(/^\+/, ""), form = number === "count" ? /^\d+$/ : /^-?\d+(\.\d+)?(e[-+]?\d{1,2})?$/i;
    if (form.test(text)) decide("relabel", text, false);
    else if (text) say.textContent = `${plain(text)} is no ${number === "count" ? "whole " : ""}number.`;
    target.value = "";
  });
  for (const within of [list, drawn]) within?.addEventListener("toggle", (event) => {
    const { open, parentElement } = event.target, at = items.indexOf(parentElement);
    if (open && at >= 0 && at !== now && document.activeElement === event.target.firstElementChild) { now = at; aim(); }
    if (open && event.target.className === "behind") { asked.add(rows[items.indexOf(event.target.closest("li"))][0]); aim(); }
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
  const nth = (d) => placed[0].get(d.row_id) ?? placed[1].get(d.row_id) ?? rows.length;
  const ordered = () => [...decisions().values()].sort((a, b) => nth(a) - nth(b)).map(({ drawn: _, ...d }) => d);
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

  for (const item of items) if (!item.querySelector(".d")) item.querySelector("summary").append(Object.assign(document.createElement("span"), { className: "d" }));
  by("review").hidden = bar.hidden = false;
  show();
  addEventListener("hashchange", hash);
  function hash() { const at = /^#r(\d+)$/.exec(location.hash); if (at && items[at[1] - 1]) { now = at[1] - 1; aim(); } }
  hash();
})();
