"use strict";
const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
};
const compare = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("n");
      const old = head.getAttribute("aria-sort");
      const down = old ? old === "ascending" : numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((a, b) => compare(value(a, column), value(b, column)) * (down ? -1 : 1));
      body.append(...rows);
    });
  });
}
const controls = document.getElementById("filter");
if (controls) {
  const [text, state, shown] = ["filter-text", "filter-state", "filter-shown"].map((id) => document.getElementById(id));
  const rows = [...document.querySelector("table.filtered").tBodies[0].rows];
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const there = row.cells[0].textContent.toLowerCase().includes(wanted);
      row.hidden = !(there && (!state.value || row.dataset.state === state.value));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };
  text.addEventListener("input", filter);
  state.addEventListener("change", filter);
  controls.hidden = false;
  filter();
}
