"""Each package offers its public names, and imports none before it is used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["eventlog", "simulator", "generators", "baselines", "benchmark", "shoptwin"]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_others_are_not(package: str) -> None:
    module = importlib.import_module(package)
    public = getattr(module, "__all__", [])
    assert {*public, "__version__"} <= set(dir(module))
    for name in public:
        assert getattr(module, name).__name__.split(".")[-1] in (name, name.lower())
    assert module.__version__ == importlib.import_module("eventlog").__version__
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_importing_the_packages_imports_no_heavy_library() -> None:
    heavy = "{'numpy', 'pandas', 'torch'} & set(sys.modules)"
    code = f"import sys, {', '.join(PACKAGES)}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
