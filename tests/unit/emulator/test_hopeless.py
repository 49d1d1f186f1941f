"""A server that refuses every row for one reason is asked no further; one that refuses some, or says different things, is."""

from __future__ import annotations

import json

import pytest

from batchtrial.emulator.answers.hopeless import ENOUGH, ENOUGH_AGAIN, Hopeless
from batchtrial.emulator.answers.rows import UpstreamAnswer, problem_in

NO_MODEL = UpstreamAnswer(404, json.dumps({"error": {"message": "no such model", "type": "not_found_error", "code": None}}))


def test_the_same_refusal_again_and_again_ends_the_asking_of_that_batch() -> None:
    seen = Hopeless()
    assert [seen.note(1, NO_MODEL) for _ in range(ENOUGH)] == [False] * (ENOUGH - 1) + [True]
    told = seen.answer(1)
    assert told is not None
    assert told.status == 404
    assert told.body.startswith("no such model (not asked: 10 rows ")
    assert seen.answer(2) is None


def test_a_later_batch_with_that_refusal_is_given_up_sooner() -> None:
    seen = Hopeless()
    for _ in range(ENOUGH):
        seen.note(1, NO_MODEL)
    assert [seen.note(2, NO_MODEL) for _ in range(ENOUGH_AGAIN)] == [False] * (ENOUGH_AGAIN - 1) + [True]


def test_one_answer_shows_that_the_server_can() -> None:
    seen = Hopeless()
    seen.note(1, NO_MODEL)
    seen.note(1, UpstreamAnswer(200, "{}"))
    assert not any(seen.note(1, NO_MODEL) for _ in range(5 * ENOUGH))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
def test_what_passes_by_itself_is_not_hopeless(status: int) -> None:
    seen = Hopeless()
    assert not any(seen.note(1, UpstreamAnswer(status, "busy")) for _ in range(5 * ENOUGH))


def test_refusals_that_differ_are_about_their_rows() -> None:
    seen = Hopeless()
    assert not any(seen.note(1, UpstreamAnswer(400, f"row {n} is too long")) for n in range(5 * ENOUGH))


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (404, {"error": {"message": "m9 not found", "type": "api_error", "code": None}}, "m9 not found", "api_error"),
        (
            400,
            {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400},
            "System role not supported",
            "BadRequestError",
        ),
        (422, {"detail": [{"msg": "extra fields"}]}, '[{"msg":"extra fields"}]', None),
        (500, {"error": "died"}, "died", None),
        (500, {"whatever": 1}, '{"whatever":1}', None),
    ],
)
def test_the_servers_words_are_kept(status: int, body: object, message: str, code: str | None) -> None:
    problem = problem_in(UpstreamAnswer(status, json.dumps(body)))
    assert problem is not None
    assert (problem.status, problem.message, problem.code) == (status, message, code)


def test_an_error_that_came_with_status_200_is_told_as_it_is() -> None:
    problem = problem_in(UpstreamAnswer(200, json.dumps({"error": {"message": "overloaded", "code": "overloaded"}})))
    assert problem is not None
    assert (problem.status, problem.body) == (200, {"error": {"message": "overloaded", "code": "overloaded"}})
    assert problem_in(UpstreamAnswer(200, json.dumps({"choices": [1], "error": None}))) is None
    assert problem_in(UpstreamAnswer(200, json.dumps("a page"))) is None
