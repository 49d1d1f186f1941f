"""parse: result lines in, one prediction per request out, joined by custom_id and in request order.

Writes results_combined.jsonl, predictions.csv and account.json of each trial. Their bytes depend on the requests and the answers alone, not on the
order in which lines came or on how often the run was stopped; only the samples of odd lines in the account name lines by their number.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from zlib import crc32

from batchtrial.config.expand import Arm, Trial
from batchtrial.errors import RunStateMissing
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.choose import Careful, Odd, Quick, Source, fate, stand_in
from batchtrial.phases.index import Ids, Index, load_index
from batchtrial.phases.predictions import HEADER, STRETCH, Rows, arms_in_order
from batchtrial.phases.sink import Sink, publishing
from batchtrial.providers.base import Plain, Provider
from batchtrial.records import BadLine, Outcome, RawResult, Verdict
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Counts
from batchtrial.state.machine import PartState
from batchtrial.state.store import encode_json, replacing, write_bytes

log = logging.getLogger(__name__)
FORM: Final = 1
ANSWERS_AT_ONCE: Final = 64
"""Answers that are read, decoded and written together: few enough to stay in the processor's cache."""
TURNS_BETWEEN_CHECKS: Final = 64
STAGE: Final = "parsed"


class Unfit(Exception):
    """The quick way met something that only the careful one can judge."""


@dataclass(slots=True)
class Account:
    """What became of every request of an arm."""

    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    def add(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes[outcome] += 1

    def __iadd__(self, other: Account) -> Account:
        for outcome, n in other.outcomes.items():
            self.outcomes[outcome] += n
        return self

    def to_json(self) -> dict[str, int]:
        return {"requests": sum(self.outcomes.values()), **{outcome.value: n for outcome, n in self.outcomes.items()}}


@dataclass(frozen=True, slots=True)
class Part:
    """One part with everything needed to read it."""

    arm: Arm
    shard: Shard
    sources: tuple[Source, ...]
    ids: Ids
    rows: Rows


@dataclass(slots=True)
class Output:
    """Where the rows of a trial go."""

    predictions: Sink
    combined: IO[bytes]
    combined_size: int = 0
    combined_crc: int = 0
    begins: dict[str, list[int]] = field(default_factory=dict)  # arm -> byte of predictions.csv at which each stretch of items begins

    def write(self, arm: str, place: int, rows: bytes, lines: bytes) -> None:
        """Rows of some items, the first of them at this place of the order, and the lines that they come from."""
        if place % STRETCH == 0:
            self.begins.setdefault(arm, []).append(self.predictions.size)
        self.predictions.write(rows)
        self.combined.write(lines)
        self.combined_size += len(lines)
        self.combined_crc = crc32(lines, self.combined_crc)

    def mark(self) -> tuple[Any, int, int]:
        """Where everything stands now, for `rewind`."""
        return self.predictions.mark(), self.combined_size, self.combined_crc

    def rewind(self, mark: tuple[Any, int, int]) -> None:
        """Forget what was written since the mark."""
        self.predictions.rewind(mark[0])
        for begins in self.begins.values():
            while begins and begins[-1] >= self.predictions.size:
                begins.pop()
        self.combined.seek(mark[1])
        self.combined.truncate()
        self.combined_size, self.combined_crc = mark[1:]


def sources(view: View, arm: Arm, shard: Shard) -> tuple[Source, ...]:
    """The part's attempts that reached the provider, first to last."""
    record = view.parts.get(shard.part)
    folder = arm.part_folder(shard.part_index)
    found = []
    for attempt in record.attempts if record is not None else ():
        if attempt.is_lost:
            continue
        path = result_file(view.layout.root / folder, attempt.number)
        asked = None if attempt.number == 1 else frozenset(_asked(view.layout.root / attempt.payload))
        found.append(Source(attempt=attempt, path=path, name=path.relative_to(view.layout.root).as_posix(), asked=asked))
    return tuple(found)


def _asked(payload: Path) -> Iterable[str]:
    with payload.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["custom_id"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads parts into an output. check: raises Stopped."""

    index: Index
    codec: Provider
    out: Output
    check: Callable[[], None]

    def read(self, part: Part) -> tuple[Account, Odd]:
        """Write the part's rows. Raises Stopped."""
        ids = part.ids.of_part(self.index, part.shard)
        if len(part.sources) == 1:
            account = self._read_quickly(part, ids)
            if account is not None:
                return account, Odd()
        with Careful(part.sources, ids, self.codec.decode) as careful:
            return self._write(part, ids, careful), careful.odd

    def _read_quickly(self, part: Part, ids: list[str]) -> Account | None:
        """None, with nothing written, when the part needs a closer look."""
        quick = Quick.open(part.sources[0], ids)
        if quick is None:
            return None
        mark = self.out.mark()
        with quick:
            try:
                return self._write(part, ids, quick)
            except Unfit as reason:
                log.info("read part=%s line by line: %s", part.shard.part, reason)
        self.out.rewind(mark)
        return None

    def _write(self, part: Part, ids: list[str], source: Quick | Careful) -> Account:
        account = Account()
        samples = part.arm.samples
        n_items = max(1, ANSWERS_AT_ONCE // samples)
        first, end = part.shard.first_item, part.shard.first_item + part.shard.n_items
        place, turn = first, 0
        while place < end:
            if turn % TURNS_BETWEEN_CHECKS == 0:
                self.check()
            turn += 1
            here = min(n_items, end - place, STRETCH - place % STRETCH)
            begin = (place - first) * samples
            lines, wanted = source.lines(begin, begin + here * samples), ids[begin : begin + here * samples]
            raw, answers = _all_plain(lines, wanted, self.codec)
            if answers is not None:
                self.out.write(part.arm.stem, place, part.rows.plain(place, here, answers), raw)
                account.outcomes[Outcome.SUCCEEDED] += len(wanted)
            else:
                self._write_mixed(part, place, here, wanted, lines, account)
            place += here
        return account

    def _write_mixed(self, part: Part, place: int, n_items: int, ids: list[str], lines: list[bytes | None], account: Account) -> None:
        results = [fate(one, part.sources) if line is None else self._decoded(line, one) for one, line in zip(ids, lines, strict=True)]
        kept = (stand_in(result) if line is None else line for result, line in zip(results, lines, strict=True))
        self.out.write(part.arm.stem, place, part.rows.mixed(place, n_items, results), b"".join(kept))
        account.add(result.outcome for result in results)

    def _decoded(self, line: bytes, custom_id: str) -> RawResult:
        try:
            result = self.codec.decode(line)
        except BadLine as error:
            raise Unfit(str(error)) from None
        if result.custom_id != custom_id:
            raise Unfit("a line names its request in another place than the others")
        return result


def _all_plain(lines: list[bytes | None], ids: list[str], codec: Provider) -> tuple[bytes, list[Plain] | None]:
    """The lines in one piece and their answers, when every request has a plain success; else no answers."""
    whole = [line for line in lines if line is not None]
    if len(whole) < len(ids):
        return b"", None
    answers = codec.decode_plain(whole)
    if answers is None or [answer[0] for answer in answers] != ids:
        return b"", None
    return b"".join(whole), answers


@dataclass(frozen=True, slots=True)
class Parse:
    """The phase."""

    name: str = "parse"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the requests and the result files; None while a part is not settled or a file is gone."""
        if view.build is None:
            return None
        found: list[Any] = [FORM, view.build.index.sha256]
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
        """Done when the artifacts are as published and results_combined.jsonl has the size that the account gives it."""
        verdict = view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="poll")
        if verdict.status != "done":
            return verdict
        layout = view.trial_layout(trial)
        want = json.loads(layout.account.read_bytes())["results_combined"]["bytes"]
        size = layout.combined.stat().st_size if layout.combined.exists() else None
        if size != want:
            state = "gone" if size is None else f"{size} bytes, not the {want} that were written"
            return Verdict(status="stale", reason=f"{trial.slug}: results_combined.jsonl is {state}")
        return verdict

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Parse every trial that is due. Raises Stopped, RunStateMissing."""
        index: Index | None = None
        for trial, inputs in work.due(self):
            index = index or load_index(work.layout.index)
            _run_trial(work, trial, inputs, index)


def _run_trial(work: Work, trial: Trial, inputs: str, index: Index) -> None:
    layout = work.view.trial_layout(trial)
    accounts: dict[str, Account] = {}
    odd = Odd()
    total = sum(shard.lines for arm in trial.arms for shard in work.view.shards(arm))
    with (
        work.progress.task(f"parse {trial.slug}", total) as step,
        publishing(work, layout.predictions) as predictions,
        replacing(layout.combined, hook=work.hook) as combined,
    ):
        predictions.write(HEADER)
        out = Output(predictions, combined)
        reader = Reader(index, work.codec, out, work.stop.check)
        for arm in arms_in_order(trial):
            account = accounts.setdefault(arm.stem, Account())
            ids, rows = Ids.of(arm), Rows(index, arm)
            for shard in work.view.shards(arm):
                part = Part(arm, shard, sources(work.view, arm, shard), ids, rows)
                counted, found = reader.read(part)
                _compare(work.view, shard, counted)
                account += counted
                odd.extend(found)
                step(shard.lines)
    write_bytes(layout.account, encode_json(_account_file(accounts, odd, out)), hook=work.hook)
    work.publish(trial, STAGE, inputs, [layout.predictions, layout.account])


def _compare(view: View, shard: Shard, counted: Account) -> None:
    """The ledger counted the same lines when they came; a difference is a fault of ours and must not pass silently."""
    record = view.parts.get(shard.part)
    settled = record.counts if record is not None else None
    found = Counts(**{outcome.value: n for outcome, n in counted.outcomes.items()})
    if settled is not None and settled != found:
        log.warning("counts differ part=%s ledger=%s parse=%s", shard.part, settled.model_dump(), found.model_dump())
    if found.total != shard.lines:
        raise RunStateMissing(
            f"{shard.part} has {shard.lines} requests, but {found.total} rows were written",
            where=shard.path,
            hint="run `batchtrial repair --run_id RUN`",
        )


def _account_file(accounts: dict[str, Account], odd: Odd, out: Output) -> dict[str, Any]:
    total = Account()
    for one in accounts.values():
        total += one
    samples = [asdict(sample) for sample in odd.samples]
    return {
        "schema_version": 1,
        "all": total.to_json(),
        "arms": {stem: one.to_json() for stem, one in accounts.items()},
        "odd_lines": {
            kind: {"count": count, "samples": [{k: v for k, v in s.items() if k != "kind"} for s in samples if s["kind"] == kind]}
            for kind, count in odd.counts.items()
        },
        "results_combined": {"lines": sum(total.outcomes.values()), "bytes": out.combined_size, "crc32": f"{out.combined_crc:08x}"},
        "predictions": {"bytes": out.predictions.size, "items_per_stretch": STRETCH, "stretches_begin": out.begins},
    }


phase = Parse()
