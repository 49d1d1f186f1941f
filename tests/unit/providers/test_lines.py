"""Chunks into lines: whatever the cuts, the same lines; a cut body and a trickle are noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import ProviderError
from batchtrial.providers.sdk.lines import split_lines, watched

LINES = st.lists(st.binary(min_size=1, max_size=30).map(lambda raw: b'"' + raw.hex().encode() + b'"'), max_size=8)


def cut(body: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(body)) for place in at})
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


@given(LINES, st.lists(st.integers(0, 300), max_size=10), st.booleans())
def test_lines_do_not_depend_on_where_the_body_was_cut(lines: list[bytes], at: list[int], is_ended: bool) -> None:
    body = b"\n".join(lines) + (b"\n" if is_ended else b"")
    assert list(split_lines(cut(body, at))) == [line + b"\n" for line in lines]


def test_empty_lines_and_carriage_returns_go() -> None:
    assert list(split_lines([b'\n"a"\r\n', b' \n\n"b"\r\n'])) == [b'"a"\n', b'"b"\n']


def test_a_line_over_the_bound_is_cut_and_the_next_is_whole() -> None:
    chunks = [b"x" * 7, b"y" * 7, b"z\n", b"next\n"]
    assert list(split_lines(chunks, max_bytes=10)) == [b"xxxxxxxyyy\n", b"next\n"]


def test_memory_is_bounded_for_a_line_without_end() -> None:
    chunks = (b"x" * 1_000_000 for _ in range(200))
    with pytest.raises(ProviderError):
        list(split_lines(chunks, max_bytes=2_000_000))


@pytest.mark.parametrize("tail", [b'{"a":', b'{"a":"x', b"{", b'"', b"[1,"])
def test_a_body_cut_in_a_line_can_be_fetched_again(tail: bytes) -> None:
    found = split_lines([b'"a"\n', tail])
    assert next(found) == b'"a"\n'
    with pytest.raises(ProviderError) as caught:
        next(found)
    assert caught.value.retryable


def ticking(*seconds: float) -> Iterator[float]:
    now = 0.0
    yield now
    for step in seconds:
        now += step
        yield now
        yield now


def test_a_trickle_ends() -> None:
    times = ticking(*[10.0] * 20)
    with pytest.raises(ProviderError) as caught:
        list(watched([b"x"] * 20, patience=60.0, clock=lambda: next(times)))
    assert caught.value.retryable
    assert "60 s" in caught.value.what


def test_a_slow_reader_is_no_trickle() -> None:
    now = 0.0

    def clock() -> float:
        return now

    got = 0
    for chunk in watched([b"x" * 100] * 50, patience=60.0, clock=clock):
        now += 1000.0
        got += len(chunk)
    assert got == 5000


def test_a_fast_download_is_left_alone() -> None:
    times = ticking(*[10.0] * 40)
    assert len(list(watched([b"x" * 10_000] * 20, patience=60.0, clock=lambda: next(times)))) == 20
