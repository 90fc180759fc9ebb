"""Let autodoc read docstrings that mark code with single backticks, as Markdown does."""

import re

CODE = re.compile(r"(?<![`:])`([^`]+)`(?!`)")


def plain(app, what, name, obj, options, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place: `code` as ``code``, other markup as plain text."""
    literal: int | None = None
    pending: int | None = None
    for k, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None:
            if line.strip() and indent <= literal:
                literal = None
            else:
                continue
        if pending is not None and line.strip():
            literal, pending = pending, None
            if indent > literal:
                continue
            literal = None
        if line.rstrip().endswith("::"):
            pending = indent
        if line.lstrip().startswith(">>>"):
            continue
        parts = re.split(r"(``.+?``|(?<![`:])`[^`]+`(?!`))", line)
        for j, part in enumerate(parts):
            if j % 2:
                parts[j] = CODE.sub(r"``\1``", part)
            else:
                parts[j] = re.sub(r"(?<=\w)_(?=\W|$)|[*|](?=\S)", r"\\\g<0>", part)
        lines[k] = "".join(parts)


def setup(app) -> dict[str, bool]:
    """Connect the hook before napoleon's."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    return {"parallel_read_safe": True}
