"""Taking judgements over from the run whose control is taken over: what a judge said there of the same question and answer is not bought again.

A judgement is the same when its request is the same bytes, which hold model, rubric, question and answers. The rest of a part is asked in its second
attempt, as rows are that a cancelled batch never got to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

import msgspec

from batchtrial.amounts import counted
from batchtrial.config.expand import Arm, arms_of
from batchtrial.config.judge_arms import arm_of
from batchtrial.config.lanes import config_of_lane
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.phases.base import Work
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.account import UNKNOWN
from batchtrial.phases.batches.import_controls import config_there
from batchtrial.phases.batches.verdicts import verdict_reader
from batchtrial.phases.batches.which_line import rank, said, takes_over
from batchtrial.providers.base import codec_of
from batchtrial.records import BadLine, RawResult
from batchtrial.state.files import BuildManifest, Shard, load
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.ledger import PartRecord, load_parts
from batchtrial.state.machine import Event, PartState
from batchtrial.state.store import fingerprint, replacing

Decode = Callable[[bytes], RawResult]


class Bought(NamedTuple):
    """A judgement that the other run has: the request, and the line that answers it."""

    request: bytes
    line: bytes


def import_judgements(work: Work) -> None:
    """Copy what the judges said in the run of `control_from` into every part of theirs that has no attempt yet. Does nothing in the first wave.

    Raises ConfigError when that run's files are not as recorded.
    """
    if work.config.control_from is None or work.view.build is None or not work.layout.wave:
        return
    theirs = RunLayout.of(work.layout.root.parent, check_run_id(work.config.control_from)).judging
    build = load(BuildManifest, theirs.build_manifest)
    if build is None:
        return
    there, parts = config_there(theirs), load_parts(theirs.ledger)
    for arm in arms_of(work.view.trials):
        todo = [shard for shard in work.view.shards(arm) if not work.ledger.part(shard.part).attempts]
        if not todo or _host(work.config, arm) != _host(there, arm):
            continue
        decode = verdict_reader(codec_of(work.codec, arm.backend).decode, work.config, arm.task)
        wanted, bought = {one for shard in todo for one in _asked(work, shard)}, dict[str, Bought]()
        for shard in build.shards.values():
            if shard.arm == arm.name and (record := parts.get(shard.part)) is not None and record.state is PartState.SETTLED:
                there_is = _bought(work, theirs, arm.part_folder(shard.part_index), record, decode)
                bought |= {one: what for one, what in there_is.items() if one in wanted}
        for shard in todo:
            work.stop.check()
            _take_over(work, arm, shard, bought, decode)


def _asked(work: Work, shard: Shard) -> Iterator[str]:
    """The custom_ids of a part."""
    with work.layout.part_input(shard.part).open("rb") as sent:
        yield from answers.custom_ids(sent)


def lost_there(config: Config, layout: RunLayout) -> dict[str, int]:
    """Judges, by arm, whose judgements about the control `control_from` brings, with how many of that run's have no answer and would be bought."""
    if config.control_from is None:
        return {}
    theirs, found = RunLayout.of(layout.root.parent, check_run_id(config.control_from)).judging, dict[str, int]()
    build = load(BuildManifest, theirs.build_manifest)
    if build is None:
        return {}
    there, parts = config_there(theirs), load_parts(theirs.ledger)
    for arm in (arm_of(config, judge) for judge in config.judges):
        shards = [shard for shard in build.shards.values() if shard.arm == arm.name]
        counts = [record.counts for shard in shards if (record := parts.get(shard.part)) is not None and record.state is PartState.SETTLED]
        if shards and len(counts) == len(shards) and _host(config, arm) == _host(there, arm):
            found[arm.name] = sum(shard.lines for shard in shards) - sum(one.succeeded for one in counts if one is not None)
    return found


def _host(config: Config, arm: Arm) -> tuple[str, str | None]:
    """Who answers the arm's requests."""
    return config.mode, config_of_lane(config, arm.backend).provider.base_url


def _bought(work: Work, theirs: RunLayout, folder: PurePath, record: PartRecord, decode: Decode) -> dict[str, Bought]:
    """Each request of a part that was answered there, by custom_id; over attempts the first answer, as `which_line` has it.

    None where the requests are gone, since nobody can then say that they are ours.
    """
    if not theirs.part_input(record.part).exists():
        return {}
    with theirs.part_input(record.part).open("rb") as sent:
        requests = {json.loads(line)["custom_id"]: line for line in sent}
    known: dict[str, tuple[RawResult, bytes]] = {}
    for attempt in record.attempts:
        if not attempt.is_saved:
            continue
        path = result_file(theirs.root / folder, attempt.number)
        if not path.exists() or fingerprint(path).sha256 != attempt.sha256:
            what = f"{path.name} of run {work.config.control_from} is not as recorded there"
            raise ConfigError(what, where=str(path), hint="repair that run first")
        for one, (result, line) in _best(path, decode).items():
            if one not in known or takes_over(said(known[one][0]), said(result)):
                known[one] = result, line
    return {one: Bought(requests[one], line) for one, (result, line) in known.items() if one in requests and said(result).is_success}


def _best(path: Path, decode: Decode) -> dict[str, tuple[RawResult, bytes]]:
    """The line of one attempt that answers each request."""
    found: dict[str, tuple[RawResult, bytes]] = {}
    with path.open("rb") as lines:
        for line in lines:
            with suppress(BadLine):
                result = decode(line)
                if result.custom_id not in found or rank(result) < rank(found[result.custom_id][0]):
                    found[result.custom_id] = result, line if line.endswith(b"\n") else line + b"\n"
    return found


def _take_over(work: Work, arm: Arm, shard: Shard, bought: Mapping[str, Bought], decode: Decode) -> None:
    """Enter what was bought as the part's first attempt; its other rows stand as rows that a cancelled batch never ran."""
    payload, target = work.layout.part_input(shard.part), result_file(work.layout.root / arm.part_folder(shard.part_index), 1)
    with payload.open("rb") as sent:
        found = [one.line for line in sent if (one := bought.get(json.loads(line)["custom_id"])) is not None and one.request == line]
    if not found:
        return
    with replacing(target, hook=work.hook) as file:
        file.writelines(found)
    end = "completed" if len(found) == shard.lines else "cancelled"
    told = answers.tally(payload, target, end, decode)
    work.ledger.append(
        Event.IMPORTED,
        shard.part,
        attempt=1,
        payload=payload.relative_to(work.layout.root).as_posix(),
        payload_sha256=shard.sha256,
        n_requests=shard.lines,
        batch_id=f"{UNKNOWN}{work.config.control_from}",
        wire_state=end,
        path=target.relative_to(work.layout.root).as_posix(),
        sha256=fingerprint(target).sha256,
        size=target.stat().st_size,
        counts=told.counts,
        odd=dict(told.odd),
        usage=msgspec.structs.asdict(told.total_usage),
        cost_usd="0",
        reason=f"{len(found)} of {shard.lines} taken over from run {work.config.control_from}, where they were paid for",
    )
    if len(found) == shard.lines:
        work.ledger.append(Event.SETTLED, shard.part, counts=told.counts)
    work.progress.note(f"{shard.part}: took {counted(len(found), 'judgement')} over from run {work.config.control_from}")
