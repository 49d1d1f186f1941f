"""What one request asks, whatever its wire: the text, the model, the sampling parameters.

Only what was really received counts: an arm is recognised by its prompt, so that swapped prompts come out as swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from batchtrial.emulator.answers.output_form import TEXT, BadForm, OutputForm, of_chat, of_message, of_response
from batchtrial.emulator.answers.vectors import BadInput, Vectors, vectors_in

PARAMETERS: Final = ("temperature", "top_p", "top_k", "max_tokens", "n", "seed", "stop")


class BadRequest(ValueError):
    """A request body that the endpoint would answer with HTTP 400; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request as text and parameters; None means that the request did not set it."""

    custom_id: str
    model: str
    system: str
    user: str  # the last user turn: what the question is read from
    n_chars: int  # of all turns, for counting tokens
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    form: OutputForm = TEXT  # that the answer is to have
    vectors: Vectors | None = None  # wanted in the place of an answer

    def parameters(self) -> dict[str, Any]:
        """Sampling parameters, for showing."""
        return {name: getattr(self, name) for name in PARAMETERS}


def text_of(content: Any, param: str) -> str:
    """Text of a message content: a string, or a list of text parts. Raises BadRequest."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part_text(part, param) for part in content)
    raise BadRequest(f"{param}: expected a string or a list of content parts", param)


def _part_text(part: Any, param: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise BadRequest(f"{param}: a content part must be an object", param)
    text = part.get("text", "")
    if not isinstance(text, str):
        raise BadRequest(f"{param}.text: expected a string", f"{param}.text")
    return text


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of a conversation, sorted by who speaks."""

    system: str
    user: str
    n_chars: int


def turns(messages: Any, param: str = "messages", extra_system: str = "") -> Turns:
    """Read a list of chat messages. Raises BadRequest when it is not one."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest(f"{param}: expected a non-empty list of messages", param)
    system = [extra_system] if extra_system else []
    user, n_chars = "", len(extra_system)
    for position, message in enumerate(messages):
        where = f"{param}.{position}"
        if not isinstance(message, dict):
            raise BadRequest(f"{where}: expected an object", where)
        role = message.get("role", "user")
        text = text_of(message.get("content"), f"{where}.content")
        n_chars += len(text)
        if role in ("system", "developer"):
            system.append(text)
        elif role == "user":
            user = text
        elif role not in ("assistant", "tool", "function"):
            raise BadRequest(f"{where}.role: {role!r} is not a role", f"{where}.role")
    return Turns("\n".join(system), user, n_chars)


def _number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadRequest(f"{key}: expected a number from {low:g} to {high:g}", key)
    return float(value)


def _integer(body: Mapping[str, Any], key: str, low: int = 1) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise BadRequest(f"{key}: expected an integer of at least {low}", key)
    return value


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise BadRequest("stop: expected a string or a list of strings", "stop")
    return tuple(each for each in found if each)


def _form(read: Callable[[Mapping[str, Any]], OutputForm], body: Mapping[str, Any]) -> OutputForm:
    try:
        return read(body)
    except BadForm as err:
        raise BadRequest(str(err), err.param) from None


def _model(body: Mapping[str, Any], default: str) -> str:
    model = body.get("model", default)
    if not isinstance(model, str) or not model:
        raise BadRequest("model: expected a model name", "model")
    return model


def _common(custom_id: str, body: Mapping[str, Any], found: Turns, model: str, *, hottest: float) -> dict[str, Any]:
    """What the bodies of all endpoints spell alike."""
    return {
        "custom_id": custom_id,
        "model": _model(body, model),
        "system": found.system,
        "user": found.user,
        "n_chars": found.n_chars,
        "temperature": _number(body, "temperature", 0.0, hottest),
        "top_p": _number(body, "top_p", 0.0, 1.0),
    }


def from_chat(custom_id: str, body: Mapping[str, Any], *, model: str = "", system: str = "") -> ChatRequest:
    """A `/v1/chat/completions` body; `model` and `system` as given on the job, where a wire has them there."""
    found = turns(body.get("messages"), extra_system=system)
    max_tokens = _integer(body, "max_completion_tokens")
    return ChatRequest(
        **_common(custom_id, body, found, model, hottest=2.0),
        top_k=_integer(body, "top_k", low=-1),
        max_tokens=max_tokens if max_tokens is not None else _integer(body, "max_tokens"),
        n=_integer(body, "n") or 1,
        seed=_integer(body, "seed", low=-(2**63)),
        stop=_stop(body.get("stop")),
        form=_form(of_chat, body),
    )


def from_responses(custom_id: str, body: Mapping[str, Any]) -> ChatRequest:
    """A `/v1/responses` body."""
    given_input = body.get("input")
    messages = [{"role": "user", "content": given_input}] if isinstance(given_input, str) else given_input
    if isinstance(messages, list):
        messages = [each for each in messages if not isinstance(each, dict) or each.get("type", "message") == "message"]
    found = turns(messages, "input", extra_system=text_of(body.get("instructions"), "instructions"))
    return ChatRequest(
        **_common(custom_id, body, found, "", hottest=2.0),
        max_tokens=_integer(body, "max_output_tokens", low=16),
        form=_form(of_response, body),
    )


def from_messages(custom_id: str, params: Mapping[str, Any]) -> ChatRequest:
    """An Anthropic `/v1/messages` body."""
    found = turns(params.get("messages"), extra_system=text_of(params.get("system"), "system"))
    max_tokens = _integer(params, "max_tokens")
    if max_tokens is None:
        raise BadRequest("max_tokens: Field required", "max_tokens")
    return ChatRequest(
        **_common(custom_id, params, found, "", hottest=1.0),
        top_k=_integer(params, "top_k", low=0),
        max_tokens=max_tokens,
        stop=_stop(params.get("stop_sequences")),
        form=_form(of_message, params),
    )


def from_completion(custom_id: str, body: Mapping[str, Any]) -> ChatRequest:
    """A `/v1/completions` body with one prompt."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRequest("prompt: the emulator takes one text a request", "prompt")
    max_tokens = _integer(body, "max_tokens", low=0)
    return ChatRequest(
        **_common(custom_id, body, Turns("", prompt, len(prompt)), "", hottest=2.0),
        max_tokens=16 if max_tokens is None else max_tokens,
        n=_integer(body, "n") or 1,
        seed=_integer(body, "seed", low=-(2**63)),
        stop=_stop(body.get("stop")),
    )


def from_embeddings(custom_id: str, body: Mapping[str, Any]) -> ChatRequest:
    """A `/v1/embeddings` body."""
    try:
        wanted = vectors_in(body)
    except BadInput as err:
        raise BadRequest(str(err), err.param) from None
    text = "\n".join(wanted.inputs)
    return ChatRequest(**_common(custom_id, body, Turns("", text, len(text)), "", hottest=2.0), vectors=wanted)
