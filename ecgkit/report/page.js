"use strict";
// Sorting stays within a task: numbers of different tasks do not compare.
for (const button of document.querySelectorAll("table.summary thead button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const table = button.closest("table");
    const column = header.cellIndex;
    const isText = header.dataset.kind === "text";
    const before = header.getAttribute("aria-sort");
    // A number is first wanted from the top, a name from A.
    const up = before ? before !== "ascending" : isText;
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[column];
      if (isText) return cell.textContent.trim();
      return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    };
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const order = isText ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return up ? order : -order;
    };
    for (const body of table.tBodies) body.append(...[...body.rows].slice(1).sort(compare));
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
