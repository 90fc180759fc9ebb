"""A saved generator that was changed, by accident or by hand, is refused in one sentence."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from eventlog import InputError, WorkError
from eventlog._runtime.files import sha256
from eventlog.check import check
from generators.models.vae import Vae
from generators.nn.training import check_finite
from generators.persistence import make

VAE = {"width": 16, "latent": 4, "layers": 1, "rows": 1_000}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, log = tmp_path_factory.mktemp("models"), shop_log(users=30, rows=10, items=20)
    return {
        name: generators.save(generators.fit(log, model=name, seed=1, settings=own), folder / name)
        for name, own in (("markov", {}), ("vae", VAE))
    }


def signed(folder: Path) -> Path:
    """The folder with checksums of what stands there now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        n: {"sha256": sha256(folder / n)} for n in ("model.json", "model.safetensors")
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def copy(saved: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(saved[name], tmp_path / name))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00 nonsense", "half"])
@pytest.mark.parametrize("sign", [False, True])
def test_a_file_that_is_gone_or_broken(
    copy: Callable[[str], Path], name: str, content: Any, sign: bool
) -> None:
    folder = copy("markov")
    whole = (folder / name).read_bytes()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    if sign and content is not None and name != "manifest.json":
        signed(folder)
    with pytest.raises(InputError):
        generators.load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", {}),
        ("files", []),
        ("files", {"model.json": "x"}),
        ("generator", None),
        ("generator", 7),
        ("class", None),
        ("own_file", "no"),
        ("privacy", None),
        ("privacy", {}),
        ("format", "2"),
        ("files", None),
    ],
)
def test_a_manifest_of_wrong_types(copy: Callable[[str], Path], key: str, value: Any) -> None:
    folder = copy("markov")
    manifest = json.loads((folder / "manifest.json").read_text())
    for changed in (
        {**manifest, key: value},
        {k: v for k, v in manifest.items() if k != key},
        [manifest],
        "manifest",
    ):
        (folder / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(InputError):
            generators.load(folder)


@pytest.mark.parametrize("model", ["markov", "vae"])
@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: {},
        lambda d: {**d, "settings": []},
        lambda d: {**d, "data": {}},
        lambda d: {**d, "data": {"codec": 3}},
        lambda d: {**d, "settings": {**d["settings"], "min_users": "many"}},
        lambda d: {**d, "settings": {**d["settings"], "max_rows": None}},
        lambda d: {**d, "settings": {**d["settings"], "max_rows": 10**30}},
        lambda d: {**d, "settings": {**d["settings"], "colour": 1}},
        lambda d: {**d, "data": {**d["data"], "codec": {**d["data"]["codec"], "clock": "noon"}}},
        lambda d: {**d, "data": {**d["data"], "codec": {**d["data"]["codec"], "items": []}}},
    ],
)
def test_a_model_of_wrong_types_with_right_checksums(
    copy: Callable[[str], Path], model: str, change: Callable[[Any], Any]
) -> None:
    folder = copy(model)
    data = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(change(data)))
    with pytest.raises(InputError):
        generators.load(signed(folder))


def test_tensors_of_another_shape(copy: Callable[[str], Path]) -> None:
    from safetensors.numpy import load_file, save_file

    folder = copy("vae")
    arrays = load_file(folder / "model.safetensors")
    name = next(k for k in arrays if k.startswith("net/"))
    for changed in (
        {k: v for k, v in arrays.items() if k != name},
        {**arrays, name: np.zeros((2, *arrays[name].shape), dtype=np.float32)},
    ):
        save_file(changed, folder / "model.safetensors")
        with pytest.raises(
            InputError, match=r"model\.safetensors: the array .* is missing|has the shape"
        ):
            generators.load(signed(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", "many"),
        ("rows", 1.5),
        ("width", True),
        ("rate", "fast"),
        ("rate", float("nan")),
        ("epochs", 10**12),
        ("width", None),
    ],
)
def test_settings_of_the_wrong_kind(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"generator vae: {name} is"):
        generators.fit(shop_log(users=12), model="vae", seed=0, settings={name: value})


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        ("vae", "width", 10**6),
        ("vae", "rate", -1.0),
        ("vae", "window", 0),
        ("vae", "word_dropout", 2.0),
        ("vae", "clip", 0.0),
        ("vae", "batch_users", 0),
        ("vae", "components", 0),
        ("transformer", "window", 1000),
        ("transformer", "heads", 5),
        ("gan", "adversarial_rate", -1.0),
        ("gan", "generator_steps", 0),
        ("markov", "strength", -1.0),
        ("markov", "successors", 0),
        ("markov", "max_rows", 0),
    ],
)
def test_settings_out_of_range(model: str, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        make(model, {name: value})


def test_a_training_that_ran_away_is_one_sentence() -> None:
    net = torch.nn.Linear(2, 2)
    check_finite(net)
    with torch.no_grad():
        net.weight[0, 0] = float("nan")
    with pytest.raises(WorkError, match="Choose a smaller rate"):
        check_finite(net)


def test_a_full_disk_leaves_nothing_and_is_an_os_error(
    saved: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = generators.load(saved["markov"])

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        generators.save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_prices_below_zero_are_sampled_where_the_log_has_them_and_nowhere_else() -> None:
    log = shop_log(users=60, seed=5)
    back = np.random.default_rng(0).random(len(log.events)) < 0.2
    price = log.events["price"].where(~back, -log.events["price"])
    for given, share in ((log, 0.0), (replace(log, events=log.events.assign(price=price)), 0.2)):
        sampled = generators.fit(given, model="markov", seed=1).sample(60, seed=1)
        known = sampled.events["price"].dropna()
        assert float((known < 0).mean()) == pytest.approx(share, abs=0.06 if share else 0.0)
        assert any("negative" in f.text for f in check(sampled)) == bool(share)


def test_settings_that_never_did_anything_are_dropped_from_saved_models(tmp_path: Path) -> None:
    """A transformer saved by an earlier version holds settings of `vae` that it ignored."""
    log = shop_log(users=30, rows=10, items=20)
    own = {"width": 16, "heads": 2, "layers": 1, "rows": 1_000}
    model = generators.fit(log, model="transformer", seed=1, settings=own)
    folder = generators.save(model, tmp_path / "model")
    data = json.loads((folder / "model.json").read_text())
    data["settings"] |= {"latent": 0, "components": 12, "free_bits": 0.1}
    (folder / "model.json").write_text(json.dumps(data))
    events = generators.load(signed(folder)).sample(9, seed=2).events
    assert events.equals(model.sample(9, seed=2).events)


def test_the_generators_that_can_prove_privacy_are_named_from_the_registry() -> None:
    file = Path(__file__).parents[2] / "docs" / "examples" / "my_generator.py"
    with pytest.raises(InputError, match=r"choose one that can \(calibrated, gan, markov, transf"):
        generators.fit(shop_log(users=12), model=str(file), epsilon=3.0)


def test_a_fit_says_first_how_long_it_takes(capfd: pytest.CaptureFixture[str]) -> None:
    log = shop_log(users=30, rows=10, items=20)
    generators.fit(log, model="markov", seed=1)
    first = capfd.readouterr().err.splitlines()[0]
    assert first.startswith(f"Fitting markov to {len(log)} rows of 30 users: about 5 CPU seconds ")


@pytest.mark.parametrize("private", [False, True])
def test_the_estimate_of_a_fit_grows_with_the_work(private: bool) -> None:
    small, large = shop_log(users=30, rows=10, items=20), shop_log(users=600, rows=10, items=20)
    passes = "private_epochs" if private else "epochs"
    few, many = (make("vae", {passes: n}) for n in (2, 40))
    seconds = [
        [model.expected_seconds(log, private=private) or 0 for log in (small, large)]
        for model in (few, many)
    ]
    assert 0 < seconds[0][0] < seconds[0][1] < seconds[1][1] and seconds[0][0] < seconds[1][0]
    assert make("vae", {"width": 16}).expected_seconds(small, private=private) is None


def test_a_model_with_an_argument_of_its_own_says_how_long_it_takes() -> None:
    class Mine(Vae):
        def __init__(self, *, purpose: str, **network: Any) -> None:
            super().__init__(**network)
            self.purpose = purpose

    log = shop_log(users=30, rows=10, items=20)
    assert Mine(purpose="a study").expected_seconds(log, private=False)
    assert Mine(purpose="a study", layers=3).expected_seconds(log, private=False) is None
