"""`python -m batchtrial.selftest.bench judges`: what a row of the judges' wave takes beside one of the answers', in one dry run.

Each pair is judged twice in both orders. A wave is timed from building its requests to the table of what came back, with the emulator's own work.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from batchtrial.app.invocation import Invocation
from batchtrial.cli.commands import execute as live
from batchtrial.run.options import Options
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import read_json

LIMIT: Final = 2.2
"""What a row of the judges' wave may take of a row of the answers'."""
RUN: Final = "judged"
Wave = tuple[int, float]
"""Rows, and seconds."""


def config_of(folder: Path, n_items: int) -> dict[str, Any]:
    """A trial of two prompts over so many items, whose file it writes."""
    rows = ({"id": f"q{at}", "question": f"Which river is number {at}?", "answers": [f"River {at}"]} for at in range(n_items))
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for role, words in (("control", "Be brief."), ("treatment", "Be exact.")):
        (folder / f"{role}.txt").write_text(words)
    return {
        "backend": "openai",
        "model_id": "gpt-4.1-mini",
        "mode": "dry_run",
        "datasets": [{"name": "rivers", "source": "file", "path": str(folder / "items.jsonl")}],
        "task": {"messages": [{"role": "user", "template": "{{ question }}"}]},
        "prompt_sets": {"words": {role: str(folder / f"{role}.txt") for role in ("control", "treatment")}},
        "judges": [{"name": "better", "kind": "pairwise", "orders": "both", "repeats": 2, "rubric": "complete"}],
        "submission": {"lines_per_part": 1_000},
    }


def waves(folder: Path, n_items: int) -> tuple[Wave, Wave]:
    """The answers' wave and the judges', of a run made in an empty folder."""
    (folder / "trial.json").write_text(json.dumps(config_of(folder, n_items)))
    layout = RunLayout(folder / f"run_{RUN}")
    _to(folder, "prepare")
    answers = _to(folder, "parse")
    _to(folder, "score")
    judges = _to(folder, "judge_parse")
    return (_rows(layout.build_manifest), answers), (_rows(layout.judging.build_manifest), judges)


def _to(folder: Path, step: str) -> float:
    """Seconds that the run takes to the end of this step."""
    is_begun = (folder / f"run_{RUN}").exists()
    ask = Invocation(
        run_id=RUN if is_begun else None,
        is_resume=is_begun,
        config=folder / "trial.json",
        changes={},
        options=Options(to_step=step),
        experiments=folder,
    )
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        live.run(ask, RUN, nonce="0" * 16, env={})
    return time.perf_counter() - began


def _rows(manifest: Path) -> int:
    return sum(shard["lines"] for shard in read_json(manifest)["shards"].values())


def told(answers: Wave, judges: Wave) -> str:
    """The figures as lines of text."""
    (n_answers, first), (n_judged, second) = answers, judges
    ratio = second / n_judged / (first / n_answers)
    return (
        f"{n_answers:,} answers in {first:.2f} s, {n_judged:,} judgements of them in {second:.2f} s "
        f"(both orders, twice; equal answers are not judged)\n"
        f"  a judgement takes {ratio:.2f} times what an answer does  (at most {LIMIT:g})\n"
    )


def main(argv: Sequence[str]) -> int:
    """Read the flags, run the bench, print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m batchtrial.selftest.bench judges", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=10_000, metavar="N", help="answers that are judged (default: %(default)s)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="batchtrial-bench-") as folder:
        sys.stdout.write(told(*waves(Path(folder), given.answers // 2)))
    return 0
