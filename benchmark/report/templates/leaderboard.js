// A click sorts by the first number of a cell, or by its text where it has none. What has no value
// goes last either way, and equal rows keep their order.
function key(cell) {
  const text = cell.textContent.trim().replace(/,/g, "");
  const number = text.match(/^[-+−]?[0-9.]+(e[-+]?[0-9]+)?/i);
  return number ? parseFloat(number[0].replace("−", "-")) : text.replace(/^–$/, "");
}
function sort(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
  const rows = [...body.rows].map((row, place) => [key(row.cells[column]), place, row]);
  rows.sort(([a, i], [b, j]) => {
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return down * (typeof a === "number" ? a - b : a.localeCompare(b)) || i - j;
  });
  for (const [, , row] of rows) body.append(row);
}
for (const button of document.querySelectorAll("table.sorts th button")) {
  button.addEventListener("click", () => sort(button.parentElement));
}
