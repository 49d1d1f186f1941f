"""Taking over a run of the earlier system: its answers become settled parts of this one, under this system's ids, so that nothing is bought again.

Originals stay beside as *.backup.<time>.<ext>. The ledger is written last and makes the run one of ours; until then everything here can be repeated
from the originals, however often it is interrupted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from batchtrial.config.expand import Arm, Trial, arms_of
from batchtrial.config.load import config_hash, encode
from batchtrial.config.model import Config
from batchtrial.earlier import files as upgrade
from batchtrial.earlier.config import backend_of
from batchtrial.earlier.run import EarlierRun, Lines
from batchtrial.errors import ConfigError, RunStateMissing, StateError
from batchtrial.keys import item_hash
from batchtrial.phases.base import View, Work
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.money import billed, price_for
from batchtrial.phases.build import phase as build
from batchtrial.phases.prepare import phase as prepare
from batchtrial.providers.base import Provider
from batchtrial.reading.view import look
from batchtrial.records import Item, Request
from batchtrial.run.quiet import NeverStop, Silent
from batchtrial.run.snapshots import Snapshots
from batchtrial.sources import default_metric
from batchtrial.state.entries import Counts, Entry
from batchtrial.state.entries import encode as encode_entry
from batchtrial.state.files import PhaseRecord, PreparedFile, PreparedManifest, RunState, Shard, Shelf, load, save
from batchtrial.state.form import read_json
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import Ledger
from batchtrial.state.store import Stamps, fingerprint, write_bytes

RECOGNISED = ("prepare", "build", "submit", "poll")
REMADE = ("predictions.csv", "per_item_scores.csv", "significance.json", "costs.json", "results_combined.jsonl", "account.json")
FINISH = {"stop": "end_turn", "length": "max_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was taken over. notes: what could not be known or has no meaning here."""

    n_trials: int
    counts: Counts
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """One part and what the old answers gave it."""

    arm: Arm
    shard: Shard
    tally: answers.Tally


@dataclass(slots=True)
class Migration:
    """One run on its way over. codec_of: the adapter of a config, for its pure half. clock: real time, UTC. nonce: fresh random digits.

    give_up: agrees to the loss of what jobs of the earlier system may still hold, or raises; None when nobody asked for that.
    """

    layout: RunLayout
    codec_of: Callable[[Config], Provider]
    clock: Callable[[], datetime]
    nonce: str
    prepared_dir: Path | None = None
    give_up: Callable[[str], None] | None = None

    def carry_out(self) -> Report:
        """Raises StateError, ConfigError naming what is missing; the caller holds the run's lock."""
        earlier = EarlierRun(self.layout, self.prepared_dir)
        config = earlier.gather()
        codec = self.codec_of(config)
        self._keep_originals(earlier)
        self._write_prepared(config, earlier.items)
        self._write_requests(config, codec)
        view = self._look(config, codec)
        parts = [self._write_part(earlier, view, codec, arm, shard) for arm in arms_of(view.trials) for shard in view.shards(arm)]
        self._check_complete(earlier, parts)
        self._note_phases(earlier)
        write_bytes(self.layout.effective_config, encode(config))
        counts = self._write_ledger(config, earlier, view, parts)
        self._write_manifests(config, codec)
        return Report(n_trials=len(earlier.trials), counts=counts, notes=tuple(earlier.notes))

    def _look(self, config: Config, codec: Provider) -> View:
        return look(self.layout, config, {}, Stamps(self.layout.root, self.layout.stamps), codec.limits)

    def _keep_originals(self, earlier: EarlierRun) -> None:
        """Every file that is written anew below, and those that the later phases write."""
        layout, now = self.layout, self.clock()
        paths = [layout.run_state, layout.effective_config, layout.control_registry, layout.multi_trial_manifest, layout.aggregate_report]
        paths += [layout.open_book, layout.closed_book, layout.prepared_manifest, layout.build_manifest, layout.archive_manifest]
        for trial in earlier.trials:
            mine = layout.trial(trial.slug)
            paths += [mine.manifest, *(mine.results / name for name in REMADE), *mine.reports.glob("report.*")]
            paths += mine.results.glob("t*_p*/results*.jsonl")
        for path in paths:
            if ".backup." not in path.name:
                upgrade.keep(path, now)

    def _write_prepared(self, config: Config, items: tuple[Item, ...]) -> None:
        """As `prepare` does; the sources say how each set is scored."""
        layout, prepared = self.layout, prepare.Prepared(items=items, sources={})
        files = {}
        for book in prepare.BOOKS:
            path = layout.prepared / f"{book}.jsonl"
            write_bytes(path, b"".join(prepared.lines(book)))
            got = fingerprint(path)
            n = sum((item.kind == "open") == (book == "open_book") for item in items)
            files[book] = PreparedFile(path=path.relative_to(layout.root).as_posix(), items=n, size=got.size, sha256=got.sha256)
        sources = {spec.name: _source(spec.name, [item for item in items if item.dataset == spec.name]) for spec in config.datasets}
        save(layout.prepared_manifest, PreparedManifest(inputs="", datasets=files, sources=sources))

    def _write_requests(self, config: Config, codec: Provider) -> None:
        """As `build` does. Nothing is sent, so it does not matter whether the provider would still honour these sampling values."""
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder) / "none.jsonl", clock=self.clock)
            try:
                build.run(self._work(self._look(config, codec), cast(Provider, _Willing(codec)), ledger))
            finally:
                ledger.close()

    def _work(self, view: View, codec: Provider, ledger: Ledger) -> Work:
        return Work(
            view=view,
            ledger=ledger,
            codec=codec,
            provider=lambda: codec,
            now=self.clock,
            stop=NeverStop(),
            progress=Silent(),
            publish=lambda trial, stage, inputs, paths: None,
            refresh=lambda: None,
        )

    def _write_part(self, earlier: EarlierRun, view: View, codec: Provider, arm: Arm, shard: Shard) -> Taken:
        """The part's result file, in request order, from the old lines of every trial that has the arm."""
        lines: Lines = {}
        for new, old in zip(view.trials, earlier.trials, strict=True):
            for role in new.arms:
                if role.name == arm.name:
                    lines = {**earlier.lines(old, role.condition, role.temp), **lines}
        mine = {}
        for item in earlier.items:
            mark = item_hash(item.dataset, item.item_id)
            for sample in range(arm.samples):
                line = lines.get((earlier.origin[item.dataset], item.item_id, sample))
                if line is not None:
                    mine[arm.custom_id(mark, sample)] = line
        payload = self.layout.part_input(shard.part)
        with payload.open("rb") as sent:
            data = b"".join(as_wire(codec.name, mine[one], one) for one in answers.custom_ids(sent) if one in mine)
        path = result_file(self.layout.root / arm.part_folder(shard.part_index), 1)
        write_bytes(path, data)
        return Taken(arm, shard, answers.tally(payload, path, None, codec.decode))

    def _check_complete(self, earlier: EarlierRun, parts: list[Taken]) -> None:
        missing = sum(part.tally.counts.missing for part in parts)
        if not missing:
            return
        waiting = [f"{trial.slug}: {', '.join(trial.unfinished_jobs)}" for trial in earlier.trials if trial.unfinished_jobs]
        what = f"{missing} requests have no result here, and jobs of the earlier system may still hold them"
        if waiting and self.give_up is None:
            raise StateError(
                what,
                where="; ".join(waiting),
                hint="download their results into <trial>/results/<job>/ and run this again; docs/migration.md says what else there is",
            )
        if waiting and self.give_up is not None:
            self.give_up(f"{what} ({'; '.join(waiting)}); what they may have cost is not known")
        earlier.notes.append(f"{missing} requests have no result: they count as missing and are not bought again")

    def _note_phases(self, earlier: EarlierRun) -> None:
        tree = read_json(self.layout.run_state)
        phases = tree.get("phases") if isinstance(tree, dict) else None
        records = phases.items() if isinstance(phases, dict) else ()
        done = [name for name, record in records if isinstance(record, dict) and record.get("status") == "completed"]
        if done:
            earlier.notes.append(f"the earlier system had completed {', '.join(done)}; what follows poll is made again here, from its answers")
        else:
            earlier.notes.append("run_state.json of the earlier system says of no phase that it was completed; phases are recognised by their files")
        earlier.notes.append(f"the backend was {backend_of(earlier.old)}; when batches ran, and what they were billed, is not known")

    def _write_ledger(self, config: Config, earlier: EarlierRun, view: View, parts: list[Taken]) -> Counts:
        """run_state.json, then the ledger: from here on the run is one of ours."""
        now = self.clock()
        jobs = {f"{trial.slug}/{key}": ", ".join(names) for trial in earlier.trials for key, names in trial.jobs.items()}
        detail = {"config": config.model_dump(mode="json"), "overrides": {}}
        entries = [
            _entry(now, "opened", run_nonce=self.nonce, config_hash=config_hash(config), detail=detail),
            _entry(now, "migrated", reason="taken over from the earlier system", detail={"jobs": jobs, "notes": earlier.notes}),
        ]
        for part in parts:
            batch = _job_of(earlier, view.trials, part.arm)
            entries += [_imported(self.layout, config, now, part, batch), _entry(now, "settled", part=part.shard.part, counts=part.tally.counts)]
        state = RunState(
            run_id=self.layout.run_id,
            config_hash=config_hash(config),
            run_nonce=self.nonce,
            ledger_lines=len(entries),
            phases=dict.fromkeys(RECOGNISED, PhaseRecord(status="completed", updated_at=now)),
            migrated=True,
            notes=tuple(earlier.notes),
        )
        save(self.layout.run_state, state)
        numbered = (entry.but(seq=number) for number, entry in enumerate(entries, 1))
        write_bytes(self.layout.ledger, b"".join(encode_entry(entry) for entry in numbered))
        return Counts.of_all(part.tally.counts for part in parts)

    def _write_manifests(self, config: Config, codec: Provider) -> None:
        layout, state = self.layout, load(RunState, self.layout.run_state)
        if state is None:
            raise RunStateMissing("run_state.json is gone", where=str(layout.root))
        ledger = Ledger(layout.ledger, clock=self.clock)
        try:
            view = look(layout, config, ledger.parts, Stamps(layout.root, layout.stamps), codec.limits)
            Snapshots(layout, state, ledger, Shelf(), clock=self.clock).write_trials(view)
        finally:
            ledger.close()


class _Willing:
    """An adapter that does not ask whether its provider would honour the sampling values."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner

    def refuses(self, *args: Any) -> None:
        """Nothing is refused: nothing is sent."""

    def encode(self, request: Request) -> bytes:
        """The request's line; without its sampling values when this wire has no place for them, as the earlier system left them out too."""
        try:
            return self._inner.encode(request)
        except ConfigError:
            return self._inner.encode(replace(request, temperature=1.0, top_p=None, top_k=None, stop=()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _source(name: str, items: list[Item]) -> dict[str, Any]:
    kind = items[0].kind if items else "open"
    return {"rows_read": len(items), "items": len(items), "bad_rows": 0, "metric": default_metric(name, None, kind), "sets": {name: len(items)}}


def _imported(layout: RunLayout, config: Config, now: datetime, part: Taken, batch: str) -> Entry:
    path = result_file(layout.root / part.arm.part_folder(part.shard.part_index), 1)
    got = fingerprint(path)
    return _entry(
        now,
        "imported",
        part=part.shard.part,
        attempt=1,
        payload=part.shard.path,
        payload_sha256=part.shard.sha256,
        n_requests=part.shard.lines,
        batch_id=batch,
        path=path.relative_to(layout.root).as_posix(),
        sha256=got.sha256,
        size=got.size,
        counts=part.tally.counts,
        odd=part.tally.odd,
        **billed(price_for(config, part.arm), part.shard, part.tally),
        reason="answered under the earlier system",
    )


def _job_of(earlier: EarlierRun, trials: tuple[Trial, ...], arm: Arm) -> str:
    """The names under which the earlier system submitted the arm."""
    for old, new in zip(earlier.trials, trials, strict=True):
        for role in new.arms:
            if role.name == arm.name and old.jobs.get(role.stem):
                return ", ".join(old.jobs[role.stem])[:500]
    return "earlier system"


def _entry(at: datetime, event: str, **fields: Any) -> Entry:
    return Entry.of(seq=1, at=at, event=event, **fields)


def as_wire(backend: str, line: Mapping[str, Any], custom_id: str) -> bytes:
    """An old result line as this backend's decoder takes it, under our id. The earlier system kept Anthropic's results in OpenAI's form."""
    tree = {**line, "custom_id": custom_id}
    if backend == "anthropic" and "result" not in line:
        tree = {"custom_id": custom_id, "result": _as_message(line)}
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _as_message(line: Mapping[str, Any]) -> dict[str, Any]:
    response = _mapping(line.get("response")) or line
    body = _mapping(response.get("body")) or response
    if not upgrade.is_success(line) or not body.get("choices"):
        message = str(line.get("error") or "no answer")[:500]
        return {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": message}}}
    usage, choice = _mapping(body.get("usage")), _mapping(body["choices"][0])
    reason = choice.get("finish_reason")
    tokens = {"input_tokens": usage.get("prompt_tokens", 0), "output_tokens": usage.get("completion_tokens", 0)}
    content = [{"type": "text", "text": _mapping(choice.get("message")).get("content") or ""}]
    found = {"id": body.get("id"), "content": content, "stop_reason": FINISH.get(reason or "", reason), "usage": tokens}
    return {"type": "succeeded", "message": found}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
