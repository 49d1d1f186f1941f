"""submit: done means that every part was sent and none is in doubt; one job is not all jobs."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from tests.unit.rig import Rig, once

from batchtrial.errors import Stopped
from batchtrial.phases.batches import submit
from batchtrial.reading.view import look
from batchtrial.records import Verdict
from batchtrial.run.options import Options
from batchtrial.state.store import Stamps


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def verdict(rig: Rig) -> Verdict:
    return submit.verdict(look(rig.layout, rig.config(), dict(rig.parts()), Stamps(rig.layout.root, rig.layout.stamps), rig.memory.limits))


def stopped_after(rig: Rig, point: str, at: int = 1) -> None:
    with pytest.raises(Stopped):
        rig.run(hook=once(point, lambda: rig.layout.stop_requested.touch(), at))
    rig.layout.stop_requested.unlink()


def test_before_build_it_waits_and_after_build_nothing_is_sent(rig: Rig) -> None:
    assert (verdict(rig).status, verdict(rig).needs) == ("blocked", "build")
    rig.run(to_step="build")
    assert (verdict(rig).status, verdict(rig).reason) == ("missing", "0 of 4 parts sent")


def test_one_part_sent_is_not_all_parts_sent(rig: Rig) -> None:
    stopped_after(rig, "ledger:receipt:after")
    assert (verdict(rig).status, verdict(rig).reason) == ("missing", "1 of 4 parts sent")
    rig.run(to_step="submit")
    assert verdict(rig) == Verdict(status="done", reason="all 4 parts have been sent")
    assert rig.memory.n_calls("submit") == 4


def test_a_part_in_doubt_is_named_and_is_not_done(rig: Rig) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    with pytest.raises(Died):
        rig.run(hook=once("call:submit:after", die, at=2))
    assert verdict(rig).status == "missing"
    assert "1 in doubt" in verdict(rig).reason
    assert rig.names()[1] in verdict(rig).reason
    rig.run()
    assert rig.is_paid_once()
    assert rig.memory.n_calls("submit") == 4


def test_a_part_that_waits_for_its_second_attempt_has_been_sent(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "errored" if batch == 1 else "succeeded"
    stopped_after(rig, "ledger:retry:after")
    assert "1 of" not in verdict(rig).reason
    rig.run()
    assert rig.counts() == {"succeeded": rig.n_requests}


def test_only_this_step_sends_and_sends_no_more(rig: Rig) -> None:
    rig.run(to_step="build")
    assert rig.run(options=Options(only_step="submit")).ran == ("submit",)
    calls = list(rig.memory.calls)
    assert rig.run(options=Options(only_step="submit")).ran == ()
    assert rig.run(options=Options(only_step="submit", remake=True)).ran == ()
    assert rig.memory.calls == calls


def test_a_control_that_trials_share_is_sent_once(tmp_path: Path) -> None:
    texts = {name: {"path": f"{name}.txt", "text": f"{name} text"} for name in ("c", "one", "two", "three")}
    sets = {name: {"control": {"system": texts["c"]}, "treatment": {"system": texts[name]}} for name in ("one", "two", "three")}
    rig = Rig(tmp_path, changes={"prompt_sets": sets, "sweep": {"prompt_sets": ["one", "two", "three"]}})
    rig.run()
    rows = [row for batch in rig.memory.batches.values() for row in batch.rows]
    assert len(rows) == len(set(rows)) == 4 * (1 + 3)
    assert sum(row.startswith(rig.arms("control")[0]) for row in rows) == 4


def test_a_treatment_that_is_added_is_all_that_is_bought(tmp_path: Path) -> None:
    texts = {name: {"path": f"{name}.txt", "text": f"{name} text"} for name in "abc"}
    pairs = {"ab": "ab", "bc": "bc", "ac": "ac"}
    sets = {name: {"control": {"system": texts[pair[0]]}, "treatment": {"system": texts[pair[1]]}} for name, pair in pairs.items()}
    rig = Rig(tmp_path, changes={"prompt_sets": sets, "sweep": {"prompt_sets": ["ab"]}})
    rig.run()
    before = set(rig.memory.paid())
    assert len(before) == 4 * 2
    rig.changes["sweep"] = {"prompt_sets": ["bc", "ac", "ab"]}
    rig.run(options=Options(to_step="poll", accept_drift=True))
    paid = rig.memory.paid()
    assert set(paid.values()) == {1}
    assert before < set(paid)
    assert len(paid) == 4 * 3


def test_a_stop_before_the_first_part_sends_nothing_and_does_not_stop_the_next_run(rig: Rig) -> None:
    rig.run(to_step="build")
    rig.layout.stop_requested.touch()
    with pytest.raises(Stopped):
        rig.run()
    assert rig.memory.calls == []
    rig.layout.stop_requested.unlink()
    rig.run()
    assert rig.is_paid_once()


def test_places_are_made_by_fetching_what_has_ended(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=10, settings={"max_concurrent_jobs": 1})
    rig.run(to_step="submit")
    assert rig.memory.most_open == 1
    assert rig.memory.n_calls("fetch") == 9
    assert verdict(rig).status == "done"


def test_a_refused_part_does_not_count_as_sent(rig: Rig) -> None:
    rig.memory.on_submit = deque(["refused"])
    with pytest.raises(Exception, match="no such model"):
        rig.run()
    assert verdict(rig).reason == "0 of 4 parts sent"


def test_what_people_see_at_the_provider_names_prompt_set_and_role(rig: Rig) -> None:
    seen: list[str] = []
    rig.memory.at_create = lambda intent: seen.append(intent.label)
    rig.run(to_step="submit")
    assert len(seen) == len(rig.names())
    for label, part in zip(seen, rig.names(), strict=True):
        assert label.startswith(f"{part} ")
        assert label.split(" ", 1)[1] in ("default control", "default treatment")
