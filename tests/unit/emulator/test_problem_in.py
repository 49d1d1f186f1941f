"""What a real server said to a row, in its own words."""

from __future__ import annotations

import json

import pytest

from batchtrial.emulator.answers.rows import UpstreamAnswer, problem_in


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
