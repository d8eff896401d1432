"use strict";
// The list of all paths: only the rows that are in sight are in the page. And the chain of evidence of one of them.
const ROW = 30, SPARE = 12;
const files = {
  shown: [], by: "path", down: false, scope: null, chosen: -1, drawn: "",
  box: document.getElementById("files-rows"), body: document.querySelector("#files-rows tbody"),
  text: document.getElementById("files-text"), state: document.getElementById("files-state"),
  said: document.getElementById("files-shown"), scopeButton: document.getElementById("files-scope"),
  chain: document.getElementById("chain"),
};
const whyOf = (i) => {
  if (!isKept(i)) return "";
  const from = data.source[i] < 0 ? data.roots[-1 - data.source[i]] : pathOf(data.source[i]);
  return `${data.rules[data.rule[i]]}  ${from}`;
};
const KEYS = {
  path: pathOf, size: (i) => data.size[i], package: packageOf, state: (i) => (isKept(i) ? "kept" : "gone"), why: whyOf,
};
const order = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
const inScope = (i) => {
  if (!files.scope) return true;
  if (files.scope.package !== undefined && data.package[i] !== files.scope.package) return false;
  for (let at = i; ; at = data.parent[at]) {
    if (at === files.scope.entry) return true;
    if (at === 0) return false;
  }
};
const filter = () => {
  const wanted = files.text.value.trim().toLowerCase(), state = files.state.value;
  const found = [];
  for (let i = 0; i < COUNT; i++) {
    if (state && (state === "kept") !== isKept(i)) continue;
    if (files.scope && !inScope(i)) continue;
    if (wanted && !pathOf(i).toLowerCase().includes(wanted)) continue;
    found.push(i);
  }
  if (files.by !== "path" || files.down) {
    const keys = new Map(found.map((i) => [i, KEYS[files.by](i)]));
    const sign = files.down ? -1 : 1;
    found.sort((a, b) => sign * order(keys.get(a), keys.get(b)) || a - b);
  }
  files.shown = found;
  files.said.textContent = `${found.length.toLocaleString("en")} of ${COUNT.toLocaleString("en")}`;
  files.box.querySelector("table").setAttribute("aria-rowcount", found.length + 1);
  files.box.scrollTop = 0;
  files.drawn = "";
  drawRows();
};
const cellWith = (row, text, kind) => {
  const cell = row.insertCell();
  cell.textContent = text;
  if (kind) cell.className = kind;
  if (text.length > 20) cell.title = text;
  return cell;
};
const rowOf = (i, number) => {
  const row = document.createElement("tr");
  row.setAttribute("aria-rowindex", number + 2);
  if (i === files.chosen) row.setAttribute("aria-selected", "true");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "path";
  button.textContent = button.title = pathOf(i);
  button.addEventListener("click", () => showChain(i));
  row.insertCell().append(button);
  cellWith(row, isKept(i) ? "kept" : "gone", isKept(i) ? "kept" : "gone");
  cellWith(row, isDirectory(i) ? "" : data.kind[i] === "l" ? "link" : bytes(data.size[i]), "n");
  cellWith(row, packageOf(i), "");
  cellWith(row, whyOf(i), "why");
  return row;
};
const pad = (height) => {
  const row = document.createElement("tr");
  row.className = "pad";
  row.setAttribute("aria-hidden", "true");
  row.insertCell().colSpan = 5;
  row.cells[0].style.height = `${height}px`;
  return row;
};
const drawRows = () => {
  const first = Math.max(0, Math.floor(files.box.scrollTop / ROW) - SPARE);
  const last = Math.min(files.shown.length, Math.ceil((files.box.scrollTop + files.box.clientHeight) / ROW) + SPARE);
  if (files.drawn === `${first} ${last}`) return;
  files.drawn = `${first} ${last}`;
  const focused = files.body.contains(document.activeElement) ? document.activeElement.textContent : null;
  const rows = [];
  for (let number = first; number < last; number++) rows.push(rowOf(files.shown[number], number));
  files.body.replaceChildren(pad(first * ROW), ...rows, pad((files.shown.length - last) * ROW));
  if (focused !== null) [...files.body.querySelectorAll("button")].find((b) => b.textContent === focused)?.focus();
};
// The steps from a path to a root: each path with the rule that keeps it and what that follows from.
const chainOf = (i) => {
  const steps = [];
  const seen = new Set();
  while (i >= 0 && isKept(i) && !seen.has(i)) {
    seen.add(i);
    const detail = data.detail[i] < 0 ? "" : data.details[data.detail[i]];
    steps.push({ path: pathOf(i), entry: i, rule: data.rules[data.rule[i]], detail });
    if (data.source[i] < 0) return { steps, root: data.roots[-1 - data.source[i]] };
    i = data.source[i];
  }
  return { steps, root: "" };
};
const element = (name, text, kind) => {
  const found = document.createElement(name);
  if (text) found.textContent = text;
  if (kind) found.className = kind;
  return found;
};
const showChain = (i) => {
  files.chosen = i;
  files.drawn = "";
  drawRows();
  const { steps, root } = chainOf(i);
  const parts = [element("h3", pathOf(i), "path")];
  const facts = [isDirectory(i) ? "directory" : data.kind[i] === "l" ? "link" : bytes(data.size[i])];
  facts.push(packageOf(i) ? `of ${packageOf(i)}` : "of no package");
  if (data.layer[i] >= 0) facts.push(`layer ${data.layer[i] + 1}`);
  parts.push(element("p", facts.join(", "), "about"));
  if (!steps.length) parts.push(element("p", "Gone: no probe touched it, and no rule reaches it at this level."));
  else {
    const list = element("ol");
    for (const step of steps) {
      const item = element("li");
      if (step.entry === i) item.append(element("span", "this", "soft"));
      else {
        const button = element("button", step.path, "path");
        button.type = "button";
        button.addEventListener("click", () => showChain(step.entry));
        item.append(button);
      }
      item.append(" stays by ", element("code", step.rule), step.detail ? ` (${step.detail})` : "", ", for");
      list.append(item);
    }
    list.append(element("li", root, "root path"));
    parts.push(list);
  }
  files.chain.replaceChildren(...parts);
  files.chain.hidden = false;
};
map.onScope = (node) => {
  files.scope = node.above ? { entry: Math.max(node.entry, 0), package: packageAbove(node) } : null;
  files.scopeButton.hidden = !files.scope;
  files.scopeButton.textContent = `only in ${stepsTo(node).slice(1).map((n) => n.name).join("/")}  ✕`;
  files.scopeButton.setAttribute("aria-label", "list all paths again, not only those of the place in the map");
  filter();
};
const packageAbove = (node) => {
  for (; node; node = node.above) if (node.package !== undefined) return node.package;
  return undefined;
};
map.onFile = (entry) => {
  showChain(entry);
  files.chain.scrollIntoView({ block: "nearest" });
};
files.scopeButton.addEventListener("click", () => {
  files.scope = null;
  files.scopeButton.hidden = true;
  filter();
});
files.text.addEventListener("input", filter);
files.state.addEventListener("change", filter);
files.box.addEventListener("scroll", drawRows, { passive: true });
files.box.addEventListener("keydown", (event) => {
  const buttons = [...files.body.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (to === undefined || !buttons[to]) return;
  buttons[to].focus();
  event.preventDefault();
});
for (const head of document.querySelectorAll("#files-rows th")) {
  const button = element("button", head.textContent);
  button.type = "button";
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const by = head.dataset.by;
    files.down = files.by === by ? !files.down : by === "size";
    files.by = by;
    for (const other of document.querySelectorAll("#files-rows th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", files.down ? "descending" : "ascending");
    filter();
  });
}
document.querySelector('#files-rows th[data-by="path"]').setAttribute("aria-sort", "ascending");
for (const part of ["map", "files"]) {
  document.getElementById(part).hidden = false;
  document.getElementById(`${part}-none`).hidden = true;
}
changeMap("directory");
