"""Render formulas as MathML when the site is built, so that they are readable offline."""

from latex2mathml.converter import convert


def setup(app) -> dict[str, bool]:
    """Register the renderer and choose it."""

    def inline(self, node) -> None:
        self.body.append(convert(node.astext()))
        raise nodes.SkipNode

    def block(self, node) -> None:
        self.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
        raise nodes.SkipNode

    from docutils import nodes

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
