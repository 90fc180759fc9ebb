"""Do our singling-out, linkage and inference attacks agree with anonymeter's own evaluators?

Usage::

    python experiments/anonymeter_agreement.py export /tmp/tables         # with this project
    python3 -m venv anon && anon/bin/pip install anonymeter               # holds numpy below 1.27
    anon/bin/python experiments/anonymeter_agreement.py evaluate /tmp/tables

Both sides get the same three tables with a record a user (see
generators/evaluation/attacks/profiles.py): members, control, and the users of a log sampled from a
model fitted on the members. With --copy a third of the synthetic users are members, so that there
is something to find. The random draws of the two sides differ, so risks should agree within their
intervals.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def export(out: Path, *, users: int, copied: float, seed: int) -> None:
    """Simulate, fit, sample, attack with our code; write tables, their columns and our results."""
    import numpy as np
    import pandas as pd

    import generators
    import simulator
    from eventlog.split import by_user
    from generators.evaluation.align import align_logs
    from generators.evaluation.attacks import anonymity, profiles

    log = simulator.simulate("shop", users=3 * users, days=30, seed=seed)
    members, control = by_user(log, share=0.5, rng=np.random.default_rng(0))
    n = min(users, *(int(h.events["user_id"].nunique()) for h in (members, control)))
    members, control = (
        h.only_users(sorted(h.events["user_id"].astype(str).unique())[:n])
        for h in (members, control)
    )
    twin = generators.fit(members, model="markov", seed=seed).sample(n, seed=seed)
    real, made, held = align_logs(members, twin, control)
    if copied:
        made = made.take(np.arange(n - int(copied * n))).join(real.take(np.arange(int(copied * n))))
    rng = np.random.default_rng(seed)
    found = [
        anonymity.singling_out(real, made, held, rng=rng),
        anonymity.linkage(real, made, held, rng=rng),
        *anonymity.inference(real, made, held, rng=rng),
    ]
    out.mkdir(parents=True, exist_ok=True)
    for name, flat in (("members", real), ("synthetic", made), ("control", held)):
        people = profiles.profiles(flat)
        frame = pd.DataFrame({c: people.values[:, j] for j, c in enumerate(people.names)})
        frame.to_csv(out / f"{name}.csv", index=False)
    ours = {
        a.name: {
            "rate": a.rate.value,
            "control": a.control.value if a.control else None,
            "risk": a.risk,
            "low": a.low,
            "high": a.high,
        }
        for a in found
    }
    columns = {c: bool(people.categorical[j]) for j, c in enumerate(people.names)}
    (out / "ours.json").write_text(json.dumps({"attacks": ours, "categorical": columns}, indent=1))


def evaluate(folder: Path, *, attacks: int) -> None:
    """Run anonymeter on the tables and print both sides as a table in Markdown."""
    import pandas as pd
    from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

    exported = json.loads((folder / "ours.json").read_text())
    text = [c for c, categorical in exported["categorical"].items() if categorical]
    members, synthetic, control = (
        pd.read_csv(folder / f"{n}.csv") for n in ("members", "synthetic", "control")
    )
    for frame in (members, synthetic, control):
        frame[text] = frame[text].astype(int).astype(str)
        numbers = [c for c in frame if c not in text]
        frame[numbers] = frame[numbers].fillna(-1.0)
    attacks = min(attacks, len(members), len(control))
    columns = list(members)
    print(
        "| attack | ours: risk [95 % interval], rate on members / control | anonymeter "
        "|\n|---|---|---|"
    )

    def line(name: str, evaluator: Any) -> None:
        risk, results = (
            evaluator.risk(confidence_level=0.95),
            evaluator.results(confidence_level=0.95),
        )
        mine = exported["attacks"][name]
        theirs = results.attack_rate.value, results.control_rate.value
        print(
            f"| {name} | {mine['risk']:.3f} [{mine['low']:.3f}, {mine['high']:.3f}], "
            f"{mine['rate']:.3f} / {mine['control']:.3f} | "
            f"{risk.value:.3f} [{risk.ci[0]:.3f}, {risk.ci[1]:.3f}], {theirs[0]:.3f} / "
            f"{theirs[1]:.3f} |",
            flush=True,
        )

    singling = SinglingOutEvaluator(
        ori=members, syn=synthetic, control=control, n_attacks=attacks, n_cols=3
    )
    singling.evaluate(mode="multivariate")
    line("singling_out", singling)
    linking = LinkabilityEvaluator(
        ori=members,
        syn=synthetic,
        control=control,
        n_attacks=attacks,
        n_neighbors=1,
        aux_cols=(columns[::2], columns[1::2]),
    )
    linking.evaluate(n_jobs=1)
    line("linkage", linking)
    for name in exported["attacks"]:
        if name.startswith("inference "):
            secret = name.removeprefix("inference ")
            guessing = InferenceEvaluator(
                ori=members,
                syn=synthetic,
                control=control,
                n_attacks=attacks,
                secret=secret,
                aux_cols=[c for c in columns if c != secret],
                regression=secret not in text,
            )
            guessing.evaluate(n_jobs=1)
            line(name, guessing)


def main() -> None:
    """Export or evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=["export", "evaluate"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--attacks", type=int, default=500)
    parser.add_argument(
        "--copy", type=float, default=0.3, help="share of the synthetic users who are members"
    )
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    if args.step == "export":
        export(args.folder, users=args.users, copied=args.copy, seed=args.seed)
    else:
        evaluate(args.folder, attacks=args.attacks)


if __name__ == "__main__":
    main()
