"""Whose a batch is that carries no label, by the lines that it brought."""

from __future__ import annotations

import json

import pytest

from batchtrial.providers.anthropic.results import decode_line, first_wire_id
from batchtrial.records import AnswerState


def test_a_batch_is_known_by_its_first_line_that_can_be_read() -> None:
    whole = b'{"custom_id": "00ff-c-t0-1", "result": {"type": "expired"}}\n'
    assert first_wire_id([whole, b'{"custom_id": "other", "result": {}}\n']) == "00ff-c-t0-1"
    assert first_wire_id([b'{"custom_id": "00ff-c-t0-0", "resu\n', b"\n", whole]) == "00ff-c-t0-1", "else a copy of the run waits for ever"
    assert first_wire_id([b"{\n"]) is None
    assert first_wire_id([]) is None


def test_a_batch_whose_every_line_is_damaged_is_known_by_what_is_left_of_its_ids() -> None:
    """Else a part in doubt, or a copy of the run, waits for that batch for ever."""
    token = "00112233445566ff"
    whole = b'{"custom_id": "%s-c-t0-1", "result": {"type": "succeeded"}}' % token.encode()
    for line in (whole[:60], whole.replace(b"succeeded", b"\xff\xfe"), whole.replace(b"succeeded", b"\x00"), whole[:33], b"1" + whole):
        assert first_wire_id([b"<html>\n", line]) == f"{token}-", line
    said = b'{"custom_id": 7, "text": "write {\\"custom_id\\": \\"ffffffffffffffff-c-t0-1\\"}"}'
    assert first_wire_id([said]) is None, "an answer's text is no id"


def test_an_id_that_nobody_sent_does_not_hide_whose_the_batch_is() -> None:
    """Else the batch is taken for somebody else's, and its rows are bought again."""
    ours = b'{"custom_id": "00112233445566ff-c-t0-1", "result": {"type": "expired"}}\n'
    assert first_wire_id([b'{"custom_id": "nobody", "result": {}}\n', ours]) == "00112233445566ff-c-t0-1"
    assert first_wire_id([b'{"custom_id": "nobody", "result": {}}\n', b'{"custom_id": "other", "result": {}}\n']) == "nobody"


@pytest.mark.parametrize("texts", [1, 2])
def test_a_message_inside_a_json_text_is_read_as_on_the_other_wires(texts: int) -> None:
    """Paid, and there: it is no reason to lose it. Text inside text inside text is nothing that a server sends."""
    message: object = {"content": [{"type": "text", "text": "Rome"}], "stop_reason": "end_turn", "usage": {"input_tokens": 4, "output_tokens": 1}}
    for _ in range(texts):
        message = json.dumps(message)
    got = decode_line(json.dumps({"custom_id": "c-t0-1", "result": {"type": "succeeded", "message": message}}).encode())
    assert (got.text, got.state) == (("Rome", AnswerState.COMPLETE) if texts == 1 else (None, AnswerState.NOT_UNDERSTOOD))
