"""The leaderboard as one HTML file: the text of leaderboard.md with tables that sort, the plots
inside, and the paired tests.

It needs nothing from anywhere: styles, script and plots stand in the file. What is rendered is the
Markdown that `leaderboard.lines` writes, not Markdown in general.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.evaluation import statistics
from benchmark.report.aggregate import Board

STYLE = """
:root { color-scheme: light dark; --line: #8884; --head: #8881; --link: #0b62c4 }
@media (prefers-color-scheme: dark) { :root { --link: #79b8ff } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1500px; padding: 0 1.2rem 4rem }
p, li, pre { max-width: 100ch }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem }
a { color: var(--link) }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 1rem 0 }
pre { background: var(--head); overflow-x: auto; padding: .6rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: right; white-space: nowrap }
th.text, td.text { text-align: left }
.name { background: Canvas; left: 0; position: sticky }
thead .name { background: linear-gradient(var(--head), var(--head)), Canvas; z-index: 1 }
thead th { background: var(--head); position: sticky; top: 0 }
tbody tr:hover { background: var(--head) }
th button { all: unset; cursor: pointer; display: block; font-weight: 600; width: 100% }
th button:focus-visible { outline: 2px solid var(--link) }
th[aria-sort=ascending] button::after { content: " ▲" }
th[aria-sort=descending] button::after { content: " ▼" }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; max-width: 100% }
figure svg { background: #fff; height: auto; max-width: 100%; width: 44rem }
"""

# A click sorts by the first number of a cell, else by its text; what has no value goes last either
# way. Equal rows keep their order.
SCRIPT = """
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
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => sort(button.parentElement));
"""


def render(lines: Iterable[str], boards: Sequence[Board], pictures: Path) -> str:
    """The page; `lines` are those of leaderboard.md, `pictures` is the folder that its plots stand
    in relative to.
    """
    body = list(
        _blocks(
            lines,
            {f"{b.task.capitalize()} on {b.log}": _tests(b) for b in boards if len(b.values) > 1},
            pictures,
        )
    )
    links = re.findall(r'<h[23] id="([^"]+)">(.*?)</h', "".join(body))
    nav = " ".join(f'<a href="#{anchor}">{re.sub("<.*?>", "", text)}</a>' for anchor, text in links)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            "<title>Leaderboard</title>",
            f"<style>{STYLE}</style>",
            f"<nav>{nav}</nav>",
            *body,
            f"<script>{SCRIPT}</script>",
            "</html>",
            "",
        ]
    )


def _blocks(lines: Iterable[str], after: Mapping[str, str], pictures: Path) -> Iterator[str]:
    """HTML of each block; `after` holds what is put at the end of a section, by its heading without
    marks.
    """
    pending, table, plain = "", [], []  # type: str, list[str], list[str]

    def flush() -> Iterator[str]:
        if table:
            yield _table([[c.strip() for c in row.strip("|").split("|")] for row in table])
            table.clear()
        if plain:
            yield f"<pre>{html.escape(chr(10).join(plain))}</pre>"
            plain.clear()

    for line in lines:
        heading, picture = re.match(r"(#+) (.*)", line), re.match(r"!\[(.*)\]\((.*)\)", line)
        if not line.startswith("|") and not line.startswith("    "):
            yield from flush()
        if heading:
            yield pending
            pending = after.get(heading[2].replace("`", ""), "")
            anchor = re.sub(r"\W+", "-", heading[2].lower()).strip("-")
            yield f'<h{len(heading[1])} id="{anchor}">{_text(heading[2])}</h{len(heading[1])}>'
        elif picture:
            yield (
                '<figure role="img" '
                f'aria-label="{html.escape(picture[1])}">{_svg(pictures / picture[2])}</figure>'
            )
        elif line.startswith("|"):
            table.append(line)
        elif line.startswith("    "):
            plain.append(line[4:])
        elif line:
            yield (
                f"<li>{_text(line[2:])}</li>" if line.startswith("- ") else f"<p>{_text(line)}</p>"
            )
    yield from flush()
    yield pending


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A table that sorts; the second row of a Markdown table is its rule. A column without a number
    in it is one of text, and that of names stays in sight when the table is moved sideways.
    """
    head, body = rows[0], rows[2:]
    text = [not any(re.match(r"[-+−]?[0-9]", row[i]) for row in body) for i in range(len(head))]
    mark = [
        ' class="text name"' if name in ("model", "generator") else ' class="text"' if t else ""
        for name, t in zip(head, text, strict=True)
    ]
    top = "".join(
        f'<th scope="col"{m}><button type="button">{_text(name)}</button></th>'
        for name, m in zip(head, mark, strict=True)
    )
    cells = (
        "".join(f"<td{m}>{_text(c)}</td>" for c, m in zip(row, mark, strict=True)) for row in body
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(f"<tr>{c}</tr>" for c in cells)}</tbody></table></div>'


def _tests(board: Board) -> str:
    """Every pair of models: the difference, its interval, and the corrected p."""
    rows = [["better", "worse", f"difference in {board.headline} [95 %]", "p (Holm)"], []]
    for (better, worse), p in board.p.items():
        low, high = statistics.interval(board.replicates[better] - board.replicates[worse])
        rows.append(
            [
                better,
                worse,
                f"{board.values[better] - board.values[worse]:.4f} [{low:.4f}, {high:.4f}]",
                f"{p:.2g}",
            ]
        )
    return f"<details><summary>Paired tests of all models</summary>{_table(rows)}</details>"


def _text(line: str) -> str:
    """Escaped text with `code`, **bold**, *emphasis* and [links](to)."""
    out = html.escape(line, quote=False)
    for pattern, made in (
        (r"`([^`]+)`", r"<code>\1</code>"),
        (r"\*\*([^*]+)\*\*", r"<b>\1</b>"),
        (r"\*([^*]+)\*", r"<i>\1</i>"),
        (r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="../\2">\1</a>'),
    ):
        out = re.sub(pattern, made, out)
    return out


def _svg(path: Path) -> str:
    """The drawing itself, with ids of its own: two drawings in one page must not share one."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    name = path.stem
    return re.sub(r'(\bid="|url\(#|href="#)', lambda m: f"{m[1]}{name}-", text)
