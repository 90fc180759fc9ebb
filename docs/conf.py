"""The docs site. Build it with ``python -m sphinx -W -n -b html docs build/docs``.

Nothing is fetched when a page is read: formulas are MathML, fonts are those of the system.
"""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # autodoc imports functions, it does not run them

import generated_reference  # noqa: E402

from eventlog import __version__  # noqa: E402

project = "shoptwin"
copyright = "the shoptwin authors, Apache-2.0"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "plain_docstrings",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = [".md"]
exclude_patterns = ["examples", "_ext", "reference/_generated"]

smartquotes = False  # "--out" is no dash

html_theme = "furo"
html_title = "shoptwin"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_mock_imports: list[str] = []
autodoc_preserve_defaults = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries have no page here

generated_reference.write(HERE / "reference" / "_generated")


def setup(app) -> None:
    """Copy the leaderboard's own HTML page and its plots as they are."""

    def copy(app, error) -> None:
        if error is None and app.builder.format == "html":
            target = Path(app.outdir) / "results" / "leaderboard"
            shutil.copytree(HERE / "results" / "leaderboard", target, dirs_exist_ok=True)
            page = target / "index.html"
            page.write_text(page.read_text(encoding="utf-8").replace('.md"', '.html"'), "utf-8")

    app.connect("build-finished", copy)
