"""How a batch ended when no line and no manifest says so: told from what was sent again, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.runs.rundir import config

from batchtrial.app.wiring import Place, Wiring
from batchtrial.state.layout import RunLayout, result_file
from batchtrial.state.rebuild import folder_of
from batchtrial.upkeep.remains import Remains

PART = "model-default_t0_treatment_p01"


def answer(custom_id: str) -> str:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}}
    return json.dumps({"custom_id": custom_id, "response": body})


def remains(root: Path, sent: Sequence[str], answered: Sequence[str]) -> Remains:
    """A run of one part. sent, answered: ids of each attempt, one letter each."""
    settings, layout = config(), RunLayout(root)
    found = Remains(layout, settings, Wiring(settings, Place(layout=layout, trials=lambda: ()), {}).codec, {})
    for attempt, ids in enumerate(sent, 1):
        payload = found.payload(PART, attempt)
        payload.parent.mkdir(parents=True, exist_ok=True)
        payload.write_text("".join(json.dumps({"custom_id": one}) + "\n" for one in ids))
    for attempt, ids in enumerate(answered, 1):
        results = result_file(root / folder_of(PART), attempt)
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text("".join(answer(one) + "\n" for one in ids))
    return found


@pytest.mark.parametrize(
    ("sent", "answered", "attempt", "word"),
    [
        (("ab", "b"), ("a",), 1, "expired"),
        (("abc", "bc"), ("a",), 1, "expired"),
        (("abc", "bc", "c"), ("a", "b"), 2, "expired"),
        (("ab",), ("a",), 1, None),
        (("abc", "b"), ("a",), 1, None),
        (("ab", "b"), ("ab",), 1, None),
        (("ab", "b"), (), 1, None),
        (("ab", "b", "b"), ("ab", ""), 2, None),
    ],
    ids=[
        "sent again, so it was not missing",
        "all of them",
        "a later attempt",
        "nothing sent again: it may be missing",
        "one was not sent again: all may be missing",
        "no row without a line",
        "no results",
        "an answer nobody could read was asked again twice",
    ],
)
def test_only_what_was_sent_again_proves_that_a_batch_expired(
    sent: Sequence[str], answered: Sequence[str], attempt: int, word: str | None, tmp_path: Path
) -> None:
    assert remains(tmp_path, sent, answered).ended(PART, attempt) == word
