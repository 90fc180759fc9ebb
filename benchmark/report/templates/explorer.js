// The explorer: filters, columns and order of all rows. They stand in the address, so that a link
// shows the same view.
const VIEW = "#view?";
const FILTERS = ["log", "task", "source", "family"];
const TITLES = {
  log: "log", task: "task", source: "learnt from", model: "model", family: "family", tier: "tier",
  rank: "rank", rank_low: "rank, low", rank_high: "rank, high", metric: "metric", value: "value",
  low: "low", high: "high", headroom: "headroom", headroom_low: "headroom, low",
  headroom_high: "headroom, high", fit_cpu_s: "fit, CPU s", us_per_query: "µs/query",
  parameters: "parameters", peak_mb: "memory, MiB", cells: "cells", planned: "planned",
};
const TEXT = new Set(["log", "task", "source", "model", "family", "metric"]);
const all = JSON.parse(document.getElementById("rows").textContent);
// What is shown at first; rows learnt from generated logs say so.
const FIRST = [
  "model", "task", "log", ...(new Set(all.map(row => row.source)).size > 1 ? ["source"] : []),
  "rank", "metric", "value", "low", "high", "headroom", "fit_cpu_s",
];
const explorer = document.getElementById("explorer"), form = explorer.querySelector("form");
let columns = FIRST, order = null, down = false, shown = all;

function printed(name, value) {
  if (value === null || value === "") return "–";
  if (TEXT.has(name)) return String(value);
  if (name.startsWith("headroom")) return `${Math.round(100 * value)} %`;
  if (["value", "low", "high"].includes(name)) return value.toFixed(4);
  if (Number.isInteger(value) || Math.abs(value) >= 100) {
    return Math.round(value).toLocaleString("en");
  }
  return value.toPrecision(3);
}
function matches(row) {
  const text = [row.model, row.task, row.log, row.source, row.family].join(" ").toLowerCase();
  return form.q.value.toLowerCase().split(/\s+/).every(word => text.includes(word))
    && FILTERS.every(name => !form[name].value || row[name] === form[name].value);
}
function compare(a, b) {
  const [x, y] = [a[order], b[order]];
  if (x === null || y === null) return (x === null) - (y === null);
  const by = TEXT.has(order) ? x.localeCompare(y) : x - y;
  return down ? -by : by;
}
function show() {
  shown = all.filter(matches);
  if (order) shown.sort(compare);
  const [head, body] = [explorer.querySelector("thead tr"), explorer.querySelector("tbody")];
  const focus = document.activeElement?.dataset?.column;
  head.replaceChildren(...columns.map(name => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    cell.className = (TEXT.has(name) ? "text" : "") + (name === "model" ? " name" : "");
    if (name === order) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    button.type = "button";
    button.textContent = TITLES[name];
    button.dataset.column = name;
    button.addEventListener("click", () => {
      down = order === name && !down;
      order = name;
      show();
    });
    cell.append(button);
    return cell;
  }));
  if (focus) head.querySelector(`[data-column="${focus}"]`)?.focus();
  body.replaceChildren(...shown.map(row => {
    const line = document.createElement("tr");
    line.className = row.family;
    line.append(...columns.map(name => {
      const cell = document.createElement("td");
      cell.className = (TEXT.has(name) ? "text" : "") + (name === "model" ? " name" : "");
      cell.textContent = printed(name, row[name]);
      return cell;
    }));
    return line;
  }));
  explorer.querySelector("output").textContent = `${shown.length} of ${all.length} rows`;
  for (const box of document.querySelectorAll("#columns input")) {
    box.checked = columns.includes(box.value);
  }
  document.getElementById("permalink").href = VIEW + state();
}
function state() {
  const kept = new URLSearchParams();
  for (const name of ["q", ...FILTERS]) if (form[name].value) kept.set(name, form[name].value);
  if (columns.join() !== FIRST.join()) kept.set("columns", columns.join());
  if (order) kept.set("order", (down ? "-" : "") + order);
  return kept.toString();
}
function restore() {
  if (!location.hash.startsWith(VIEW)) return;
  const kept = new URLSearchParams(location.hash.slice(VIEW.length));
  for (const name of ["q", ...FILTERS]) form[name].value = kept.get(name) ?? "";
  columns = (kept.get("columns")?.split(",") ?? FIRST).filter(name => name in TITLES);
  order = kept.get("order")?.replace(/^-/, "") ?? null;
  if (!(order in TITLES)) order = null;
  down = kept.get("order")?.startsWith("-") ?? false;
  show();
  explorer.scrollIntoView();
}
function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
function quoted(value) {
  const text = value === null ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
for (const name of FILTERS) {
  const values = [...new Set(all.map(row => row[name]))];
  form[name].append(new Option("all", ""), ...values.map(value => new Option(value, value)));
  form[name].parentElement.hidden = values.length < 2;
}
document.getElementById("columns").append(...Object.keys(TITLES).map(name => {
  const label = document.createElement("label"), box = document.createElement("input");
  box.type = "checkbox";
  box.value = name;
  box.addEventListener("change", () => {
    const wanted = Object.keys(TITLES).filter(n => n === name ? box.checked : columns.includes(n));
    columns = wanted.length ? wanted : columns;
    show();
  });
  label.append(box, TITLES[name]);
  return label;
}));
form.addEventListener("input", event => { if (event.target.name) show(); });
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", () => {
  columns = FIRST;
  order = null;
  setTimeout(show);
});
document.getElementById("as-csv").addEventListener("click", () => save("leaderboard.csv", "text/csv",
  [columns, ...shown.map(row => columns.map(n => row[n]))].map(r => r.map(quoted).join()).join("\n")));
document.getElementById("as-json").addEventListener("click", () =>
  save("leaderboard.json", "application/json", JSON.stringify(shown, null, 1)));
addEventListener("hashchange", restore);
addEventListener("keydown", event => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    form.q.focus();
  }
});
show();
restore();

// The plots: drawn when they come into sight, as wide as there is room, in the page's colours.
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw(figure) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const plot = figure.querySelector(".plot") ?? document.createElement("div");
  plot.className = "plot";
  const ink = dark.matches ? "#c9ced6" : "#40454d";
  const config = {
    background: null, view: { stroke: null }, font: "system-ui, sans-serif",
    style: { "guide-label": { fill: ink }, "guide-title": { fill: ink } }, title: { color: ink },
    axis: { gridColor: "#8884", domainColor: "#888", tickColor: "#888" },
    legend: { labelColor: ink }, text: { color: ink },
  };
  for (const layer of spec.layer) {  // a text that stands at the right end of the plot
    if (layer.encoding?.x?.value === spec.width) layer.encoding.x = { value: "width" };
  }
  const sized = { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } };
  figure.append(plot);
  const actions = { source: false, compiled: false, editor: false, export: true };
  vegaEmbed(plot, sized, { config, renderer: "svg", actions })
    .then(() => figure.classList.add("drawn"));
}
addEventListener("load", () => {
  if (!window.vegaEmbed) return;
  const figures = [...document.querySelectorAll("figure")].filter(f => f.querySelector("script"));
  const seen = new IntersectionObserver(entries => {
    for (const entry of entries.filter(e => e.isIntersecting)) {
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  figures.forEach(figure => seen.observe(figure));
  dark.addEventListener("change", () => document.querySelectorAll("figure.drawn").forEach(draw));
});
