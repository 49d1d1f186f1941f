"""Builds small run directories with the pipeline's own prepare and build, and settles parts with answers that the test chooses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchtrial.config.expand import Trial, TrialArm
from batchtrial.config.model import Config
from batchtrial.errors import Stopped
from batchtrial.phases.base import Phase, View, Work, publishing
from batchtrial.phases.build import phase as build
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.report.exports import write_predictions, write_scores
from batchtrial.providers.base import Provider
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.run.session import Opening, Session, open_run
from batchtrial.state.files import Shard
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import Counts

NO_PRICE = "of-nobody"
"""A model whose name ends so has no price in the ledger either."""
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOW


@dataclass(slots=True)
class Stop:
    """Stops after so many looks; None: never."""

    after: int | None = None
    looks: int = 0

    def check(self) -> None:
        self.looks += 1
        if self.after is not None and self.looks > self.after:
            raise Stopped("stop asked for by the test")

    def is_requested(self) -> bool:
        return False

    def is_immediate(self) -> bool:
        return False

    def sleep(self, seconds: float) -> None:
        self.check()

    def sleep_draining(self, seconds: float) -> None:
        self.check()


@dataclass(slots=True)
class Quiet:
    """Keeps notes and adds up steps."""

    notes: list[str] = field(default_factory=list)
    steps: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        self.steps.setdefault(label, 0)

        def step(n: int) -> None:
            self.steps[label] += n

        yield step

    def note(self, text: str) -> None:
        self.notes.append(text)


def text_of(name: str, text: str) -> dict[str, str]:
    return {"path": f"prompts/{name}.txt", "text": text}


def config(datasets: Sequence[Mapping[str, Any]], **changes: Any) -> Config:
    """A config with one trial, changed by dotted or plain top-level keys."""
    tree: dict[str, Any] = {
        "mode": "dry_run",
        "model_id": "accounts/fireworks/models/gpt-oss-20b",
        "datasets": list(datasets),
        "task_instructions": {"open_book": text_of("open", "Answer from the passage."), "closed_book": text_of("closed", "Answer.")},
        "prompt_sets": {"default": {"control": {"system": text_of("c", "Answer.")}, "treatment": {"system": text_of("t", "Answer with care.")}}},
    }
    return Config.model_validate(tree | changes)


def open_items(n: int, *, per_passage: int = 1, dataset: str = "reading", unanswerable_every: int = 0) -> list[dict[str, Any]]:
    """Open-book rows o0, o1 ...; the right answer of item i is `answer i`."""
    rows = []
    for i in range(n):
        is_out = bool(unanswerable_every) and i % unanswerable_every == unanswerable_every - 1
        passage = i // per_passage
        rows.append(
            {
                "id": f"o{i}",
                "question": f"Which word belongs to number {i}?",
                "context": f"Passage {passage} says that the word is answer {i}. It goes on for a while.",
                "answers": [] if is_out else [f"answer {i}"],
                "is_unanswerable": is_out,
                **({"cluster": f"p{passage}"} if per_passage > 1 else {}),
            }
        )
    return rows


def closed_items(n: int) -> list[dict[str, Any]]:
    """Closed-book rows c0, c1 ..."""
    return [{"id": f"c{i}", "question": f"What is thing {i}?", "answers": [f"thing {i}", f"item {i}"]} for i in range(n)]


Answer = Callable[[TrialArm, str, str, int], str | None]
"""(arm, dataset, item_id, sample) -> answer text, or None for an error line."""


@dataclass(slots=True)
class World:
    """An open run with its requests built."""

    folder: Path
    config: Config
    session: Session
    codec: Provider
    progress: Quiet = field(default_factory=Quiet)

    @property
    def layout(self) -> RunLayout:
        return self.session.layout

    @property
    def view(self) -> View:
        return self.session.look()

    @property
    def trial(self) -> Trial:
        return self.view.trials[0]

    def work(self, *, stop: Stop | None = None, view: View | None = None, is_remaking: bool = False, workers: int = 1) -> Work:
        seen = view or self.view
        return Work(
            view=seen,
            ledger=self.session.ledger,
            codec=self.codec,
            provider=lambda: self.codec,
            now=clock,
            stop=stop or Stop(),
            progress=self.progress,
            publish=lambda trial, stage, inputs, paths: self.session.snapshots.publish(seen, trial, stage, inputs, paths),
            refresh=lambda: None,
            is_remaking=is_remaking,
            workers=workers,
        )

    def export(self) -> None:
        """Write the CSV files of every trial as far as there are tables for them, as the report does."""
        work = self.work()
        for trial in work.view.trials:
            files = self.layout.trial(trial.slug)
            for path, write in ((files.predictions, write_predictions), (files.scores, write_scores)):
                if write is write_predictions or all(self.layout.arm(arm.name).scores.exists() for arm in trial.arms):
                    with publishing(work, path) as out:
                        write(work, trial, out)

    def run(self, phase: Phase, **how: Any) -> None:
        phase.run(self.work(**how))

    def parts(self) -> list[tuple[TrialArm, Shard]]:
        """Every part with its arm, in sending order."""
        view = self.view
        arms = {arm.name: arm for trial in view.trials for arm in trial.arms}
        assert view.build is not None
        return [(arms[shard.arm], shard) for shard in view.build.shards.values()]

    def requests(self, arm: TrialArm, shard: Shard) -> list[tuple[str, str, str, int]]:
        """(custom_id, dataset, item_id, sample) in request order."""
        rows = [line.split(",") for line in self.layout.index.read_text().splitlines()[1:]]
        mine = rows[shard.first_item : shard.first_item + shard.n_items]
        return [(arm.custom_id(r[0], s), r[1], r[2], s) for r in mine for s in range(arm.samples)]

    def lines(self, arm: TrialArm, shard: Shard, answer: Answer) -> list[bytes]:
        """One line per request, in request order."""
        made = []
        for one, dataset, item_id, sample in self.requests(arm, shard):
            text = answer(arm, dataset, item_id, sample)
            made.append(error_line(one) if text is None else success_line(one, text))
        return made

    def save(
        self, arm: TrialArm, shard: Shard, lines: Iterable[bytes], *, attempt: int = 1, wire_state: str = "COMPLETED", asked: Sequence[str] = ()
    ) -> None:
        """Record an attempt that brought these lines."""
        self._intend(shard, attempt, asked)
        data = b"".join(lines)
        path = result_file(self.layout.root / arm.part_folder(shard.part_index), attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        ledger = self.session.ledger
        ledger.append("receipt", shard.part, batch_id=f"b-{shard.part}-{attempt}", adopted=False)
        ledger.append("done", shard.part, wire_state=wire_state, ids={})
        usage = {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0}
        for line in data.split(b"\n"):
            used = _usage(line)
            usage["input_tokens"] += used[0]
            usage["output_tokens"] += used[1]
        ledger.append(
            "saved",
            shard.part,
            path=path.relative_to(self.layout.root).as_posix(),
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            counts=Counts(),
            odd={},
            usage=usage,
            cost_usd=None if arm.model.endswith(NO_PRICE) else Decimal(usage["input_tokens"] * 35 + usage["output_tokens"] * 150).scaleb(-9),
        )

    def reject(self, shard: Shard, *, attempt: int = 1, reason: str, asked: Sequence[str] = ()) -> None:
        """Record an attempt that was refused as a whole."""
        self._intend(shard, attempt, asked)
        self.session.ledger.append("receipt", shard.part, batch_id=f"b-{shard.part}-{attempt}", adopted=False)
        self.session.ledger.append("rejected", shard.part, wire_state="FAILED", reason=reason)

    def retry(self, shard: Shard, n: int) -> None:
        self.session.ledger.append("retry", shard.part, n_requests=n)

    def settle(self, shard: Shard) -> None:
        self.session.ledger.append("settled", shard.part)

    def answer_all(self, answer: Answer, *, order: Callable[[list[bytes]], list[bytes]] = lambda lines: lines) -> None:
        """Settle every part in one attempt with these answers."""
        for arm, shard in self.parts():
            self.save(arm, shard, order(self.lines(arm, shard, answer)))
            self.settle(shard)

    def _intend(self, shard: Shard, attempt: int, asked: Sequence[str]) -> None:
        payload = self.layout.part_input(shard.part)
        if attempt > 1:
            whole = payload.read_bytes().splitlines(keepends=True)
            payload = self.layout.retry_input(shard.part, attempt)
            payload.parent.mkdir(parents=True, exist_ok=True)
            payload.write_bytes(b"".join(line for line in whole if json.loads(line)["custom_id"] in asked))
        n = len(payload.read_bytes().splitlines())
        self.session.ledger.append(
            "intent",
            shard.part,
            attempt=attempt,
            token="0" * 16,
            payload=payload.relative_to(self.layout.root).as_posix(),
            payload_sha256=hashlib.sha256(payload.read_bytes()).hexdigest(),
            n_requests=n,
            reserved_usd=Decimal("0.001"),
        )


def _usage(line: bytes) -> tuple[int, int]:
    try:
        used = json.loads(line)["response"]["usage"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0, 0
    return used["prompt_tokens"], used["completion_tokens"]


def success_line(one: str, text: str, *, finish: str = "stop", n_in: int = 40, n_out: int = 7) -> bytes:
    """A Fireworks success line."""
    body = {
        "id": f"r-{one[-12:]}",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "accounts/fireworks/models/gpt-oss-20b",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    return json.dumps({"custom_id": one, "response": body}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def error_line(one: str, code: str = "internal_error", message: str = "try again") -> bytes:
    """An `error-data` line."""
    return json.dumps({"custom_id": one, "error": {"code": code, "message": message}}, separators=(",", ":")).encode() + b"\n"


@contextmanager
def world(
    folder: Path,
    *,
    opened: Sequence[Mapping[str, Any]] = (),
    closed: Sequence[Mapping[str, Any]] = (),
    run_id: str = "r1",
    metric: str | Mapping[str, str] | None = None,
    **changes: Any,
) -> Iterator[World]:
    """A run with these items prepared and its requests built. metric: of every set, or by set."""
    sets = []
    for name, kind, rows in (("reading", "open", opened), ("recall", "closed", closed)):
        if rows:
            path = folder / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            own = metric.get(name) if isinstance(metric, Mapping) else metric
            sets.append({"name": name, "source": "file", "path": str(path), "format": "jsonl", "kind": kind, "metric": own})
    chosen = config(sets, **changes)
    codec = FireworksProvider(FireworksSettings(account_id="test"), None)
    opening = Opening(run_id=run_id, config=chosen, is_resume=False, accept_drift=False, overrides={}, nonce=f"{run_id:0>16}")
    session = open_run(RunLayout(folder / run_id), opening, codec, clock=clock, ledger_clock=clock)
    made = World(folder=folder, config=chosen, session=session, codec=codec)
    try:
        for phase in (prepare, build):
            made.run(phase)
        yield made
    finally:
        made.session.close()
