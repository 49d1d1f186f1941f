"""What a run's folder still tells about a lost ledger: names and counts of parts, result files, request files, prices. Reads only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from batchtrial.config.expand import Arm, arms_of, controls_of, expand
from batchtrial.config.judge_arms import judge_trials
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.keys import arm_of_part
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.money import billed, price_for, price_named, reserve_usd
from batchtrial.prices import Price
from batchtrial.providers.base import Provider, codec_of
from batchtrial.records import RawResult
from batchtrial.state.files import BatchRecord, BuildManifest, PreparedManifest, Shard, TrialManifest, load_or_none
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.rebuild import Remnants, folder_of
from batchtrial.state.store import fingerprint

RETRY = re.compile(r"(?P<part>.+)_a(?P<attempt>[0-9]+)\.jsonl")
RESULT = re.compile(r"results(?:_a(?P<attempt>[0-9]+))?\.jsonl")


@dataclass(frozen=True)
class Remains:
    """What is left of a run. config, codec: the run's own."""

    layout: RunLayout
    config: Config
    codec: Provider
    manifests: Mapping[str, TrialManifest]

    @cached_property
    def prepared(self) -> PreparedManifest | None:
        return load_or_none(PreparedManifest, self.layout.prepared_manifest)

    @cached_property
    def build(self) -> BuildManifest | None:
        return load_or_none(BuildManifest, self.layout.build_manifest)

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """Parts of both waves by name, in the order of sending."""
        second = load_or_none(BuildManifest, self.layout.judging.build_manifest)
        return {name: shard for build in (self.build, second) if build is not None for name, shard in build.shards.items()}

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """By name; empty while they are not known."""
        if self.prepared is None:
            return {}
        try:
            return {arm.name: arm for arm in arms_of((*expand(self.config, self.prepared.sha256), *judge_trials(self.config)))}
        except ConfigError:
            return {}

    @cached_property
    def controls(self) -> frozenset[str]:
        """Names of the arms that some trial has as its control; of a run of form 1 they cannot be told without its items."""
        try:
            return frozenset(arm.name for arm in controls_of(expand(self.config, "")))
        except ConfigError:
            return frozenset()

    @cached_property
    def batches(self) -> dict[tuple[str, int], BatchRecord]:
        """(part, attempt) -> the batch that a manifest names."""
        return {(one.part, one.attempt): one for manifest in self.manifests.values() for one in manifest.batches if one.batch_id}

    def remnants(self, known_parts: Iterable[str]) -> Remnants:
        """Everything besides the ledger's lines. known_parts: named by lines that are left."""
        files = {path.stem for path in self.layout.batch_inputs.glob("*.jsonl")}
        shards = set(self.shards)
        names = {*files, *shards, *known_parts, *(part for part, _ in self.batches)}
        parts = tuple(sorted(name for name in names if _is_ours(name)))
        order = {name: place for place, name in enumerate(self.shards)}
        return Remnants(
            parts=tuple(sorted(parts, key=lambda name: (order.get(name, len(order)), name))),
            batches=self.batches,
            results=frozenset(self._results(parts)),
            payloads=frozenset(self._payloads(files | shards)),
            imported=frozenset(name for name in parts if self._is_taken_over(name)),
        )

    def _is_taken_over(self, part: str) -> bool:
        """Whether the part comes from the run that `control_from` names, and is never bought here."""
        if self.config.control_from is None or self.config.arm_form == 1:
            return self.config.control_from is not None and part.startswith("shared-")
        return arm_of_part(part) in self.controls

    def _results(self, parts: Iterable[str]) -> Iterator[tuple[str, int]]:
        for part in parts:
            folder = self.layout.root / folder_of(part)
            for path in folder.glob("results*.jsonl"):
                match = RESULT.fullmatch(path.name)
                if match is not None:
                    yield part, int(match["attempt"] or 1)

    def _payloads(self, whole: Iterable[str]) -> Iterator[tuple[str, int]]:
        yield from ((part, 1) for part in whole)
        for path in (self.layout.batch_inputs / "retries").glob("*.jsonl"):
            match = RETRY.fullmatch(path.name)
            if match is not None:
                yield match["part"], int(match["attempt"])

    def payload(self, part: str, attempt: int) -> Path:
        return self.layout.part_input(part) if attempt == 1 else self.layout.retry_input(part, attempt)

    def shard(self, part: str) -> Shard | None:
        return self.shards.get(part)

    def arm(self, part: str) -> Arm | None:
        """The arm that the part is of, where it can be told."""
        shard = self.shard(part)
        return self.arms.get(shard.arm if shard is not None else arm_of_part(part))

    def decode(self, part: str) -> Callable[[bytes], RawResult]:
        """What reads the part's result lines."""
        arm = self.arm(part)
        return codec_of(self.codec, self.config.backend if arm is None else arm.backend).decode

    def price(self, part: str) -> Price | None:
        """Of the part's model; of the run's where its arm cannot be told."""
        arm = self.arm(part)
        if arm is None:
            return price_named(self.config, self.config.backend, self.config.provider.pricing_key or self.config.model_id)
        return price_for(self.config, arm)

    def intent(self, part: str, attempt: int) -> dict[str, Any]:
        """The fields of a lost intent, as the same queue would write them again."""
        path, shard = self.payload(part, attempt), self.shard(part)
        fields: dict[str, Any] = {"payload": path.relative_to(self.layout.root).as_posix()}
        if path.exists():
            fields["payload_sha256"] = fingerprint(path).sha256
            fields["n_requests"] = count_lines(path)
        elif shard is not None and attempt == 1:
            fields |= {"payload_sha256": shard.sha256, "n_requests": shard.lines}
        price = self.price(part)
        if price is not None and shard is not None and "n_requests" in fields:
            fields["reserved_usd"] = reserve_usd(price, shard, fields["n_requests"])
        return fields

    def ended(self, part: str, attempt: int) -> str | None:
        """`expired` when every request without a line was sent again, else None.

        A missing row may have been billed and is never sent again, so what was sent again had expired or been cancelled, which costs nothing.
        """
        folder, again = self.layout.root / folder_of(part), self.layout.retry_input(part, attempt + 1)
        if not (again.exists() and self.payload(part, attempt).exists() and result_file(folder, attempt).exists()):
            return None
        counted = answers.tally(self.payload(part, attempt), result_file(folder, attempt), None, self.decode(part))
        without_line = counted.expected - counted.said.keys()
        with again.open("rb") as sent:
            was_sent_again = bool(without_line) and without_line <= set(answers.custom_ids(sent))
        return "expired" if was_sent_again and not self._have_answers(part, attempt, without_line) else None

    def _have_answers(self, part: str, before: int, rows: frozenset[str] | set[str]) -> bool:
        """Whether an earlier attempt brought an answer to one of the rows: it may have been asked again because nobody could read that answer."""
        for attempt in range(1, before):
            payload, results = self.payload(part, attempt), result_file(self.layout.root / folder_of(part), attempt)
            if payload.exists() and results.exists():
                counted = answers.tally(payload, results, None, self.decode(part))
                if any(one in rows and word.is_success for one, word in counted.said.items()):
                    return True
        return False

    def saved(self, part: str, attempt: int, wire_state: str | None) -> dict[str, Any]:
        """The fields of a lost `saved` line, counted again from the result file. wire_state: how the batch ended. Raises FileNotFoundError."""
        path = result_file(self.layout.root / folder_of(part), attempt)
        counted = answers.tally(self.payload(part, attempt), path, wire_state, self.decode(part))
        got = fingerprint(path)
        return {
            "path": path.relative_to(self.layout.root).as_posix(),
            "sha256": got.sha256,
            "size": got.size,
            "counts": counted.counts,
            "odd": counted.odd,
            **billed(self.price(part), self.shard(part), counted),
        }


def _is_ours(name: str) -> bool:
    try:
        folder_of(name)
    except ValueError:
        return False
    return True


def count_lines(path: Path) -> int:
    """Lines that end with a newline."""
    with path.open("rb") as file:
        return sum(1 for _ in file)
