"""poll: done means settled and on disk as fetched; a file that is gone or damaged is fetched again, and never bought again."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.rig import Rig, once

from batchtrial.errors import PhaseFailed, ProviderError, RunStateMissing, Stopped
from batchtrial.phases.batches import poll
from batchtrial.reading.view import look
from batchtrial.records import Verdict
from batchtrial.run.options import Options
from batchtrial.state.machine import PartState
from batchtrial.state.store import Stamps


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def verdict(rig: Rig) -> Verdict:
    return poll.verdict(look(rig.layout, rig.config(), dict(rig.parts()), Stamps(rig.layout.root, rig.layout.stamps), rig.memory.limits))


def results(rig: Rig) -> list[Path]:
    return sorted(path for path in rig.layout.root.rglob("results*.jsonl") if ".corrupt." not in path.name)


def test_it_waits_for_build_and_for_submit(rig: Rig) -> None:
    assert (verdict(rig).status, verdict(rig).needs) == ("blocked", "build")
    rig.run(to_step="build")
    assert (verdict(rig).status, verdict(rig).needs) == ("blocked", "submit")


def test_one_part_fetched_is_not_all_parts_fetched(rig: Rig) -> None:
    with pytest.raises(Stopped):
        rig.run(hook=once("ledger:settled:after", lambda: rig.layout.stop_requested.touch()))
    assert (verdict(rig).status, verdict(rig).reason) == ("missing", "1 of 4 parts settled")
    rig.layout.stop_requested.unlink()
    rig.run()
    assert verdict(rig) == Verdict(status="done", reason="all 4 parts settled")


def test_lines_are_kept_as_received(rig: Rig) -> None:
    rig.run()
    assert sorted(path.read_bytes() for path in results(rig)) == sorted(b"".join(batch.lines) for batch in rig.memory.batches.values())


def test_a_provider_that_wants_its_looks_further_apart_is_asked_as_often_and_no_more(rig: Rig) -> None:
    """Azure asks for a minute between two looks, whatever the config says."""
    rig.memory.life_seconds, rig.memory.limits = 290.0, replace(rig.memory.limits, least_poll_seconds=60.0)
    rig.run()
    assert rig.config().submission.poll_seconds == 20.0
    assert rig.memory.n_calls("check") == len(rig.parts()) * 6


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "other"])
def test_a_lost_or_damaged_file_is_fetched_again_and_not_bought_again(rig: Rig, how: str) -> None:
    rig.run()
    path = results(rig)[1]
    whole = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "other": whole.replace(b"succeeded", b"errored  ")}[how])
    assert verdict(rig).status == "stale"
    assert path.name in verdict(rig).reason
    rig.run()
    assert path.read_bytes() == whole
    assert rig.memory.n_calls("submit") == 4
    assert len(list(path.parent.glob(f"{path.name}.corrupt.*"))) == (how != "gone")
    assert verdict(rig).status == "done"


def test_a_damaged_file_is_mended_before_anything_is_decided_from_it(rig: Rig) -> None:
    """A kill between fetching and deciding, then the file is lost, while other parts are still to be sent."""

    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    with pytest.raises(Died):
        rig.run(hook=once("ledger:saved:after", die))
    (path,) = results(rig)
    path.write_bytes(b"")
    rig.run()
    assert rig.is_paid_once()
    assert rig.counts() == {"succeeded": rig.n_requests}


def test_a_file_that_is_gone_on_both_sides_is_told_and_not_bought_again(rig: Rig) -> None:
    rig.run()
    path = results(rig)[0]
    whole = path.read_bytes()
    path.unlink()
    rig.memory.on_fetch = deque(["not found"] * 10)
    with pytest.raises(RunStateMissing) as caught:
        rig.run()
    assert "gone here and at the provider" in caught.value.what
    assert "not bought again" in caught.value.hint
    assert rig.memory.n_calls("submit") == 4
    path.write_bytes(whole)
    rig.run()
    assert verdict(rig).status == "done"


def test_a_file_that_cannot_be_fetched_now_is_fetched_later(rig: Rig) -> None:
    rig.run()
    results(rig)[0].unlink()
    rig.memory.on_fetch = deque(["down"])
    with pytest.raises(ProviderError, match="cannot fetch"):
        rig.run()
    rig.run()
    assert verdict(rig).status == "done"


def test_a_part_whose_download_failed_is_not_completed(rig: Rig) -> None:
    rig.memory.on_fetch = deque(["down"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot be reached"):
        rig.run()
    assert PartState.SETTLED not in {record.state for record in rig.parts().values()}
    assert verdict(rig).status in ("missing", "blocked")
    rig.memory.on_fetch.clear()
    rig.run()
    assert rig.counts() == {"succeeded": rig.n_requests}


def test_requests_that_never_succeeded_are_said_in_the_verdict(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "errored!" if batch == 1 else "succeeded"
    rig.run()
    assert verdict(rig).reason == "all 4 parts settled, 2 requests never succeeded"


def test_two_attempts_have_two_files_and_one_bill(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "errored" if batch == 1 else "succeeded"
    rig.run()
    assert [path.name for path in results(rig)].count("results_a2.jsonl") == 1
    assert rig.is_paid_once()


def test_done_twice_calls_nobody(rig: Rig) -> None:
    rig.run()
    calls = list(rig.memory.calls)
    assert rig.run(options=Options(to_step="poll")).ran == ()
    assert rig.run(options=Options(to_step="poll", remake=True)).ran == ("prepare", "build")
    assert rig.memory.calls == calls
