"""The book of a job: what is on the disk after a kill, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtrial.direct.journal import TAIL_BYTES, BrokenJournal, Journal, answered_so_far
from batchtrial.direct.records import Answer


def written(journal: Journal, *tell: Callable[[Journal], None]) -> None:
    """Tell it these things, and have them on the disk."""

    async def work() -> None:
        for one in tell:
            one(journal)
        await journal.commit()

    journal.begin()
    asyncio.run(work())


def answer(row: int, text: str = "{}") -> Callable[[Journal], None]:
    return lambda journal: journal.answered(row, Answer(200, text.encode(), f"req-{row}"))


def test_what_was_answered_is_there_again_in_order(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.jsonl", 3, {"payload": "x"})
    written(journal, lambda one: one.asked(2), answer(2, '{"a":"ä"}'), lambda one: one.asked(0), answer(0))
    again = Journal(journal.path)
    assert [(row, one.body.decode(), one.request_id) for row, one in again.answers()] == [(0, "{}", "req-0"), (2, '{"a":"ä"}', "req-2")]
    assert (again.about, again.n_rows, again.n_answered, list(again.open_rows()), again.is_whole) == ({"payload": "x"}, 3, 2, [1], False)
    assert again.n_maybe_twice == 0
    journal.close()


def test_rows_in_flight_at_a_kill_are_counted_once_each_time(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.jsonl", 4, {})
    written(journal, *(lambda one, row=row: one.asked(row) for row in range(3)), answer(0), lambda one: one.turned_away(1))
    journal.close()
    assert Journal(journal.path).n_maybe_twice == 1  # row 2; row 1 was sent away
    for n in (1, 2):
        again = Journal(journal.path)
        assert list(again.open_rows()) == [1, 2, 3]
        written(again, lambda one: one.asked(2))
        assert again.n_in_flight == n
        again.close()
    again = Journal(journal.path)
    written(again, lambda one: one.lost(2), answer(2), answer(1), answer(3))
    assert (again.n_in_flight, again.n_lost, again.n_maybe_twice, again.is_whole) == (3, 1, 4, True)
    again.close()


def test_a_torn_line_is_as_if_it_had_not_been_written(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.jsonl", 2, {})
    written(journal, lambda one: one.asked(0), answer(0, '{"long":"' + "x" * 50 + '"}'))
    journal.close()
    whole = journal.path.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        journal.path.write_bytes(whole[:cut])
        torn = Journal(journal.path)
        assert torn.n_answered == 0
        torn.begin()
        torn.close()
        assert journal.path.read_bytes().endswith(b"\n")
        Journal(journal.path)


def test_an_answer_stays_the_first_one(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.jsonl", 1, {})
    written(journal, answer(0, '"a"'), answer(0, '"b"'))
    journal.close()
    assert [one.body for _, one in Journal(journal.path).answers()] == [b'"a"']


@pytest.mark.parametrize("raw", [b"", b"{}\n", b"no json\n", b'{"n_rows":1}', b'{"n_rows":1}\n{"row":7,"body":1}\n', b'{"n_rows":1}\nrubbish\n'])
def test_what_is_no_book_is_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "j.jsonl").write_bytes(raw)
    with pytest.raises(BrokenJournal, match=r"j\.jsonl"):
        Journal(tmp_path / "j.jsonl")


def test_answers_so_far_are_counted_by_the_last_lines_of_a_large_file(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.jsonl", 40, {})
    assert answered_so_far(journal.path) == 0
    for row in range(0, 40, 2):
        written(journal, lambda one, row=row: one.asked(row), answer(row, '"' + "x" * 20_000 + '"'))  # type: ignore[misc]
    assert journal.path.stat().st_size > TAIL_BYTES
    assert answered_so_far(journal.path) == 20
    written(journal, lambda one: one.asked(1), lambda one: one.asked(3), answer(3))
    assert answered_so_far(journal.path) == 21
    journal.close()
