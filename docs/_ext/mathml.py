"""Render formulas as MathML when the site is built, so that they are readable offline."""

import re

from docutils import nodes
from latex2mathml.converter import convert

CODE = re.compile(r"\\texttt\{([^}]*)\}")
FUNCTION = re.compile(r"((?:<msub>)?<mi>(?:log|exp|min|max)</mi>)")  # a space inside msub breaks it


def mathml(formula: str, display: str) -> str:
    """Return LaTeX as MathML; a name in code font keeps its underscores, and `log` some room."""
    text = CODE.sub(lambda m: rf"\texttt{{{m[1]}}}".replace(r"\_", "_"), formula)
    return FUNCTION.sub(r'<mspace width="0.17em"/>\1', convert(text, display=display))


def setup(app) -> dict[str, bool]:
    """Register the renderer and choose it."""

    def inline(self, node) -> None:
        self.body.append(mathml(node.astext(), "inline"))
        raise nodes.SkipNode

    def block(self, node) -> None:
        self.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
