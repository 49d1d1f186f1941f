"""parse: result lines in, one prediction per request out, joined by custom_id and in request order.

Writes predictions.csv and account.json of each trial. Their bytes depend on the requests and the answers alone, not on the order in which lines
came or on how often the run was stopped; only the samples of odd lines in the account name lines by their number.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.errors import RunStateMissing
from batchtrial.phases.answer_rules import answer_rules
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.batches.standing import Standing
from batchtrial.phases.build.index import Ids, IndexLines
from batchtrial.phases.parse.join import LINES_AT_ONCE, Answers, NotOrdinary, Odd, carefully, quickly, sources
from batchtrial.phases.parse.predictions import HEADER, STRETCH, Rows, arms_in_order
from batchtrial.phases.published import Mark, Sink, publishing
from batchtrial.records import Outcome, Verdict
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Counts
from batchtrial.state.machine import PartState
from batchtrial.state.store import encode_json, write_bytes

log = logging.getLogger(__name__)
FORM: Final = 2
STAGE: Final = "parsed"


@dataclass(slots=True)
class Output:
    """predictions.csv while it is written. begins: arm -> byte at which each stretch of items begins."""

    file: Sink
    begins: dict[str, list[int]] = field(default_factory=dict)

    def write(self, rows: Rows, stem: str, place: int, answers: Answers, samples: int) -> None:
        """Rows of the requests from the item at `place` of the order on."""
        done, n_items = 0, len(answers) // samples
        at_once = max(1, LINES_AT_ONCE // samples)
        while done < n_items:
            here = min(at_once, n_items - done, STRETCH - (place + done) % STRETCH)
            if (place + done) % STRETCH == 0:
                self.begins.setdefault(stem, []).append(self.file.size)
            self.file.write(answers.rows(rows, place + done, here, slice(done * samples, (done + here) * samples)))
            done += here

    def back_to(self, mark: Mark, stem: str) -> None:
        """Forget what was written since, all of it for one arm."""
        self.file.back_to(mark)
        self.begins[stem] = [begin for begin in self.begins.get(stem, []) if begin < mark.size]


@dataclass(frozen=True, slots=True)
class Parse:
    """The phase."""

    name: str = "parse"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the requests and the result files; None while a part is not settled or a file is gone."""
        if view.build is None:
            return None
        found: list[Any] = [FORM, view.build.index.sha256, answer_rules(view.config).strip_thinking]
        for arm in arms_in_order(trial):
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

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="poll")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Parse every trial that is due. Raises Stopped, RunStateMissing."""
        lines: IndexLines | None = None
        for trial, inputs in work.due(self):
            lines = lines or IndexLines.load(work.layout.index)
            _run_trial(work, trial, inputs, lines)


def _run_trial(work: Work, trial: Trial, inputs: str, lines: IndexLines) -> None:
    layout = work.view.trial_layout(trial)
    accounts: dict[str, Standing] = {}
    odd = Odd()
    total = sum(shard.lines for arm in trial.arms for shard in work.view.shards(arm))
    with work.progress.task(f"parse {trial.slug}", total) as step, publishing(work, layout.predictions) as file:
        file.write(HEADER)
        out = Output(file)
        for arm in arms_in_order(trial):
            account = accounts.setdefault(arm.stem, Standing())
            rows = Rows(lines, arm)
            for shard in work.view.shards(arm):
                account.add(_write_part(work, arm, shard, lines.hashes(shard), rows, out, odd))
                step(shard.lines)
    write_bytes(layout.account, encode_json(_account_file(accounts, odd, out)), hook=work.hook)
    work.publish(trial, STAGE, inputs, [layout.predictions, layout.account])


def _write_part(work: Work, arm: TrialArm, shard: Shard, items: bytes, rows: Rows, out: Output, odd: Odd) -> Standing:
    """The rows of one part, in a hurry where that is the same."""
    came, ids, samples, check = sources(work.view, arm, shard), Ids.of(arm), arm.samples, work.stop.check
    rules = answer_rules(work.config)

    def write(answers: Iterable[Answers]) -> Standing:
        account, done = Standing(), 0
        for some in answers:
            out.write(rows, arm.stem, shard.first_item + done, some, samples)
            account.add(some.standing)
            done += len(some) // samples
        return account

    check()
    begin = out.file.mark()
    try:
        account = write(quickly(came, ids.joined(items), shard.lines, samples, work.codec, rules, check))
    except NotOrdinary:
        out.back_to(begin, arm.stem)
        found = Odd()
        account = write(carefully(came, ids.of_items(items), samples, work.codec, rules, found, check))
        odd.extend(found)
    _compare(work.view, shard, account)
    return account


def _compare(view: View, shard: Shard, counted: Standing) -> None:
    """The ledger counted the same lines when they came; a difference is a fault of ours and must not pass silently."""
    record = view.parts.get(shard.part)
    settled = record.counts if record is not None else None
    found = Counts(**{outcome.value: counted.outcomes[outcome] for outcome in Outcome})
    if settled is not None and settled != found:
        log.warning("counts differ part=%s ledger=%s parse=%s", shard.part, settled.model_dump(), found.model_dump())
    if found.total != shard.lines:
        raise RunStateMissing(
            f"{shard.part} has {shard.lines} requests, but {found.total} rows were written",
            where=shard.path,
            hint="run `batchtrial repair --run_id RUN`",
        )


def _account_file(accounts: dict[str, Standing], odd: Odd, out: Output) -> dict[str, Any]:
    total = Standing()
    for one in accounts.values():
        total.add(one)
    samples = [asdict(sample) for sample in odd.samples]
    return {
        "schema_version": 1,
        "all": total.to_json(),
        "arms": {stem: one.to_json() for stem, one in accounts.items()},
        "answers": {"all": total.answers_json(), "arms": {stem: one.answers_json() for stem, one in accounts.items()}},
        "odd_lines": {
            kind: {"count": count, "samples": [{k: v for k, v in s.items() if k != "kind"} for s in samples if s["kind"] == kind]}
            for kind, count in odd.counts.items()
        },
        "predictions": {"bytes": out.file.size, "items_per_stretch": STRETCH, "stretches_begin": out.begins},
    }


phase = Parse()
