"""A run directory for the bench: the pipeline's own prepare and build, then result files as poll would have left them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from batchtrial.config.expand import Arm
from batchtrial.config.model import Config
from batchtrial.phases.base import Phase, View, Work
from batchtrial.phases.build.index import Ids, IndexLines, fields, load_index
from batchtrial.providers.base import SpeaksFor
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.records import RawResult
from batchtrial.run.quiet import NeverStop, Silent
from batchtrial.run.session import Opening, Session, open_run
from batchtrial.selftest.bench import metrics
from batchtrial.selftest.bench.data import Texts, answer, result_line, write_questions
from batchtrial.state.files import Shard
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import Counts, Ledger
from batchtrial.state.store import Fingerprint, fingerprint_of

SEED: Final = 20
RUN_ID: Final = "bench"
MODEL: Final = "accounts/fireworks/models/gpt-oss-20b"
WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def clock() -> datetime:
    """Always the same: the bench measures no times of its own."""
    return WHEN


def config(folder: Path, n_treatments: int = 1) -> Config:
    """Trials of so many treatments over the three question sets, with an analysis plan of one primary and two confirmatory endpoints.

    The metrics are those that a file of the folder lists, where there is one.
    """

    def text(name: str, content: str) -> dict[str, str]:
        return {"path": f"{name}.txt", "text": content}

    names = {"bench": "."} | {f"bench{number}": "!" * number for number in range(1, n_treatments)}
    sets: list[dict[str, Any]] = [
        {"name": "bench_open", "source": "file", "format": "jsonl", "kind": "open", "metric": "squad_v2"},
        {"name": "bench_trivia", "source": "file", "format": "jsonl", "kind": "closed", "metric": "triviaqa"},
        {"name": "bench_nq", "source": "file", "format": "jsonl", "kind": "closed", "metric": "nq_open"},
    ]
    return Config.model_validate(
        {
            "mode": "dry_run",
            "model_id": MODEL,
            "metrics": metrics.asked(folder),
            "datasets": [{**one, "path": str(folder / f"{one['name']}.jsonl")} for one in sets],
            "task_instructions": {"open_book": text("open", "Answer from the passage."), "closed_book": text("closed", "Answer.")},
            "prompt_sets": {
                name: {"control": {"system": text("c", "Answer.")}, "treatment": {"system": text("t", f"Answer with care{mark}")}}
                for name, mark in names.items()
            },
            **({"sweep": {"prompt_sets": list(names)}} if n_treatments > 1 else {}),
            "stats": {"primary": {"metric": "em"}, "confirmatory": [{"metric": "false_answer", "kind": "open"}, {"metric": "abstained"}]},
        }
    )


class Counting(SpeaksFor):
    """The wire's codec, that counts the lines which it decodes."""

    n_decoded = 0

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        def counted(line: bytes) -> RawResult:
            self.n_decoded += 1
            return self._codec.decode(line)

        return counted


@dataclass(slots=True)
class Rig:
    """An open run."""

    session: Session
    codec: FireworksProvider

    def run(self, phase: Phase, workers: int = 1, executor: str = "process") -> None:
        """Run one phase as the loop would, also when it is done."""
        view = self.session.look()
        phase.run(self.work(view, workers, executor))

    def work(self, view: View, workers: int = 1, executor: str = "process") -> Work:
        """What the phase is given."""
        return Work(
            view=view,
            ledger=self.session.ledger,
            codec=self.codec,
            provider=lambda: self.codec,
            now=clock,
            stop=NeverStop(),
            progress=Silent(),
            publish=lambda trial, stage, inputs, paths: self.session.snapshots.publish(view, trial, stage, inputs, paths),
            refresh=lambda: None,
            workers=workers,
            executor=executor,
            is_remaking=True,
        )


@contextmanager
def opened(folder: Path, n_treatments: int = 1) -> Iterator[Rig]:
    """The bench's run in `folder`, made when it is not there."""
    codec = FireworksProvider(FireworksSettings(account_id="bench"), None)
    layout = RunLayout(folder / RUN_ID)
    is_there = layout.effective_config.exists()
    opening = Opening(run_id=RUN_ID, config=config(folder, n_treatments), is_resume=is_there, accept_drift=False, overrides={}, nonce="0" * 16)
    session = open_run(layout, opening, codec, clock=clock, ledger_clock=clock)
    try:
        yield Rig(session, codec)
    finally:
        session.close()


def make_questions(folder: Path, n_rows: int) -> None:
    """Question sets for so many result rows: two arms, one sample per item."""
    write_questions(folder, n_rows // 2, SEED, metrics.columns if metrics.asked(folder) else None)


def make_answers(rig: Rig) -> None:
    """Result files of every part in shuffled order, and the ledger's word that they were fetched."""
    view = rig.session.look()
    if view.build is None:
        raise ValueError("the bench's requests are not built")
    lines, texts = IndexLines.load(view.layout.index), Texts.of(SEED)
    hashes = load_index(view.layout.index)["item_hash"]
    shaped = metrics.shaped if any(isinstance(one, dict) for one in view.config.metrics) else as_it_is
    arms = {arm.name: arm for trial in view.trials for arm in trial.arms}
    for serial, shard in enumerate(view.build.shards.values()):
        arm = arms[shard.arm]
        draw = random.Random(f"{SEED} {arm.condition} {shard.part_index}")
        numbers = [int(fields(line)[2]) for line in lines.of(shard.first_item, shard.n_items)]
        ids = Ids.of(arm).of_items(hashes.slice(shard.first_item, shard.n_items)).to_list()
        results = [
            result_line(one, shaped(number, answer(number, arm.condition, draw, texts)), serial * 1_000_000 + place)
            for place, (one, number) in enumerate(zip(ids, numbers, strict=True))
        ]
        draw.shuffle(results)
        _settle(rig, arm, shard, results)


def as_it_is(number: int, text: str) -> str:
    """The text."""
    return text


def _settle(rig: Rig, arm: Arm, shard: Shard, lines: list[bytes]) -> None:
    layout, ledger = rig.session.layout, rig.session.ledger
    path = result_file(layout.root / arm.part_folder(shard.part_index), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        got = fingerprint_of(lines, file)
    rig.session.stamps.learn(path, got)
    _record(ledger, shard, got, path.relative_to(layout.root).as_posix())


def _record(ledger: Ledger, shard: Shard, got: Fingerprint, path: str) -> None:
    counts = Counts(succeeded=shard.lines)
    usage = {
        "input_tokens": 200 * shard.lines,
        "output_tokens": 200 * shard.lines,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
    }
    intent = {"token": "0" * 16, "payload": shard.path, "payload_sha256": shard.sha256, "n_requests": shard.lines, "reserved_usd": Decimal(1)}
    ledger.append("intent", shard.part, attempt=1, **intent)
    ledger.append("receipt", shard.part, batch_id=f"b-{shard.part}", adopted=False)
    ledger.append("done", shard.part, wire_state="COMPLETED", ids={})
    ledger.append("saved", shard.part, path=path, sha256=got.sha256, size=got.size, counts=counts, odd={}, usage=usage, cost_usd=Decimal(1))
    ledger.append("settled", shard.part, counts=counts)


def lines_decoded(folder: Path, n_treatments: int, n_items: int = 40) -> tuple[int, int]:
    """Result lines that parse decodes where so many treatments have one control, and the items that each of them asks about."""
    from batchtrial.phases.build import phase as build
    from batchtrial.phases.parse import phase as parse
    from batchtrial.phases.prepare import phase as prepare

    make_questions(folder, 2 * n_items)
    with opened(folder, n_treatments) as rig:
        rig.run(prepare)
        rig.run(build)
        make_answers(rig)
        counting = Counting(rig.codec)
        work = rig.work(rig.session.look())
        work.codec = counting  # type: ignore[assignment]  # it is asked for nothing but decoding
        parse.phase.run(work)
        return counting.n_decoded, n_items
