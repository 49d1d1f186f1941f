"""The endpoints of OpenAI's API that answer requests, one by one or as rows of a batch: how each reads a body, and how it writes its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.request import ChatRequest, from_chat, from_completion, from_embeddings, from_responses
from batchtrial.emulator.answers.simulation import Answer
from batchtrial.emulator.answers.vectors import embeddings


@dataclass(frozen=True, slots=True)
class Form:
    """read: custom_id and body. write: seed, key of ids inside the answer, request, choices."""

    read: Callable[[str, dict[str, Any]], ChatRequest]
    write: Callable[[int, str, ChatRequest, tuple[Answer, ...]], dict[str, Any]]


def _embeddings(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    assert chat.vectors is not None
    return embeddings(chat.model, chat.vectors)


CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"
ENDPOINTS: Final[Mapping[str, Form]] = {
    CHAT: Form(from_chat, bodies.chat_completion),
    RESPONSES: Form(from_responses, bodies.response),
    COMPLETIONS: Form(from_completion, bodies.text_completion),
    EMBEDDINGS: Form(from_embeddings, _embeddings),
}
