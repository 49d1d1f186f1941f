"""judge_parse: the judges' answers in, verdicts out: a row a judgement, with what it is worth, or why it is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from batchtrial.amounts import counted
from batchtrial.config.expand import Arm
from batchtrial.config.judge_arms import arm_of
from batchtrial.config.judges import JudgeSpec, reason_in
from batchtrial.phases.base import View, Work, digest_of
from batchtrial.phases.build.index import IndexLines, load_index
from batchtrial.phases.judge.build import FORM, NO_JUDGES
from batchtrial.phases.judge.phase import judge_poll
from batchtrial.phases.parse.part import Parsed
from batchtrial.phases.parse.phase import answers_table, arm_inputs
from batchtrial.phases.tables.arm_table import for_tables, make_tables
from batchtrial.phases.waves import arms_with_verdicts, judging, judging_work
from batchtrial.records import Outcome, Verdict
from batchtrial.state.files import Artifact, artifact
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Fingerprint, decode_json, encode_json, replacing, write_bytes

name = "judge_parse"
STATES: Final = ("judged", "unparseable", "lost")
COLUMNS: Final = {
    "judge": pl.String,
    "arm": pl.String,
    "item_hash": pl.String,
    "sample": pl.Int32,
    "state": pl.String,
    "verdict": pl.Float64,
    "usd": pl.Float64,
    "reason": pl.String,
}
"""Columns of judgements.parquet. judge: its name; arm: by which it asked; verdict: what it is worth, null where there is none."""


def inputs(view: View) -> str | None:
    """Digest of the judges' answers; None while a part is not settled or a file is gone."""
    inner = judging(view)
    found = [arm_inputs(inner, arm) for arm in arms_with_verdicts(inner)]
    judges = [judge.model_dump(mode="json") for judge in view.config.judges]
    return None if None in found or inner.build is None else digest_of([FORM, found, judges])


def verdict(view: View) -> Verdict:
    """Done when the table of judgements is as published and was made from these answers."""
    if not view.config.judges:
        return NO_JUDGES
    polled = judge_poll.verdict(view)
    made_from = inputs(view) if polled.is_done else None
    if made_from is None:
        return Verdict(status="blocked", reason="waits for judge_poll", needs="judge_poll")
    known = _record(view)
    if known is None:
        return Verdict(status="missing", reason="no verdicts read yet")
    if known["inputs"] != made_from:
        return Verdict(status="stale", reason="the judges' answers have changed since")
    if view.stamps.of(view.layout.judgements) != Fingerprint.model_validate(known["table"]):
        return Verdict(status="stale", reason="judgements.parquet gone or not as published")
    return Verdict(status="done", reason=f"{counted(sum(known['counts'].values()), 'judgement')} read")


def published(view: View) -> str | None:
    """Hex sha256 of the table of judgements; None while it is not there as published."""
    return str(_record(view)["table"]["sha256"]) if verdict(view).status == "done" and _record(view) else None  # type: ignore[index]


def _record(view: View) -> dict[str, Any] | None:
    try:
        known = dict(decode_json(view.layout.judgements_record.read_bytes()))
        return known if {"inputs", "table", "counts"} <= known.keys() else None
    except (OSError, ValueError, TypeError):  # lost or damaged: then the table is made again
        return None


def on_record(layout: RunLayout) -> Artifact | None:
    """The table of judgements as it was published; None where no record says so."""
    try:
        known = Fingerprint.model_validate(decode_json(layout.judgements_record.read_bytes())["table"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return artifact(layout.root, layout.judgements, known)


def run(work: Work) -> None:
    """Read every verdict. Raises Stopped, RunStateMissing."""
    inner = judging_work(work)
    frames = [pl.DataFrame(schema=COLUMNS)]
    if inner.view.build is not None and inner.view.build.shards:
        index = IndexLines.load(inner.layout.index)
        by_arm = {arm_of(work.config, judge).name: judge for judge in work.config.judges}
        arms = arms_with_verdicts(inner.view)
        hashes = load_index(inner.layout.index)["item_hash"]
        make_tables(inner, {arm.name: answers_table(inner, arm, hashes) for arm in arms}, Parsed)
        frames += [_verdicts(inner, arm, by_arm[arm.name], index) for arm in arms]
    table = pl.concat(frames)
    work.stop.check()
    with replacing(work.layout.judgements, hook=work.hook) as file, for_tables(file) as out:
        table.rechunk().write_parquet(out, compression="lz4", statistics=False)
    got = work.view.stamps.of(work.layout.judgements)
    if got is None:
        raise FileNotFoundError(work.layout.judgements)
    counts = {state: int((table["state"] == state).sum()) for state in STATES}
    record = {"schema_version": 1, "inputs": inputs(work.view), "table": got.model_dump(), "counts": counts}
    write_bytes(work.layout.judgements_record, encode_json(record), hook=work.hook)


def _verdicts(inner: Work, arm: Arm, judge: JudgeSpec, index: IndexLines) -> pl.DataFrame:
    """Of one judge, in request order."""
    answers = pl.scan_parquet(inner.layout.arm(arm.name).answers).select("place", "sample", "outcome", "text", "usd").collect()
    return pl.DataFrame(list(_rows(answers, arm, judge, index)), schema=COLUMNS, orient="row")


def _rows(answers: pl.DataFrame, arm: Arm, judge: JudgeSpec, index: IndexLines) -> Iterator[tuple[Any, ...]]:
    for place, sample, outcome, text, usd in answers.iter_rows():
        is_there = outcome == Outcome.SUCCEEDED.value and text is not None
        value = judge.value_of(text) if is_there else None
        state = "lost" if not is_there else "unparseable" if value is None else "judged"
        mark = index.of(place, 1)[0].partition(",")[0]
        yield judge.name, arm.name, mark, sample, state, value, usd, reason_in(text) if value is not None else ""


def read_judgements(layout: RunLayout) -> pl.DataFrame:
    """Every judgement of the run."""
    return pl.read_parquet(layout.judgements)
