"""Where foreign exceptions become ours: one table for every SDK.

The three SDKs come from one generator, so they share exception names and the meaning of status codes; what differs (the package, the key's
variable, the HTTP library below) is an argument. Messages pass `redact`, so that a key echoed by a server or a library goes no further.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from typing import Any

from batchtrial.direct.records import listed_faults
from batchtrial.direct.refusals import is_key_refused, is_spent
from batchtrial.errors import (
    Ambiguous,
    AuthFailed,
    ConfigError,
    MissingExtra,
    NotFound,
    ProviderError,
    RateLimited,
    TooLarge,
)

MESSAGE_CHARS = 500
CLOCK_STEP = timedelta(days=1)
# The connection was never made, so nothing can have been accepted. Names, since two generations of SDK bring two HTTP libraries.
NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError", "InvalidURL"})
KEY_SHAPED = re.compile(r"\b(?:sk|fw|gsk|pk)[-_][A-Za-z0-9*_-]{6,}|(?<=Bearer )\S+|\S*\*{4,}\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. `read` bounds each wait for bytes, `answer` the wait for the reply to a large upload; `slow` is the patience for a trickle."""

    connect: float = 5.0
    read: float = 60.0
    answer: float = 300.0
    slow: float = 120.0


def import_sdk(module: str, extra: str) -> Any:
    """The official SDK, imported at its first use. Raises MissingExtra naming the extra and the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra(module, extra, str(error)) from error


def missing_extra(module: str, extra: str, why: str) -> MissingExtra:
    """The error that names the command which installs what is missing."""
    what = f"the package that provides {module!r} cannot be imported ({why})"
    return MissingExtra(what, where=f"backend {extra}", hint=f'pip install "batchtrial[{extra}]"')


def http_library(sdk: Any) -> Any:
    """The HTTP package that this SDK is built on: httpx, or httpx2 from openai 3 and anthropic 1 on."""
    # The SDKs rewrite __module__ of the classes they re-export; their methods still know where they come from.
    return sys.modules[sdk.Timeout.__init__.__module__.partition(".")[0]]


def checked_key(api_key: str | None, *, title: str, variable: str) -> str:
    """The key, or AuthFailed naming the variable to set when it is empty or could not stand in a header."""
    if not api_key or not api_key.strip():
        raise AuthFailed(f"no API key for {title}", hint=f"set {variable} in the environment")
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise AuthFailed(
            f"the API key for {title} has spaces, line ends or other characters that no key has",
            hint=f"set {variable} again, without quotes or a trailing line end",
        )
    return api_key


class Edge:
    """Runs calls of one SDK and raises what they raise as ours."""

    def __init__(self, sdk: Any, *, title: str, variable: str, api_key: str, retry_after_cap: float = 120.0) -> None:
        self.title, self.variable = title, variable
        self.http = http_library(sdk)
        self._sdk = sdk
        self._api_key = api_key
        self._retry_after_cap = retry_after_cap

    @contextmanager
    def calling(self, doing: str, *, creating: bool = False, root: str = "") -> Iterator[None]:
        """The body is one call, named `doing`. creating: the call spends money, so what cannot be known becomes Ambiguous.

        root: what to look at when the call names no object and is answered "not found" all the same.
        """
        where = f"{self.title}: {doing}"
        try:
            yield
        except self._sdk.APIStatusError as error:
            told = self._from_status(error, where, creating)
            if root and isinstance(told, NotFound):
                told.hint = root
            raise told from None
        except self._sdk.APIConnectionError as error:
            raise self._from_connection(error.__cause__ or error, where, creating) from None
        except (self._sdk.APIError, self._base_error, JSONDecodeError, UnicodeDecodeError) as error:
            what = f"{self.title} answered something that its SDK cannot read: {self.redact(str(error))}"
            raise (Ambiguous if creating else ProviderError)(what, where=where, retryable=True) from None
        except (self.http.HTTPError, self.http.StreamError, self.http.InvalidURL) as error:
            raise self._from_connection(error, where, creating) from None

    @property
    def _base_error(self) -> type[Exception]:
        base: type[Exception] = self._sdk.APIError.__mro__[1]
        return self._sdk.APIError if base is Exception else base

    def redact(self, text: str) -> str:
        """The text without the key, without anything shaped like one, on one line, at most 500 characters."""
        text = KEY_SHAPED.sub("[key]", text.replace(self._api_key, "[key]"))
        return " ".join(text.split())[:MESSAGE_CHARS]

    def from_status_code(self, status: int, body: object, headers: Mapping[str, str], where: str, *, creating: bool = False) -> ProviderError:
        """The error for an HTTP answer; the table of every adapter."""
        code, text = provider_message(body)
        what = self.redact(f"HTTP {status}{f' ({code})' if code else ''}: {text or 'no message'}")
        if is_spent(status, code, text):
            return RateLimited(
                f"{self.title} says that the money is spent: {what}",
                where=where,
                hint="raise the spending limit at the provider, then resume",
            )
        if status == 403 or is_key_refused(status, code, text):
            return AuthFailed(
                f"{self.title} refused the API key: {what}",
                where=where,
                hint=f"check {self.variable} and what its account may do",
            )
        if status == 404:
            return NotFound(f"{self.title} does not know it: {what}", where=where)
        if status == 413:
            return TooLarge(f"{self.title} says the body is too large: {what}", where=where, hint="use smaller parts")
        wait = self._retry_after(headers)
        if status == 429:
            return RateLimited(f"{self.title} asks to slow down: {what}", where=where, retryable=True, retry_after=wait)
        again = status in (408, 409, 425) or status >= 500
        if creating and again:
            return Ambiguous(f"{self.title} may or may not have accepted it: {what}", where=where, retryable=True, retry_after=wait)
        said = "failed" if again else "refused"
        return ProviderError(f"{self.title} {said}: {what}", where=where, retryable=again, retry_after=wait)

    def _from_status(self, error: Any, where: str, creating: bool) -> ProviderError:
        body = error.body if error.body is not None else error.message
        return self.from_status_code(error.status_code, body, error.response.headers, where, creating=creating)

    def _from_connection(self, cause: BaseException, where: str, creating: bool) -> ProviderError:
        name = type(cause).__name__
        said = self.redact(f"{name}: {cause}" if name == "ConnectError" else name)
        if name in NEVER_SENT:
            return ProviderError(f"{self.title} cannot be reached ({said})", where=where, hint="check base_url and the network", retryable=True)
        if isinstance(cause, OSError) and not isinstance(cause, ConnectionError | TimeoutError):
            return ProviderError(f"the input could not be read while it was sent ({said})", where=where, retryable=True)
        if creating:
            return Ambiguous(f"the connection to {self.title} was lost after sending ({said})", where=where, retryable=True)
        return ProviderError(f"the connection to {self.title} was lost ({said})", where=where, retryable=True)

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that the provider asked for, at most our cap: a header must not park a run for an hour."""
        seconds = retry_after_seconds(headers)
        return None if seconds is None else min(seconds, self._retry_after_cap)


def check_listed(answer: Any, where: str) -> None:
    """Raises ProviderError when a raw answer is no list of objects with ids: what is none would be taken for an empty one, and prove an absence."""
    got = answer.http_response.json()
    data = got.get("data") if isinstance(got, dict) else None
    if not isinstance(data, list) or not all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in data):
        raise ProviderError("the answer is no list of batches", where=where, hint="does base_url lead to the provider?", retryable=True)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as an HTTP date counted from the answer's own `date`; None when there is none."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        raw = headers.get(name)
        if raw is None:
            continue
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", raw.strip()):
            return float(raw) / scale
        try:
            then = parsedate_to_datetime(raw)
            sent = parsedate_to_datetime(headers.get("date") or "")
        except (TypeError, ValueError):
            continue
        return max(0.0, (_aware(then) - _aware(sent)).total_seconds())
    return None


def oldest_possible(created_at: datetime, headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The time, on the provider's clock, before which it cannot have stamped a batch whose intent is of `created_at`; None when it tells no time.

    headers: of a fresh answer. Only differences of our own clock are used, so a clock that is wrong does not matter; CLOCK_STEP is room for one
    that was put right in between. The bound errs towards the past: what is too early costs a look, what is too late is paid twice.
    """
    try:
        theirs = _aware(parsedate_to_datetime(headers.get("date") or ""))
    except (TypeError, ValueError):
        return None
    return theirs - max(now - created_at, timedelta(0)) - CLOCK_STEP


def account_headers(headers: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """What an answer's headers say of the account. names: what it is called here -> the header."""
    return {name: told for name, header in names.items() if (told := (headers.get(header) or "").strip()[:200])}


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def provider_message(body: object) -> tuple[str, str]:
    """(code, message) out of the error envelopes of OpenAI, Anthropic and gRPC gateways; ("", text) for anything else."""
    if not isinstance(body, Mapping):
        return "", "" if body is None else str(body)
    detail = body.get("detail")
    if (listed := listed_faults(body)) is not None:
        return "", listed
    if isinstance(detail, list):
        return "", "; ".join(map(str, detail))
    inner = body.get("error", body)
    if not isinstance(inner, Mapping):
        return "", str(inner)
    details = inner.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else None
    code = code or inner.get("code") or inner.get("type")
    message = inner.get("message") or (detail if isinstance(detail, str) else "")
    return ("" if code is None else str(code)), str(message)


def check_extra(extra: Mapping[str, Any], ours: frozenset[str]) -> None:
    """Raises ConfigError when a passed-through body field would overwrite one that we set or that a batch cannot have."""
    for name in sorted(extra):
        if name in ours:
            raise ConfigError(
                f"the extra request field {name!r} is set by batchtrial itself",
                where=f"extra.{name}",
                hint="remove it there and use the config key of its own",
            )
