"""Whose a batch is that carries no label, by the lines that it brought."""

from __future__ import annotations

from batchtrial.providers.anthropic.results import first_wire_id


def test_a_batch_is_known_by_its_first_line_that_can_be_read() -> None:
    whole = b'{"custom_id": "00ff-c-t0-1", "result": {"type": "expired"}}\n'
    assert first_wire_id([whole, b'{"custom_id": "other", "result": {}}\n']) == "00ff-c-t0-1"
    assert first_wire_id([b'{"custom_id": "00ff-c-t0-0", "resu\n', b"\n", whole]) == "00ff-c-t0-1", "else a copy of the run waits for ever"
    assert first_wire_id([b"{\n"]) is None
    assert first_wire_id([]) is None
