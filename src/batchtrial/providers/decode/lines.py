"""Result lines of OpenAI's shape and its relatives, decoded one by one; nothing here touches a wire or a file.

`decode_line` takes any JSON that a vendor may send and judges it by content. It is the reference that the column readers of `rows.py`, which know
only plain success lines, are held to and hand every other line to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchtrial.direct.records import listed_faults
from batchtrial.providers.decode.contents import Content, first_answer, is_call, read_content
from batchtrial.providers.decode.finish import INCOMPLETE, is_fault, is_known, state_by_finish
from batchtrial.providers.sdk.lines import MAX_DEPTH, MAX_LINE_BYTES, is_too_deep
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Usage

MAX_ID_CHARS = 128
MAX_ERROR_CHARS = 2000
EXCERPT_CHARS = 200
MOST_DIGITS = 4000
MAX_COUNT = 10**12
"""A token count beyond this is nonsense, and would not fit into a table's integers when added up."""

# Codes that name a fault of the request itself: the same row again gives the same answer.
HOPELESS_CODES = frozenset(
    {
        "invalid_request_error",
        "invalid_argument",
        "invalid_request",
        "invalid_prompt",
        "invalid_value",
        "invalid_type",
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "missing_required_parameter",
        "context_length_exceeded",
        "string_above_max_length",
        "model_not_found",
        "not_found",
        "not_found_error",
        "permission_denied",
        "permission_error",
        "unauthenticated",
        "authentication_error",
        "request_too_large",
        "out_of_range",
        "unimplemented",
        "parse_error",
        "content_policy_violation",
        "billing_error",
    }
)
HOPELESS_GRPC = frozenset({3, 5, 6, 7, 11, 12, 16})
PASSING_STATUS = frozenset({408, 409, 425, 429})
# Codes that name a fault that passes by itself. An error that came with status 200 is asked again only when its code is one of them.
PASSING_CODES = frozenset(
    {
        "server_error",
        "internal_error",
        "internal_server_error",
        "internal",
        "api_error",
        "overloaded",
        "overloaded_error",
        "engine_overloaded",
        "rate_limit_exceeded",
        "rate_limit_error",
        "too_many_requests",
        "resource_exhausted",
        "unavailable",
        "service_unavailable",
        "unavailable_error",
        "timeout",
        "timeout_error",
        "request_timeout",
        "deadline_exceeded",
        "aborted",
    }
)
PASSING_GRPC = frozenset({4, 8, 10, 13, 14})
THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Where servers put what a model thought, beside the answer's text."""
CALLS_OF_OURS = frozenset({"function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call"})
"""Output items that wait for the caller: what is said beside them is no last word."""
EXPIRED_CODES = frozenset({"batch_expired", "expired"})
CANCELLED_CODES = frozenset({"batch_cancelled", "batch_canceled", "cancelled", "canceled"})


def load_object(line: bytes, key: str = "custom_id") -> tuple[str, dict[str, Any]]:
    """(custom_id, the line's object). key: what the wire calls the id.

    Raises BadLine when the line is not one JSON object with an id in valid UTF-8.
    """
    if len(line) > MAX_LINE_BYTES:
        raise BadLine(f"line of {len(line)} bytes is over the bound of {MAX_LINE_BYTES}")
    if b"\x00" in line:
        raise BadLine("line holds a NUL byte")
    if is_too_deep(line):
        raise BadLine(f"nested more than {MAX_DEPTH} levels deep")
    try:
        value = _loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadLine(f"not valid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadLine("nested too deeply") from None
    except ValueError as error:
        raise BadLine(f"not JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise BadLine(f"not a JSON object but {type(value).__name__}")
    custom_id = value.get(key)
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_ID_CHARS:
        raise BadLine("no usable custom_id")
    if "\x00" in custom_id or any("\ud800" <= char <= "\udfff" for char in custom_id):
        raise BadLine("custom_id is not text")
    return custom_id, value


def _loads(text: str) -> Any:
    """The JSON value; a whole number with more digits than Python reads is infinite, as it is where JSON has only floats."""
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < MOST_DIGITS else float(digits))


def decode_line(line: bytes) -> RawResult:
    """Any result line of OpenAI's family, flat or wrapped, success or error. Raises BadLine."""
    custom_id, value = load_object(line)
    response = value.get("response")
    if response is None and ("choices" in value or "output" in value):
        response = value
    why = None
    if isinstance(response, str) and response:
        response, why = unwrapped(response)
        if not isinstance(response, dict):
            return not_understood(custom_id, why or "an answer that is no JSON object", text_of(value.get("id")), response)
    if isinstance(response, int | float) and not isinstance(response, bool):
        raise BadLine("the response is a number")
    reply: Mapping[str, Any] = response if isinstance(response, dict) else {}
    request_id = text_of(reply.get("request_id")) or text_of(reply.get("id")) or text_of(value.get("id"))
    status = count(reply.get("status_code"))
    wrapped = ("status_code" in reply or "body" in reply) and not ("choices" in reply or "output" in reply)
    body, why = unwrapped(reply.get("body") if wrapped else reply)
    if value.get("error"):
        return failure(custom_id, value["error"], status, request_id)
    if status is not None and not 200 <= status < 300:
        fault = body.get("error", body) if isinstance(body, dict) else body
        return failure(custom_id, fault, status, request_id)
    if isinstance(body, dict) and body.get("error"):
        return failure(custom_id, body["error"], status, request_id, body)
    if status is None and not body:
        return failure(custom_id, None, None, request_id)
    if isinstance(body, dict) and body.get("object") == "error":
        return failure(custom_id, body, status, request_id)
    if not isinstance(body, dict):
        return not_understood(custom_id, why or "an answer without choices", request_id, body)
    return _success(custom_id, body, request_id)


def unwrapped(body: object) -> tuple[object, str | None]:
    """(the body, also when it came as JSON inside a text, as one server sends it; why a text is no such JSON)."""
    if not isinstance(body, str):
        return body, None
    if is_too_deep(body.encode("utf-8", "replace")):
        return body, f"an answer nested more than {MAX_DEPTH} levels deep"
    try:
        return _loads(body), None
    except RecursionError:
        return body, "an answer nested too deeply"
    except ValueError as error:
        return body, f"an answer that is no JSON ({error})"[:120]


def not_understood(custom_id: str, why: str, request_id: str | None, body: object) -> RawResult:
    """The record of an answer that the provider calls a success and that cannot be read: it may have been billed, and is not asked for again."""
    usage = usage_of(body.get("usage")) if isinstance(body, dict) else None
    shown = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    error = clean(f"not_understood: {why}: {shown[:EXCERPT_CHARS]}")
    state = AnswerState.NOT_UNDERSTOOD
    return RawResult(custom_id=custom_id, outcome=Outcome.SUCCEEDED, request_id=request_id, usage=usage, error=error, retryable=False, state=state)


def _success(custom_id: str, body: Mapping[str, Any], request_id: str | None) -> RawResult:
    """Of a body that names no error. What ended in a fault of the server, or holds something else than text, is not understood."""
    if body.get("choices"):
        first = first_answer(body["choices"])
        if first is None:
            return not_understood(custom_id, "the response has no message", request_id, body)
        if first.get("error"):
            return failure(custom_id, first["error"], 200, request_id, body)
        message, legacy = first.get("message"), first.get("text")
        if not isinstance(message, dict):
            if not isinstance(legacy, str):
                return not_understood(custom_id, "the response has no message", request_id, body)
            message = {"content": legacy}  # as the older completions endpoint has it
        if message.get("error"):
            return failure(custom_id, message["error"], 200, request_id, body)
        finish = text_of(first.get("finish_reason"))
        answer, state = _of_message(message, finish)
    else:
        status = body.get("status")
        if status in ("failed", "cancelled") and ("output" in body or body.get("object") == "response"):
            return failure(custom_id, _of_ended(body), 200, request_id, body)
        if not body.get("output") and not (status == "incomplete" and "output" in body):
            return not_understood(custom_id, "an answer without choices", request_id, body)
        finish = _responses_finish(body)
        answer, state = _of_output(body["output"], finish)
    if state is AnswerState.NOT_UNDERSTOOD:
        return not_understood(custom_id, why_not_understood(finish), request_id, body)
    return RawResult(
        custom_id=custom_id,
        outcome=Outcome.SUCCEEDED,
        text=clean(answer),
        finish_reason=finish,
        request_id=request_id,
        usage=usage_of(body.get("usage")),
        state=state,
    )


def why_not_understood(finish: str | None) -> str:
    """Why there is no answer where something stands in its place."""
    return f"the answer ended with {finish!r}" if is_fault(finish) else "the answer is no text"


def _of_message(message: Mapping[str, Any], finish: str | None) -> tuple[str, AnswerState]:
    """Text and state of a chat message."""
    content, refusal = read_content(message.get("content")), text_of(message.get("refusal"))
    return content.text or refusal or "", state_by_finish(
        finish,
        content,
        is_refusal=bool(message.get("refusal")) or "refusal" in content.kinds,
        has_tool_call=bool(message.get("tool_calls") or message.get("function_call")),
        has_thinking=any(bool(message.get(name)) for name in THINKING_FIELDS),
    )


def _of_output(output: object, finish: str | None) -> tuple[str, AnswerState]:
    """Text and state of the output items of a response."""
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        return "", AnswerState.NOT_UNDERSTOOD
    items = {str(item.get("type")) for item in output}
    messages = [item for item in output if item.get("type") == "message"]
    last_words = [item for item in messages if item.get("phase") == "final_answer"]
    said = [read_content(item.get("content")) for item in last_words or messages]
    is_read = not output or any(kind in ("message", "reasoning") or is_call(kind) for kind in items)
    kinds: frozenset[str] = frozenset().union(*(one.kinds for one in said))
    content = Content("".join(one.text for one in said), kinds, is_text=is_read and all(one.is_text for one in said))
    return content.text, state_by_finish(
        finish,
        content,
        is_refusal="refusal" in kinds,
        has_tool_call=not items.isdisjoint(CALLS_OF_OURS) or (not content.text and any(is_call(kind) for kind in items)),
        has_thinking="reasoning" in items,
    )


def _of_ended(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fault of a response that says how it ended and names no error."""
    details = body.get("incomplete_details")
    reason = text_of(details.get("reason")) if isinstance(details, dict) else None
    told = f"the response is {body['status']}"
    return {"code": body["status"], "message": f"{told}: {reason}" if reason else told}


def _responses_finish(body: Mapping[str, Any]) -> str | None:
    """The finish reason of a Responses body in the words of chat completions."""
    if body.get("status") != "incomplete":
        return "stop" if body.get("status") == "completed" else text_of(body.get("status"))
    details = body.get("incomplete_details")
    reason = text_of(details.get("reason")) if isinstance(details, dict) else None
    if reason is None or reason == "max_output_tokens":
        return "length"
    return reason if is_known(reason) else f"{INCOMPLETE}: {reason}"


def failure(custom_id: str, fault: object, status: int | None, request_id: str | None, body: Mapping[str, Any] | None = None) -> RawResult:
    """The record of a row that did not succeed: its outcome by the error's code, and whether the same row can succeed another time.

    body: what came beside the error, whose tokens were billed all the same.
    """
    if isinstance(fault, dict) and fault.keys() == {"error"}:
        fault = fault["error"]
    code: object = None
    message = ""
    if isinstance(fault, dict):
        code = fault.get("code") if fault.get("code") is not None else fault.get("type")
        message = _words(fault)
    elif fault:
        message = str(fault)
    word = str(code).lower() if code is not None else ""
    outcome = Outcome.ERRORED
    if word in EXPIRED_CODES:
        outcome = Outcome.EXPIRED
    elif word in CANCELLED_CODES:
        outcome = Outcome.CANCELLED
    kind = fault.get("type") if isinstance(fault, dict) else None
    shown = str(code) if code is not None else (f"HTTP {status}" if status and status >= 400 else "no_code")
    return RawResult(
        custom_id=custom_id,
        outcome=outcome,
        error=clean(f"{shown}: {message or 'the line has neither an answer nor a reason'}")[:MAX_ERROR_CHARS],
        request_id=request_id,
        usage=None if body is None else usage_of(body.get("usage")),
        retryable=outcome is not Outcome.ERRORED or _is_worth_another_try(code, kind, status),
    )


def _words(fault: Mapping[str, Any]) -> str:
    """What the server says in an error object: its message, or what stands where some servers have it, or the object itself."""
    if (listed := listed_faults(fault)) is not None:
        return listed
    told = next((fault[name] for name in ("message", "detail", "error", "reason") if fault.get(name)), None)
    if told is None and not (fault.keys() - {"code", "type"}):
        return ""
    told = fault if told is None else told
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)


def _is_worth_another_try(code: object, kind: object, status: int | None) -> bool:
    if status is not None and 200 <= status < 300:
        return _is_passing(code, kind)
    return not _is_hopeless(code, kind, status)


def _is_passing(code: object, kind: object) -> bool:
    """Whether the code itself says that the fault passes: the provider called the row a success, and may have billed it."""
    number = count(code)
    if number is not None:
        return number in PASSING_STATUS or number >= 500 or number in PASSING_GRPC
    words = [str(word).lower() for word in (code, kind) if word is not None]
    return any(word in PASSING_CODES for word in words) and not any(word in HOPELESS_CODES for word in words)


def _is_hopeless(code: object, kind: object, status: int | None) -> bool:
    statuses = [number for number in (status, count(code)) if number is not None]
    if any(number >= 400 for number in statuses):
        return any(400 <= number < 500 for number in statuses) and not PASSING_STATUS.intersection(statuses)
    if isinstance(code, int) and code in HOPELESS_GRPC:
        return True
    return any(str(word).lower() in HOPELESS_CODES for word in (code, kind) if word is not None)


def usage_of(usage: object) -> Usage | None:
    """Token counts under the names of either OpenAI endpoint; None when they do not say both what went in and what came out."""
    if not isinstance(usage, dict):
        return None
    n_in, n_out = (
        count(usage[chat] if usage.get(chat) is not None else usage.get(other))
        for chat, other in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    if n_in is None or n_out is None:
        return None  # half a count is no bill
    before = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    after = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    before = before if isinstance(before, dict) else {}
    after = after if isinstance(after, dict) else {}
    thoughts = count(after.get("reasoning_tokens")) or 0
    return Usage(
        input_tokens=n_in,
        output_tokens=with_thoughts(n_in, n_out, thoughts, count(usage.get("total_tokens"))),
        cached_tokens=count(before.get("cached_tokens")) or 0,
        cache_write_tokens=count(before.get("cache_write_tokens")) or 0,
        reasoning_tokens=thoughts,
    )


def with_thoughts(n_in: int, n_out: int, thoughts: int, total: int | None) -> int:
    """Tokens that came out, thoughts among them: where the total shows that they stand beside the answer's, as xAI counts them, they are added."""
    return n_out + thoughts if thoughts and total == n_in + n_out + thoughts else n_out


def count(value: object) -> int | None:
    """A whole number from 0 to 10**12, also when it came as a float or as digits; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def text_of(value: object) -> str | None:
    """The value if it is non-empty text, else None."""
    return clean(value) if isinstance(value, str) and value else None


def clean(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD: they survive JSON escapes and break every table format."""
    if "\x00" in text:
        text = text.replace("\x00", "�")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
