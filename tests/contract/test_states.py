"""A row that succeeds without an answer says so on every wire, and the money that it cost is known."""

from __future__ import annotations

import pytest
from tests.contract.wires import World

from batchtrial.records import AnswerState, Outcome

S = AnswerState
STATES = {
    "cut": S.CUT,
    "half": S.CUT,
    "refused": S.REFUSED,
    "filtered": S.FILTERED,
    "tool_call": S.TOOL_CALL,
    "empty": S.EMPTY,
    "thinking": S.UNFINISHED_THINKING,
    "marks": S.COMPLETE,
    "unclosed": S.CUT,
    "unreadable": S.NOT_UNDERSTOOD,
}
"""Form of the emulator's answer -> what the wire alone tells: marks of thinking are read later."""


def state_of(world: World, form: str) -> AnswerState:
    """What this wire tells of such an answer."""
    if form == "filtered" and world.wire.provider == "anthropic":
        return S.REFUSED  # that wire has one word for both
    if form == "refused" and world.wire.provider == "gemini":
        return S.FILTERED  # and so has this one
    return STATES[form]


@pytest.mark.parametrize("form", STATES)
def test_what_is_no_answer_is_told_on_every_wire(world: World, form: str) -> None:
    world.fault("create", {"rows": {"answers": {"count": 2, "form": form}}})
    batch = world.submit(5)
    world.finish()
    found = [world.provider.decode(line) for line in world.provider.fetch(batch)]
    want = state_of(world, form)
    assert len(found) == 5
    assert {one.outcome for one in found} == {Outcome.SUCCEEDED}
    spoiled = sorted(one.state for one in found if one.state is not S.COMPLETE)
    assert spoiled == ([] if want is S.COMPLETE else [want] * 2)
    assert all(one.usage is not None and one.usage.input_tokens > 0 for one in found)
    assert sum((one.text or "").startswith("<think>") for one in found) == (2 if form in ("marks", "unclosed") else 0)
