"use strict";
// Rows that can be sorted and filtered: not the heading of a group, which stays on top.
const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("group"));

// Sorting stays within a group: numbers of different tasks do not compare, nor do published ones with measured ones.
for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const table = button.closest("table");
    const column = Number(header.dataset.column ?? header.cellIndex);
    const isText = header.dataset.kind === "text";
    const before = header.getAttribute("aria-sort");
    // A number is first wanted from the top, a name from A.
    const up = before ? before !== "ascending" : isText;
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[column];
      const text = cell.textContent.trim();
      if (isText) return text;
      const value = cell.dataset.value ?? text;
      return value === "" || Number.isNaN(Number(value)) ? null : Number(value);
    };
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const order = isText ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return up ? order : -order;
    };
    for (const body of table.tBodies) body.append(...rowsOf(body).sort(compare));
  });
}

// A row stays if it, or the heading of its group, has every word.
for (const input of document.querySelectorAll("input[data-filter]")) {
  const place = input.closest(".filter");
  const table = document.getElementById(input.dataset.filter);
  place.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [shown, all] = [0, 0];
    for (const body of table.tBodies) {
      const group = body.querySelector("tr.group");
      const above = group ? group.textContent.toLowerCase() : "";
      let here = 0;
      for (const row of rowsOf(body)) {
        const text = `${above} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => text.includes(word));
        all += 1;
        here += !row.hidden;
      }
      if (group) group.hidden = here === 0;
      shown += here;
    }
    place.querySelector("output").textContent = words.length ? `${shown} of ${all} lines` : "";
  });
}

// A link to a card opens it.
const openTarget = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
window.addEventListener("hashchange", openTarget);
openTarget();

// Paper cannot be unfolded.
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details[data-print]:not([open])")];
  for (const details of unfolded) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of unfolded) details.open = false;
});
