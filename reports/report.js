/* Finding, filtering and sorting the ranked rows. The page is whole without it; the tools appear only with it. */
(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const list = by("list");
  const items = Array.from(list.children);
  if (!items.length) return;
  const texts = new Map();
  const text = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };
  const find = by("find"), label = by("label"), sort = by("sort"), open = by("open"), state = by("state");
  const STATES = { open: (d) => !d, done: Boolean, unsure: (d) => d === "unsure" };

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const keep = (!label?.value || item.dataset.y === label.value) && (!state?.value || STATES[state.value](item.dataset.d))
        && words.every((w) => text(item).includes(w));
      item.hidden = !keep;
      shown += keep;
    }
    by("count").textContent = shown === items.length ? `${shown} rows` : `${shown} of ${items.length} rows`;
  }

  function order() {
    const key = sort.value;
    const value = (item) => (key === "l" ? -item.dataset.l : +item.dataset.s);
    const sorted = key ? items.slice().sort((a, b) => value(a) - value(b)) : items;
    list.append(...sorted);
  }

  function reveal() {
    const target = /^#r\d+$/.test(location.hash) && by(location.hash.slice(1));
    if (!target) return;
    find.value = "";
    for (const choice of [label, state]) if (choice) choice.value = "";
    filter();
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  }

  find.addEventListener("input", filter);
  label?.addEventListener("change", filter);
  state?.addEventListener("change", filter);
  document.addEventListener("decided", () => state?.value && filter());  // review.js says so
  sort.addEventListener("change", order);
  open.addEventListener("click", () => {
    const opening = open.textContent === "Open all";
    for (const item of items) item.firstElementChild.open = opening;
    open.textContent = opening ? "Close all" : "Open all";
  });
  addEventListener("hashchange", reveal);
  by("tools").hidden = false;
  filter();
  reveal();
})();
