"""parse: result lines in, one answer per request out, joined by custom_id and in request order.

Each arm is parsed once, part by part, into arms/<arm>/answers.parquet, however many trials compare it. The tables and account.json of a trial depend
on the requests and the answers alone, not on the order in which lines came, on how many processes worked, or on how often the run was stopped; only
where a line lies is told by its number.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchtrial.config.expand import Arm, Trial
from batchtrial.errors import RunStateMissing
from batchtrial.phases.base import View, Work, arms_in_order, digest_of, over_trials
from batchtrial.phases.batches.money import price_for
from batchtrial.phases.batches.verdicts import asks_once_more, verdict_reader
from batchtrial.phases.prepare.metrics import answer_rules
from batchtrial.phases.tables.arm_table import ArmTable, make_tables
from batchtrial.providers.base import calls_as_answers, codec_of
from batchtrial.records import Outcome, Verdict
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Counts
from batchtrial.state.machine import PartState
from batchtrial.state.store import encode_json, write_bytes

if TYPE_CHECKING:
    import polars as pl

    from batchtrial.phases.parse.part import Parsed

log = logging.getLogger(__name__)
FORM: Final = 3
STAGE: Final = "parsed"
WITH_CSV: Final = True
"""Stands in digests where earlier versions, whose parse and score wrote the CSV files, said whether they had."""


@dataclass(frozen=True, slots=True)
class Parse:
    """The phase."""

    name: str = "parse"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of what the trial's arms are made from; None while a part is not settled or a file is gone."""
        arms = [arm_inputs(view, arm) for arm in arms_in_order(trial)]
        return None if None in arms else digest_of([FORM, arms, WITH_CSV])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="poll")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Parse every arm of the trials that are due. Raises Stopped, RunStateMissing."""
        due = list(work.due(self))
        if not due:
            return
        from batchtrial.phases.build.questions import read_items, restore_items  # these here, since a verdict needs no tables
        from batchtrial.phases.parse.part import Parsed

        restore_items(work)
        hashes = read_items(work.layout.items, 0, None, "item_hash")["item_hash"]
        arms = {arm.name: arm for trial, _ in due for arm in arms_in_order(trial)}
        parsed = make_tables(work, {name: answers_table(work, arm, hashes) for name, arm in arms.items()}, Parsed)
        for trial, inputs in due:
            _publish(work, trial, inputs, parsed)


def arm_inputs(view: View, arm: Arm) -> str | None:
    """Digest of the arm's requests, its result files and how they are read; None while a part is not settled or a file is gone."""
    if view.build is None:
        return None
    found: list[Any] = [FORM, view.build.index.sha256, answer_rules(view.config).strip_thinking, repr(price_for(view.config, arm))]
    found += ["calls are answers"] if arm.offers_tools else []
    found += ["what is no verdict is no answer"] if asks_once_more(view.config, arm.task) else []
    for shard in view.shards(arm):
        record = view.parts.get(shard.part)
        if record is None or record.state is not PartState.SETTLED:
            return None
        for attempt in record.attempts:
            path = result_file(view.layout.root / arm.part_folder(shard.part_index), attempt.number)
            got = view.stamps.of(path) if attempt.is_saved else None
            if attempt.is_saved and got is None:
                return None
            ended = (attempt.is_lost, attempt.is_rejected, attempt.is_gone, attempt.reason, attempt.wire_state)
            found.append([shard.part, shard.sha256, attempt.number, attempt.payload_sha256, got and got.sha256, ended])
    return digest_of(found)


def answers_table(work: Work, arm: Arm, hashes: pl.Series) -> ArmTable[Parsed]:
    """The arm's answers. hashes: of every item."""
    from batchtrial.phases.build.index import Ids
    from batchtrial.phases.parse.lines import sources
    from batchtrial.phases.parse.part import ParsePart

    layout, view, shards = work.layout.arm(arm.name), work.view, work.view.shards(arm)
    decode = verdict_reader(codec_of(work.codec, arm.backend).decode, work.config, arm.task)

    def job(place: int, target: Path) -> ParsePart:
        return ParsePart(
            ids=Ids.of(arm, shards[place].samples),
            hashes=hashes.slice(shards[place].first_item, shards[place].n_items),
            samples=shards[place].samples,
            first_item=shards[place].first_item,
            sources=sources(view, arm, shards[place]),
            decode=calls_as_answers(decode) if arm.offers_tools else decode,
            rules=answer_rules(work.config),
            price=price_for(work.config, arm),
            target=target,
        )

    return ArmTable(
        path=layout.answers,
        record=layout.answers_record,
        inputs=arm_inputs(view, arm),
        rows=[shard.lines for shard in shards],
        n_steps=sum(shard.lines for shard in shards),
        label=f"parse {arm.name}",
        job=job,
        check=lambda place, found: _compare(view, shards[place], found),
        sort_by=("place", "sample") if any(shard.first_sample for shard in shards) else (),
    )


def _compare(view: View, shard: Any, parsed: Parsed) -> None:
    """The ledger counted the same lines when they came; a difference is a fault of ours and must not pass silently."""
    record = view.parts.get(shard.part)
    settled = record.counts if record is not None else None
    found = Counts(**{outcome.value: parsed.standing.outcomes[outcome] for outcome in Outcome})
    if settled is not None and settled != found:
        log.warning("counts differ part=%s ledger=%s parse=%s", shard.part, settled.model_dump(), found.model_dump())
    if found.total != shard.lines:
        raise RunStateMissing(
            f"{shard.part} has {shard.lines} requests, but {found.total} rows were written",
            where=shard.path,
            hint="run `batchtrial repair --run_id RUN`",
        )


def _publish(work: Work, trial: Trial, inputs: str, parsed: Mapping[str, Parsed]) -> None:
    """Write what the trial has of its own, and record the stage."""
    layout, arms = work.view.trial_layout(trial), arms_in_order(trial)
    write_bytes(layout.account, encode_json(_account({arm.stem: parsed[arm.name] for arm in arms})), hook=work.hook)
    work.publish(trial, STAGE, inputs, [work.layout.items, *(work.layout.arm(arm.name).answers for arm in arms), layout.account])


def _account(arms: Mapping[str, Parsed]) -> dict[str, Any]:
    from batchtrial.phases.parse.part import Parsed

    total = Parsed()
    for one in arms.values():
        total.add(one)
    told, own = total.to_json(), {stem: one.to_json() for stem, one in arms.items()}
    return {
        "schema_version": 1,
        "all": told["requests"],
        "arms": {stem: one["requests"] for stem, one in own.items()},
        "answers": {"all": told["answers"], "arms": {stem: one["answers"] for stem, one in own.items()}},
        "odd_lines": told["odd_lines"],
    }


phase = Parse()
