"""The streaming reader of inline requests agrees with a plain JSON decoder, wherever its window happens to end."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.emulator.wires.anthropic import inline
from batchtrial.emulator.wires.anthropic.inline import BadBatch, elements, take_in
from batchtrial.emulator.world.rowfile import RowFile

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(found=st.lists(JSON, max_size=6), window=st.integers(1, 40), indent=st.sampled_from([None, 1]), is_ascii=st.booleans())
def test_elements_are_those_of_the_body(found: list[Any], window: int, indent: int | None, is_ascii: bool) -> None:
    body = json.dumps({"requests": found}, indent=indent, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inline, "WINDOW", window)
        patch.setattr(inline._Text.more, "__defaults__", (window,))
        read = list(elements(io.BytesIO(body)))
    assert [value for value, _ in read] == found
    assert [json.loads(raw) for _, raw in read] == found


@given(body=st.binary(max_size=60), cut=st.integers(0, 60))
def test_no_body_makes_it_fail_otherwise(body: bytes, cut: int) -> None:
    whole = b'{"requests": [{"custom_id": "a", "params": {"n": 1.5}}, ' + body + b"]}"
    for text in (body, whole, whole[:cut]):
        try:
            expected = json.loads(text)["requests"]
        except (ValueError, KeyError, TypeError, IndexError):
            expected = None
        try:
            found = [value for value, _ in elements(io.BytesIO(text))]
        except BadBatch:
            continue
        assert found == expected


def test_rows_are_kept_as_they_were_sent(tmp_path: Path) -> None:
    requests = [{"custom_id": f"r{i}", "params": {"messages": [{"content": "Grüße\n" * i}], "x": 1.0}} for i in range(50)]
    (tmp_path / "body").write_text(json.dumps({"requests": requests}, indent=2, ensure_ascii=False))
    assert take_in(tmp_path / "body", tmp_path / "rows") == 50
    (tmp_path / "rows.tmp").rename(tmp_path / "rows")
    with RowFile(tmp_path / "rows") as rows:
        assert [json.loads(rows.line(i)) for i in (49, 0, 7)] == [requests[49], requests[0], requests[7]]
        assert len(rows) == 50


def test_a_refused_body_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "body").write_text('{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}')
    with pytest.raises(BadBatch, match="more than once"):
        take_in(tmp_path / "body", tmp_path / "rows")
    assert [path.name for path in tmp_path.iterdir()] == ["body"]


def test_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "MAX_REQUESTS", 3)
    (tmp_path / "body").write_text(json.dumps({"requests": [{"custom_id": f"r{i}", "params": {}} for i in range(4)]}))
    with pytest.raises(BadBatch, match="at most 3"):
        take_in(tmp_path / "body", tmp_path / "rows")
