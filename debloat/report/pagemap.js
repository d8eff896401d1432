"use strict";
// The data of the page as a tree, and the tree as a map. All names are shown as text.
const data = JSON.parse(document.getElementById("data").textContent);
const COUNT = data.name.length;
const isDirectory = (i) => data.kind[i] === "d";
const isKept = (i) => data.rule[i] >= 0;
const bytes = (n) => {
  for (const unit of ["B", "kB", "MB"]) {
    if (n < 999.5) return unit === "B" || n >= 100 ? `${n.toFixed(0)} ${unit}` : `${n.toFixed(1)} ${unit}`;
    n /= 1000;
  }
  return `${n.toFixed(n >= 100 ? 0 : 1)} GB`;
};
const paths = new Array(COUNT);
const pathOf = (i) => {
  if (paths[i] === undefined) {
    if (i === 0) paths[i] = "/";
    else paths[i] = data.parent[i] === 0 ? `/${data.name[i]}` : `${pathOf(data.parent[i])}/${data.name[i]}`;
  }
  return paths[i];
};
const packageOf = (i) => (data.package[i] < 0 ? "" : data.packages[data.package[i]]);

// A tree of some files: nodes with what is in and below them. `entry` is the path a node stands for.
const treeOf = (files, name) => {
  const nodes = new Map();
  const make = (entry) => {
    let node = nodes.get(entry);
    if (!node) {
      node = { entry, name: data.name[entry], size: 0, kept: 0, files: 0, keptFiles: 0, children: [], above: null };
      nodes.set(entry, node);
      if (entry !== 0) {
        node.above = make(data.parent[entry]);
        node.above.children.push(node);
      }
    }
    return node;
  };
  const root = make(0);
  for (const file of files) {
    for (let node = make(file); node; node = node.above) {
      node.size += data.size[file];
      node.files += 1;
      if (isKept(file)) {
        node.kept += data.size[file];
        node.keptFiles += 1;
      }
    }
  }
  root.name = name;
  return root;
};
const allFiles = [];
for (let i = 0; i < COUNT; i++) if (!isDirectory(i)) allFiles.push(i);
const byDirectory = () => treeOf(allFiles, "/");
const byPackage = () => {
  const groups = new Map();
  for (const file of allFiles) {
    const key = data.package[file];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(file);
  }
  const root = { entry: -1, name: "packages", size: 0, kept: 0, files: 0, keptFiles: 0, children: [], above: null };
  for (const [key, files] of groups) {
    const node = treeOf(files, key < 0 ? "no package" : data.packages[key]);
    node.package = key;
    node.above = root;
    root.children.push(node);
    for (const sum of ["size", "kept", "files", "keptFiles"]) root[sum] += node[sum];
  }
  return root;
};

const SVG = "http://www.w3.org/2000/svg";
const map = {
  roots: {}, at: null, cells: [], focus: 0,
  svg: document.getElementById("map-areas"), way: document.getElementById("map-way"),
  said: document.getElementById("map-said"), onScope: () => {}, onFile: () => {},
};
const HEAD = 19, LEAST = 90, ROOMY = 9000, DEPTH = 4;
// What a node is called where it is shown: directories that hold one directory and nothing else are one.
const shortened = (node) => {
  let name = node.name;
  while (node.children.length === 1 && node.children[0].children.length) {
    node = node.children[0];
    name = `${name === "/" ? "" : name}/${node.name}`;
  }
  return { node, name };
};
const words = (node, name) => {
  const share = node.size ? Math.round((100 * node.kept) / node.size) : node.keptFiles ? 100 : 0;
  const files = node.files === 1 ? "1 file" : `${node.files.toLocaleString("en")} files`;
  const stays = node.keptFiles === 0 ? "gone" : node.keptFiles === node.files ? "stays" : `${share} % stays`;
  return `${name}: ${bytes(node.size)}, ${files}, ${stays}`;
};
// The part of a tree that has room: `perByte` is the area of a byte, what is too small is one node together.
const view = (top, depth, perByte) => {
  const { node, name } = shortened(top);
  const seen = { node, name, value: node.size, children: undefined };
  if (depth > 0 && node.children.length && (depth === DEPTH || node.size * perByte >= ROOMY)) {
    const large = [], small = [];
    for (const child of node.children) (child.size * perByte >= LEAST ? large : small).push(child);
    seen.children = large.map((child) => view(child, depth - 1, perByte));
    const rest = { entry: -1, name: `${small.length} smaller`, size: 0, kept: 0, files: 0, keptFiles: 0, children: [] };
    for (const child of small) for (const sum of ["size", "kept", "files", "keptFiles"]) rest[sum] += child[sum];
    if (rest.size * perByte >= LEAST) seen.children.push({ node: rest, name: rest.name, value: rest.size });
    if (!seen.children.length) seen.children = undefined;
  }
  return seen;
};
const shape = (name, attributes, inside) => {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  inside.append(found);
  return found;
};
const fitted = (text, width) => {
  const room = Math.floor(width / 6.7);
  return text.length <= room ? text : room < 3 ? "" : `${text.slice(0, room - 1)}…`;
};
const drawCell = (cell, top) => {
  const { node, name } = cell.data, width = cell.x1 - cell.x0, height = cell.y1 - cell.y0;
  if (width < 2 || height < 2) return;
  const group = shape("g", { transform: `translate(${cell.x0},${cell.y0})`, role: "button", tabindex: -1 }, map.svg);
  group.setAttribute("class", cell.children ? "cell inner" : "cell leaf");
  group.setAttribute("aria-label", words(node, name));
  const share = node.size ? node.kept / node.size : Number(node.keptFiles > 0);
  if (cell.children) {
    shape("rect", { class: "frame", width, height }, group);
  } else {
    shape("rect", { class: "gone", width, height }, group);
    if (share > 0) shape("rect", { class: "kept", width: Math.max(width * share, 1.5), height }, group);
    shape("rect", { class: "edge", width, height }, group);
  }
  const label = height >= 14 ? fitted(cell.children ? `${name}  ${bytes(node.size)}` : name, width - 8) : "";
  if (label) shape("text", { x: 4, y: cell.children ? 13.5 : 13 }, group).textContent = label;
  if (!cell.children && height >= 30 && width >= 48) {
    shape("text", { x: 4, y: 27, class: "small" }, group).textContent = fitted(bytes(node.size), width - 8);
  }
  shape("title", {}, group).textContent = words(node, name);
  map.cells.push({ group, node, x: (cell.x0 + cell.x1) / 2, y: (cell.y0 + Math.min(cell.y1, cell.children ? cell.y0 + HEAD : cell.y1)) / 2, top });
};
const draw = () => {
  const width = Math.max(map.svg.clientWidth, 280), height = Math.max(300, Math.min(560, width * 0.55));
  map.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  map.svg.style.height = `${height}px`;
  map.svg.replaceChildren();
  map.cells = [];
  const top = view(map.at, DEPTH, (width * height) / Math.max(map.at.size, 1));
  const tree = d3.hierarchy(top).sum((seen) => (seen.children ? 0 : seen.value)).sort((a, b) => b.value - a.value);
  d3.treemap().tile(d3.treemapSquarify).size([width, height]).round(true)
    .paddingInner(2).paddingOuter((node) => (node.depth ? 3 : 0))
    .paddingTop((node) => (node.depth ? HEAD : 0))(tree);
  tree.eachBefore((cell) => { if (cell.depth) drawCell(cell, tree); });
  map.focus = 0;
  if (map.cells.length) map.cells[0].group.setAttribute("tabindex", 0);
  map.said.textContent = words(map.at, fullName(map.at)) + (map.cells.length ? "" : "; nothing in it has a size");
};
const fullName = (node) => (node.entry === 0 && node.above ? node.name : node.entry >= 0 ? pathOf(node.entry) : node.name);
const stepsTo = (node) => {
  const steps = [];
  for (; node; node = node.above) steps.unshift(node);
  return steps;
};
const drawWay = () => {
  map.way.replaceChildren(...stepsTo(map.at).map((node) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = node.name;
    if (node === map.at) button.setAttribute("aria-current", "location");
    button.addEventListener("click", () => goTo(node));
    item.append(button);
    return item;
  }));
};
const goTo = (node, focus = false) => {
  map.at = node;
  draw();
  drawWay();
  map.onScope(node);
  if (focus && map.cells.length) map.cells[0].group.focus();
};
const choose = (node, focus) => {
  if (node.children.length) goTo(shortened(node).node, focus);
  else if (node.entry > 0) map.onFile(node.entry);
};
const move = (key) => {
  const here = map.cells[map.focus];
  const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = -1, least = Infinity;
  map.cells.forEach((cell, number) => {
    const [dx, dy] = [cell.x - here.x, cell.y - here.y];
    const ahead = dx * along[0] + dy * along[1], aside = Math.abs(dx * along[1]) + Math.abs(dy * along[0]);
    if (ahead > 1 && ahead + 2 * aside < least) [best, least] = [number, ahead + 2 * aside];
  });
  if (best < 0) return;
  here.group.setAttribute("tabindex", -1);
  map.focus = best;
  map.cells[best].group.setAttribute("tabindex", 0);
  map.cells[best].group.focus();
};
const cellOf = (target) => map.cells.find((cell) => cell.group.contains(target));
map.svg.addEventListener("click", (event) => {
  const cell = cellOf(event.target);
  if (cell) choose(cell.node, false);
});
map.svg.addEventListener("keydown", (event) => {
  const cell = cellOf(document.activeElement);
  if (event.key === "Backspace" || event.key === "Escape") {
    if (map.at.above) goTo(map.at.above, true);
  } else if (cell && (event.key === "Enter" || event.key === " ")) choose(cell.node, true);
  else if (cell && event.key.startsWith("Arrow")) move(event.key);
  else return;
  event.preventDefault();
});
for (const event of ["pointerover", "focusin"]) {
  map.svg.addEventListener(event, ({ target }) => {
    const cell = cellOf(target);
    if (cell) map.said.textContent = cell.group.getAttribute("aria-label");
  });
}
const changeMap = (by) => {
  map.roots[by] ??= by === "package" ? byPackage() : byDirectory();
  goTo(map.roots[by]);
};
for (const choice of document.getElementsByName("map-by")) {
  choice.addEventListener("change", () => changeMap(choice.value));
}
let resizing = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => map.at && draw());
});
