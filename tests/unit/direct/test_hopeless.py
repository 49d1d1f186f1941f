"""A server that refuses every row for one reason is asked no further; one that refuses some, or says different things, is."""

from __future__ import annotations

import json

import pytest

from batchtrial.direct.hopeless import ENOUGH, ENOUGH_AGAIN, Hopeless
from batchtrial.direct.records import Answer, as_text, error_of

NO_MODEL = Answer(404, json.dumps({"error": {"message": "no such model", "type": "not_found_error", "code": None}}).encode())


def test_the_same_refusal_again_and_again_ends_the_asking_of_that_batch() -> None:
    seen = Hopeless()
    assert [seen.note("1", NO_MODEL) for _ in range(ENOUGH)] == [False] * (ENOUGH - 1) + [True]
    told = seen.answer("1")
    assert told is not None
    assert told.status == 404
    problem = error_of(told)
    assert problem is not None
    assert problem["message"].startswith("no such model (not asked: 10 rows ")
    assert problem["code"] == "not_found_error"
    assert seen.answer("2") is None


def test_a_later_batch_with_that_refusal_is_given_up_sooner() -> None:
    seen = Hopeless()
    for _ in range(ENOUGH):
        seen.note("1", NO_MODEL)
    assert [seen.note("2", NO_MODEL) for _ in range(ENOUGH_AGAIN)] == [False] * (ENOUGH_AGAIN - 1) + [True]


def test_one_answer_shows_that_the_server_can() -> None:
    seen = Hopeless()
    seen.note("1", NO_MODEL)
    seen.note("1", Answer(200, b"{}"))
    assert not any(seen.note("1", NO_MODEL) for _ in range(5 * ENOUGH))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
def test_what_passes_by_itself_is_not_hopeless(status: int) -> None:
    seen = Hopeless()
    assert not any(seen.note("1", Answer(status, b'"busy"')) for _ in range(5 * ENOUGH))


@pytest.mark.parametrize("body", ["<html>404, request {n}</html>", {"detail": [{"loc": ["body"], "msg": "Field required", "input": "{n}"}]}])
def test_what_a_refusal_quotes_of_its_row_is_no_other_reason(body: object) -> None:
    seen = Hopeless()
    told = [seen.note("1", Answer(404, json.dumps(body).replace("{n}", str(n)).encode())) for n in range(ENOUGH)]
    assert told == [False] * (ENOUGH - 1) + [True]


def test_refusals_that_differ_are_about_their_rows() -> None:
    seen = Hopeless()
    assert not any(seen.note("1", Answer(400, json.dumps(f"row {n} is too long").encode())) for n in range(5 * ENOUGH))


def test_pages_instead_of_json_are_no_answers() -> None:
    """A web site, or a proxy's login, takes every request with 200: each row would stay as it came, and the trial would have no answer."""
    seen = Hopeless()
    pages = [Answer(200, as_text(f"<html>welcome, request {n}</html>".encode())) for n in range(ENOUGH)]
    assert [seen.note("1", one) for one in pages] == [False] * (ENOUGH - 1) + [True]
    told = seen.answer("1")
    assert told is not None
    assert (told.status, str((error_of(told) or {})["message"]).startswith("what answers there is no API")) == (404, True)


def test_a_page_among_answers_is_a_row_of_its_own() -> None:
    seen = Hopeless()
    seen.note("1", Answer(200, b'{"choices": []}'))
    assert not any(seen.note("1", Answer(200, as_text(b"<html>"))) for _ in range(5 * ENOUGH))
