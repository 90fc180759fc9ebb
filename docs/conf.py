"""The docs site: python -m sphinx docs build/docs"""

project = "shoptwin"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
source_suffix = [".md"]
exclude_patterns = ["examples"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "fixed_sidebar": True}


def setup(app: object) -> None:
    """Copy the page that the program wrote, and its plots, as they are."""
    import shutil
    from pathlib import Path

    def copy(app, error) -> None:
        here = Path(__file__).parent / "leaderboard"
        if error is None and here.is_dir():
            shutil.copytree(here, Path(app.outdir) / "leaderboard", dirs_exist_ok=True)

    app.connect("build-finished", copy)  # type: ignore[attr-defined]
