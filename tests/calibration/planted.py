"""Whole runs against the simulated model: does the interval of a run cover the effect that was planted? `python -m tests.calibration.planted`.

One config is prepared and built once; each seed is another model with the same planted rates, asked by the real pipeline over the wire of an SDK. A
share (`contains`), whose truth is known exactly; a grade (token F1) and a count (words), whose truth is the mean over many other seeds of the model.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY

from batchtrial.app.emulator import write_world
from batchtrial.app.invocation import Invocation
from batchtrial.cli.commands import execute
from batchtrial.config.expand import Trial, arms_of, expand
from batchtrial.emulator.answers.modelfile import load_model
from batchtrial.emulator.answers.request import from_chat
from batchtrial.emulator.answers.simulation import SimulatedModel
from batchtrial.emulator.answers.truth import truth
from batchtrial.keys import item_hash
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.reading.config import config_of_run
from batchtrial.run.options import Options
from batchtrial.scoring import scorer_for
from batchtrial.state.layout import RunLayout

RUN = "planted"
NONCE = "00ff00ff00ff00ff"
SHARE, GRADE, COUNT = "contains", "f1", "words"
LEAST = 90
"""Of 100 seeds whose interval covers the truth, at least: at 95 % that fails once in 90 times."""
WORDS = "amber basin cedar delta ember fjord gravel harbour inlet jetty kelp lagoon marsh notch otter pier quay reef shoal tide".split()  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Built:
    """A run whose requests are built, and what the simulated model is told."""

    root: Path
    model: Path
    trial: Trial

    @property
    def layout(self) -> RunLayout:
        return RunLayout(self.root / "base" / f"run_{RUN}")


def build(root: Path, n_items: int) -> Built:
    """Write questions and config, prepare and build."""
    dice = random.Random(3)
    # Each answer has a word of its own, so that no wrong answer contains it: `contains` is right exactly where the model was.
    answers = [" ".join([*dice.sample(WORDS, dice.randint(0, 3)), f"berth{1000 + k}"]) for k in range(n_items)]
    rows = [{"id": f"q{k}", "ask": f"What lies at berth {k}?", "answer": answer} for k, answer in enumerate(answers)]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree: dict[str, Any] = {
        "backend": "openai",
        "model_id": "gpt-4.1-mini",
        "datasets": [{"name": "berths", "source": "file", "path": str(root / "rows.jsonl"), "kind": "closed", "fields": {"answers": "answer"}}],
        "task": {"user": "{{ ask }}"},
        "provider": {"endpoint": "/v1/chat/completions"},
        "arms": {"control": {}, "careful": {"task": {"user": "Think first. {{ ask }}"}}},
        "max_new_tokens": {"open_book": 64, "closed_book": 64},
        "metrics": [SHARE, COUNT],
        "stats": {"primary": {"metric": SHARE, "goal": "superiority"}, "permutation_samples": 999},
        "exports": [],
    }
    (root / "trial.yaml").write_text(json.dumps(tree))
    carry_out(root / "base", root / "trial.yaml", "", Options(to_step="build"), is_resume=False)
    layout = RunLayout(root / "base" / f"run_{RUN}")
    trials = expand(config_of_run(layout), "")
    return Built(root, write_world(layout, config_of_run(layout), trials), trials[0])


def carry_out(experiments: Path, config: Path | None, url: str, options: Options, *, is_resume: bool) -> None:
    """One process of the run, unheard."""
    changes = {} if is_resume else {"mode": "dry_run"}
    ask = Invocation(
        run_id=RUN, is_resume=is_resume, config=config, changes=changes, options=options, experiments=experiments, emulator_url=url or None
    )
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        assert execute.run(ask, RUN, nonce=NONCE, env={}) == 0


def estimates(built: Built, seed: int) -> dict[str, tuple[float, float, float]]:
    """Metric -> (difference, lower end, upper end) of a whole run against the model of this seed."""
    root = built.root / f"seed{seed}"
    shutil.copytree(built.root / "base", root)
    emulator = InProcess(root / "provider", model=built.model, seed=seed)
    carry_out(root, None, emulator.url, Options(to_step="stats", workers=1), is_resume=True)
    emulator.kill()
    found = json.loads(RunLayout(root / f"run_{RUN}").trial(built.trial.slug).significance.read_bytes())
    shutil.rmtree(root)
    tests = {one["metric"]: one["estimate"] for one in found["tests"] if one["kind"] == "all"}
    return {name: (tests[name]["value"], tests[name]["ci_low"], tests[name]["ci_high"]) for name in (SHARE, GRADE, COUNT)}


def truths(built: Built, seeds: Sequence[int]) -> dict[str, float]:
    """What is true of the two arms: of the share exactly, of the others the mean over models of these seeds, asked directly."""
    file = load_model(built.model)
    name = next(arm.name for arm in file.arms if arm.name != "control")
    exact = truth(file)
    right = {arm: exact["rates"][arm]["closed"]["right"] for arm in ("control", name)}
    items = load_prepared(built.layout)
    arms = arms_of((built.trial,))
    codec = OpenAIProvider(OpenAISettings(base_url=None, endpoint="/v1/chat/completions"), None)
    scorer = scorer_for("triviaqa")
    golds = [scorer.prepare_gold(item) for item in items]

    @cache
    def f1(number: int, text: str) -> float:
        return scorer.score(golds[number], text).f1 or 0.0

    chats = []
    for arm in arms:
        ids = [arm.custom_id(item_hash(item.dataset, item.item_id), 0) for item in items]
        lines = [codec.encode(arm.request(item, one)) for item, one in zip(items, ids, strict=True)]
        chats.append([from_chat(one, json.loads(line)["body"]) for one, line in zip(ids, lines, strict=True)])
    sums = {GRADE: [0.0, 0.0], COUNT: [0.0, 0.0]}
    for seed in seeds:
        model = SimulatedModel(file, seed)
        for place, mine in enumerate(chats):
            texts = [model.answers(chat, model.identity(chat))[0].text for chat in mine]
            sums[GRADE][place] += sum(f1(number, text) for number, text in enumerate(texts))
            sums[COUNT][place] += sum(len(text.split()) for text in texts)
    n = len(seeds) * len(items)
    return {SHARE: right[name] - right["control"], **{key: (after - before) / n for key, (before, after) in sums.items()}}


def covered(built: Built, true: Mapping[str, float], seeds: Sequence[int]) -> dict[str, int]:
    """Metric -> how many intervals cover its truth."""
    counts = dict.fromkeys(true, 0)
    for seed in seeds:
        found = estimates(built, seed)
        for name, value in true.items():
            _, low, high = found[name]
            counts[name] += low <= value <= high
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; 0 when enough intervals cover."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="runs (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--items", type=int, default=200, help="items of each (default: 200)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batchtrial-planted-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        built = build(Path(root), given.items)
        true = truths(built, range(10_000, 10_100))
        counts = covered(built, true, range(given.first, given.first + given.seeds))
    for name, kind in ((SHARE, "share"), (GRADE, "grade"), (COUNT, "count")):
        sys.stdout.write(f"{kind:<6} {name:<9} truth {true[name]:+.4f}  covered {counts[name]} of {given.seeds}\n")
    return 0 if min(counts.values()) * 100 >= LEAST * given.seeds else 1


if __name__ == "__main__":
    sys.exit(main())
