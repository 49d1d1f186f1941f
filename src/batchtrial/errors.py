"""Every exception that batchtrial raises on purpose, and how those of pydantic are told.

RunnerError
  ConfigError     exit 2   a flag, a config key or an input file is wrong
    DataError     exit 2   a question set or an array given to us is wrong
    MissingExtra  exit 2   an optional package is needed and not installed
    BudgetTooSmall  exit 2  a budget does not cover what was asked for
  StateError      exit 3   what is on disk refuses: drift, a lock, a missing or corrupt file
    ConfigDrift
    OtherAccount  the key belongs to another account than the run was started with
    RunLocked   exit 5   another process has the run: try again later
    RunStateMissing
    ManifestCorrupt
    IllegalTransition
  ProviderError   exit 1   the provider refused or failed; `retryable` says whether asking again can help
    AuthFailed
    RateLimited
    NotFound
    TooLarge
    Ambiguous     the call may have been carried out: settle it with `find` before anything is sent again
    Unsure        `find` can neither prove presence nor absence yet
  PhaseFailed     exit 1   a phase could not finish
  StoreFailed     exit 1   an object store refused, or could not be reached
    BudgetReached  the budget does not cover the next part
  Stopped         exit 130 a stop was requested; state on disk is complete

Nothing here imports another module of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final


def _writable(text: str) -> str:
    """The text with halves of surrogate pairs, which it may quote from anybody's file and no file or terminal takes, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class RunnerError(Exception):
    """What happened, where, and what to type next; shown to the user without a traceback."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = _writable(what), _writable(where), _writable(hint)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = (self.what, self.where and f"  at   {self.where}", self.hint and f"  hint {self.hint}")
        return "\n".join(line for line in lines if line)


class ConfigError(RunnerError):
    """A flag, a config key or an input file is wrong."""

    exit_code = 2


class DataError(ConfigError):
    """A question set, or arrays given to a statistic, cannot be used."""


class MissingExtra(ConfigError):
    """An optional package is needed here and is not installed."""


class BudgetTooSmall(ConfigError):
    """A budget does not cover what was asked for; nothing was sent."""


class StateError(RunnerError):
    """The run directory refuses what was asked."""

    exit_code = 3


class ConfigDrift(StateError):
    """The config given now differs from the one the run was started with."""


class OtherAccount(StateError):
    """The key belongs to another account than the run was started with."""


class RunLocked(StateError):
    """Another live process is writing to this run: later the same command may succeed."""

    exit_code = 5


class RunStateMissing(StateError):
    """A file that the step needs is not there."""


class ManifestCorrupt(StateError):
    """A state file cannot be read as what it claims to be."""


class IllegalTransition(StateError):
    """An event that the part's state does not allow."""


class ProviderError(RunnerError):
    """The provider refused or failed."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.retryable = retryable
        self.retry_after = retry_after  # seconds, when the provider said so


class AuthFailed(ProviderError):
    """The key is missing, wrong or not allowed to do this."""


class RateLimited(ProviderError):
    """Asked to slow down (`retryable`), or a spend cap that waiting will not lift (not `retryable`)."""


class NotFound(ProviderError):
    """The provider does not know this id."""


class TooLarge(ProviderError):
    """The request body is over the provider's limit."""


class Ambiguous(ProviderError):
    """The call may or may not have been carried out."""


class Unsure(ProviderError):
    """Neither presence nor absence of the batch can be proved yet; ask again later."""


class PhaseFailed(RunnerError):
    """A phase could not finish; what it did finish is on disk."""


class BudgetReached(PhaseFailed):
    """A budget does not cover what comes next; with a higher one the run goes on."""


class StoreFailed(RunnerError):
    """An object store refused what was asked, or could not be reached; nothing half is there."""


class Stopped(RunnerError):
    """A stop was requested and has taken effect."""

    exit_code = 130


_WANTED: Final[Mapping[str, str]] = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of settings",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def wanted(fault: Mapping[str, Any]) -> str:
    """What a value should be, in words for people. fault: one of the errors of a pydantic.ValidationError."""
    words = _WANTED.get(str(fault["type"]))
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    return f"it should be {words.format(**fault.get('ctx', {}))}"
