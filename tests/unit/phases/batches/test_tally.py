"""What attempts brought: every row counted once, under one of five outcomes, and only rows worth it asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.phases.batches.tally import Tally, absent_outcome, count, fate, rows, tally
from batchtrial.records import BadLine, Outcome, RawResult, Usage
from batchtrial.state.entries import Counts
from batchtrial.state.ledger import Attempt

IDS = ("a", "b", "c", "d")


def decode(line: bytes) -> RawResult:
    """A wire of one word per fact: id, outcome, and `!` when asking again is no use."""
    try:
        custom_id, word, *rest = line.decode().split()
        outcome = Outcome(word)
    except ValueError as error:
        raise BadLine(str(error)) from None
    usage = Usage(input_tokens=10, output_tokens=1) if outcome is Outcome.SUCCEEDED else None
    return RawResult(custom_id=custom_id, outcome=outcome, text="x" if usage else None, usage=usage, retryable="!" not in rest)


def counted(*lines: str, expected: Sequence[str] = IDS, absent: Outcome = Outcome.MISSING) -> Tally:
    found = Tally(frozenset(expected), absent)
    for line in lines:
        found.add(line.encode(), decode)
    found.settle([line.encode() for line in lines], decode)
    return found


def decode_used(line: bytes) -> RawResult:
    """A wire that says what was used: id, outcome, text, tokens; `-` for none."""
    custom_id, word, text, tokens = line.decode().split()
    usage = None if tokens == "-" else Usage(input_tokens=int(tokens), output_tokens=1)
    return RawResult(custom_id=custom_id, outcome=Outcome(word), text=text, usage=usage)


@pytest.mark.parametrize(
    ("lines", "tokens", "n_without_usage", "billed_again"),
    [
        (("a succeeded x 10", "a succeeded y 99"), [10], 0, 1),
        (("a succeeded x 99", "a succeeded y 10"), [99], 0, 1),
        (("a succeeded x 10", "a succeeded x 99"), [10], 0, 1),
        (("a succeeded x 10", "a succeeded x 10"), [10], 0, 0),
        (("a succeeded x -", "a succeeded y 10"), [], 1, 1),
        (("a succeeded x -", "a succeeded x 10"), [10], 0, 1),
        (("a succeeded x 10", "a errored y 99"), [10], 0, 1),
        (("a succeeded x 10", "a errored y -"), [10], 0, 0),
        (("a errored x -", "a errored y 10"), [], 0, 1),
        (("a succeeded x 10", "a succeeded y 20", "a succeeded z 30"), [10], 0, 2),
    ],
)
def test_the_chosen_line_is_billed_in_any_order_and_the_others_are_said(
    lines: Sequence[str], tokens: list[int], n_without_usage: int, billed_again: int, tmp_path: Path
) -> None:
    (tmp_path / "sent").write_text('{"custom_id": "a"}\n')
    for order in permutations(lines):
        (tmp_path / "came").write_text("".join(f"{line}\n" for line in order))
        got = tally(tmp_path / "sent", tmp_path / "came", None, decode_used)
        assert [one.input_tokens for one in got.usage] == tokens
        assert got.n_without_usage == n_without_usage
        assert got.odd.get("billed_again", 0) == billed_again
        assert got.odd["duplicate"] == len(lines) - 1
        assert got.counts.total == 1


def test_every_row_has_exactly_one_outcome() -> None:
    got = counted("a succeeded", "b errored", "c expired")
    assert got.counts == Counts(succeeded=1, errored=1, expired=1, missing=1)


def test_odd_lines_are_counted_and_change_nothing_else() -> None:
    got = counted("a succeeded", "a succeeded", "who succeeded", "not a line of ours", "\xff")
    assert got.odd == {"malformed": 2, "unknown": 1, "duplicate": 1}
    assert got.counts == Counts(succeeded=1, missing=3)
    assert len(got.usage) == 1, "a repeated row is billed once"


def test_a_success_beats_an_error_whatever_comes_first() -> None:
    for lines in (("a succeeded", "a errored !"), ("a errored !", "a succeeded")):
        got = counted(*lines)
        assert got.outcomes["a"] is Outcome.SUCCEEDED
        assert got.dead == set()
        assert len(got.usage) == 1


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("JOB_STATE_EXPIRED", Outcome.EXPIRED),
        ("expired", Outcome.EXPIRED),
        ("JOB_STATE_CANCELLED", Outcome.CANCELLED),
        ("canceled", Outcome.CANCELLED),
        ("JOB_STATE_COMPLETED", Outcome.MISSING),
        ("ended", Outcome.MISSING),
        (None, Outcome.MISSING),
    ],
)
def test_a_row_without_a_line_is_what_its_batch_became(word: str | None, outcome: Outcome) -> None:
    assert absent_outcome(word) is outcome


@given(st.lists(st.tuples(st.sampled_from((*IDS, "zz")), st.sampled_from([*Outcome]), st.booleans()), max_size=12))
def test_the_five_counts_add_up_to_what_was_asked_whatever_arrives(lines: list[tuple[str, Outcome, bool]]) -> None:
    got = counted(*(f"{one} {outcome} {'!' if is_dead else ''}" for one, outcome, is_dead in lines))
    assert got.counts.total == len(IDS)
    assert got.dead <= {one for one in IDS if got.outcomes.get(one) is Outcome.ERRORED}
    assert len(got.usage) == got.counts.succeeded


def test_counts_are_counted() -> None:
    assert count([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.CANCELLED]) == Counts(succeeded=2, cancelled=1)


class Folder:
    """A part's files: what was asked, and what each attempt brought."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.whole = self.ask("part", IDS)
        self.attempts: list[Attempt] = []

    def ask(self, name: str, ids: Sequence[str]) -> Path:
        path = self.root / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"custom_id": one}) + "\n" for one in ids))
        return path

    def file(self, attempt: int) -> Path:
        return self.root / f"results_{attempt}.txt"

    def attempt(self, asked: Sequence[str], lines: Sequence[str] | None, **facts: object) -> None:
        """One more attempt; no lines: nothing was saved."""
        number = len(self.attempts) + 1
        payload = self.whole if number == 1 else self.ask(f"a{number}", asked)
        if lines is not None:
            self.file(number).write_text("".join(f"{line}\n" for line in lines))
        fields: Mapping[str, object] = {"is_saved": lines is not None, **facts}
        self.attempts.append(
            Attempt(
                number=number,
                token="",
                payload=payload.name,
                payload_sha256="",
                n_requests=len(asked),
                reserved_usd=Decimal(0),
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
                **fields,  # type: ignore[arg-type]
            )
        )

    def fate(self) -> tuple[dict[str, Outcome], tuple[str, ...], Counts]:
        found = fate(self.whole, self.attempts, self.root, self.file, decode)
        return found.outcomes, found.again, found.counts


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_only_rows_that_came_back_without_an_answer_are_asked_again(folder: Folder) -> None:
    folder.attempt(IDS, ["d expired", "b errored", "a succeeded", "c cancelled"])
    _, again, counts = folder.fate()
    assert again == ("b", "c", "d"), "in request order, not in the order of the lines"
    assert counts == Counts(succeeded=1, errored=1, expired=1, cancelled=1)


def test_the_unanswered_rest_of_an_expired_batch_is_asked_again(folder: Folder) -> None:
    folder.attempt(IDS, ["a succeeded", "b succeeded"], wire_state="JOB_STATE_EXPIRED")
    _, again, counts = folder.fate()
    assert again == ("c", "d")
    assert counts == Counts(succeeded=2, expired=2)


def test_a_missing_row_is_reported_and_not_bought_again(folder: Folder) -> None:
    folder.attempt(IDS, ["a succeeded", "b succeeded", "c succeeded"], wire_state="JOB_STATE_COMPLETED")
    _, again, counts = folder.fate()
    assert again == ()
    assert counts == Counts(succeeded=3, missing=1)


def test_a_row_that_can_never_succeed_is_not_asked_again(folder: Folder) -> None:
    folder.attempt(IDS, ["a succeeded", "b errored !", "c errored", "d succeeded"])
    assert folder.fate()[1] == ("c",)


def test_a_later_success_settles_a_row_and_an_earlier_one_is_never_lost(folder: Folder) -> None:
    folder.attempt(IDS, ["a succeeded", "b errored", "c errored", "d succeeded"])
    folder.attempt(["b", "c"], ["b succeeded", "c errored"])
    outcomes, again, counts = folder.fate()
    assert outcomes == {"a": Outcome.SUCCEEDED, "b": Outcome.SUCCEEDED, "c": Outcome.ERRORED, "d": Outcome.SUCCEEDED}
    assert again == ("c",)
    assert counts.succeeded == 3


def test_a_refused_batch_is_asked_again_unless_refusal_is_certain(folder: Folder) -> None:
    folder.attempt(IDS, None, is_rejected=True)
    assert folder.fate()[1:] == (IDS, Counts(errored=4))
    folder.attempts.clear()
    folder.attempt(IDS, None, is_rejected=True, is_hopeless=True)
    assert folder.fate()[1:] == ((), Counts(errored=4))


def test_rows_of_a_batch_that_is_gone_are_missing_and_not_bought_again(folder: Folder) -> None:
    folder.attempt(IDS, None, is_gone=True)
    assert folder.fate()[1:] == ((), Counts(missing=4))


def test_an_attempt_that_never_arrived_counts_for_nothing(folder: Folder) -> None:
    folder.attempt(IDS, None, is_lost=True)
    assert folder.fate()[1:] == ((), Counts(missing=4))


def test_rows_sent_again_are_the_bytes_first_sent(folder: Folder) -> None:
    whole = folder.whole.read_bytes().splitlines(keepends=True)
    assert list(rows(folder.whole, ("d", "b"))) == [whole[1], whole[3]]


def test_blank_lines_are_no_lines(folder: Folder) -> None:
    folder.attempt(IDS, ["a succeeded", "", "   ", "b succeeded"])
    got = tally(folder.whole, folder.file(1), None, decode)
    assert (got.odd["malformed"], got.counts) == (0, Counts(succeeded=2, missing=2))
