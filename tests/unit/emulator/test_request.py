"""What a request asks is read the same from every wire's spelling of it."""

from __future__ import annotations

from typing import Any

import pytest

from batchtrial.emulator.answers.request import BadRequest, ChatRequest, from_chat, from_messages, from_responses

SYSTEM, USER = "Be brief.", "Who?"


@pytest.mark.parametrize(
    "chat",
    [
        from_chat("a", {"model": "m", "max_tokens": 20, "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]}),
        from_chat(
            "a",
            {
                "model": "m",
                "max_completion_tokens": 20,
                "messages": [{"role": "developer", "content": SYSTEM}, {"role": "user", "content": [{"type": "text", "text": USER}]}],
            },
        ),
        from_chat("a", {"max_tokens": 20, "messages": [{"role": "user", "content": USER}]}, model="m", system=SYSTEM),
        from_responses("a", {"model": "m", "max_output_tokens": 20, "instructions": SYSTEM, "input": USER}),
        from_responses(
            "a",
            {
                "model": "m",
                "max_output_tokens": 20,
                "input": [
                    {"role": "system", "content": SYSTEM},
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": USER}]},
                ],
            },
        ),
        from_messages(
            "a", {"model": "m", "max_tokens": 20, "system": [{"type": "text", "text": SYSTEM}], "messages": [{"role": "user", "content": USER}]}
        ),
    ],
)
def test_the_same_request_in_every_spelling(chat: ChatRequest) -> None:
    assert chat == ChatRequest(custom_id="a", model="m", system=SYSTEM, user=USER, n_chars=len(SYSTEM + USER), max_tokens=20)


def test_the_question_is_the_last_user_turn() -> None:
    turns = [("user", "First?"), ("assistant", "Yes."), ("user", "Second?"), ("assistant", None)]
    chat = from_chat("a", {"model": "m", "messages": [{"role": role, "content": content} for role, content in turns]})
    assert (chat.user, chat.n_chars) == ("Second?", len("First?Yes.Second?"))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a", 3]}, "stop"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"text": 3}]}]}, "messages.0.content.text"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
    ],
)
def test_what_an_endpoint_would_refuse(change: dict[str, Any], param: str) -> None:
    good: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": USER}], "stop": "\n"}
    assert from_chat("a", good).stop == ("\n",)
    with pytest.raises(BadRequest) as refused:
        from_chat("a", good | change)
    assert refused.value.param == param


def test_messages_need_max_tokens() -> None:
    with pytest.raises(BadRequest, match="max_tokens"):
        from_messages("a", {"model": "m", "messages": [{"role": "user", "content": USER}]})
