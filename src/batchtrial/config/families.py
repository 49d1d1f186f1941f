"""Model families that refuse fields of a request: a dated table. A refused field comes back as an error on every row, after the batch's whole wait.

A table ages: `provider.accepts` names the fields that a model does take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

DATED: Final = "2026-11-28"
"""When the table was last compared with its sources."""

Field = Literal["temperature", "top_p", "top_k", "stop"]
FINE_TUNED: Final = re.compile(r"ft:(?P<base>[^:]+)(?::.*)?")
"""`ft:gpt-5-mini:organisation:name:id`: a fine-tuned model takes what its base takes."""
OPENAI_DOCS: Final = "OpenAI's reasoning guide; `stop` by the Python SDK's description of the field"
CLAUDE_DOCS: Final = "Anthropic's migration guide"
Condition = Literal["effort", "thinking", "temperature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that refuse the same fields.

    pattern: matched against the last step of the model id. refuses: fields that may not be sent. takes_default: but 1 may. only_with: refused only
    where the request asks for reasoning or thinking, or has a temperature too. wants: how the length of a chat answer is spelled; None when either
    will do.
    """

    name: str
    pattern: re.Pattern[str]
    refuses: frozenset[Field]
    source: str
    takes_default: bool = True
    only_with: Condition | None = None
    wants: Literal["max_completion_tokens"] | None = None


def _openai(name: str, pattern: str, *refuses: Field, source: str = OPENAI_DOCS, only_with: Condition | None = None) -> Family:
    return Family(
        name=name,
        pattern=re.compile(rf"(?:{pattern})(?:-[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})?"),
        refuses=frozenset(refuses),
        source=source,
        only_with=only_with,
        wants="max_completion_tokens",
    )


TABLE: Final[tuple[Family, ...]] = (
    _openai("o1", r"o1(?:-mini|-preview|-pro)?", "temperature", "top_p"),
    _openai("o3, o4-mini", r"o[34](?:-mini|-pro)?(?:-deep-research)?", "temperature", "top_p", "stop"),
    _openai("gpt-5", r"gpt-5(?:-mini|-nano|-pro|-codex)?", "temperature", "top_p", "stop"),
    _openai("gpt-5.1 to 5.4 pro and codex", r"gpt-5\.[1-4](?:-pro|-codex(?:-mini|-max)?)", "temperature", "top_p"),
    _openai("gpt-5.1 to 5.4 that reason", r"gpt-5\.[1-4](?:-mini|-nano)?", "temperature", "top_p", only_with="effort"),
    _openai(
        "gpt-5.5 and later",
        r"gpt-(?:5\.(?:[5-9]|[1-9][0-9])|[6-9](?:\.[0-9]+)?)(?:-(?!chat)[a-z]+)*",
        "temperature",
        "top_p",
        source="errors that users of gpt-5.5 and gpt-5.6 report; later ones by analogy",
    ),
    Family(
        name="Claude Opus 4.7 and later, Claude 5 and later",
        pattern=re.compile(r"claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9](?:-[0-9])?)(?:-[0-9]{8}|-latest)?"),
        refuses=frozenset({"temperature", "top_p", "top_k"}),
        source=CLAUDE_DOCS,
        takes_default=False,
    ),
)
"""Models that refuse a field by themselves, or once they are asked to reason."""
FURTHER: Final[tuple[Family, ...]] = (
    Family(
        name="Claude Opus 4.1 to 4.6, Sonnet and Haiku 4.5 and 4.6",
        pattern=re.compile(r"claude-(?:opus-4-[1-6]|(?:sonnet|haiku)-4-[56])(?:-[0-9]{8}|-latest)?"),
        refuses=frozenset({"top_p"}),
        source="errors that users report: temperature or top_p, not both",
        takes_default=False,
        only_with="temperature",
    ),
    Family(
        name="Claude that is asked to think",
        pattern=re.compile(r"claude-.+"),
        refuses=frozenset({"temperature", "top_k"}),
        source="Anthropic's page on extended thinking",
        only_with="thinking",
    ),
    Family(
        name="Grok that reasons",
        pattern=re.compile(
            r"grok-(?:3-mini(?:-fast)?|4(?:-0709)?|4(?:[.-]1)?-fast(?:-reasoning)?|code-fast-1|(?:4\.[2-9][0-9]*|[5-9][0-9.]*)(?:-[0-9]{4})?(?:-reasoning)?)"
            r"(?:-latest|-beta)?"
        ),
        refuses=frozenset({"stop"}),
        source="xAI's page on reasoning",
    ),
)
"""Models that refuse fields beside others, or one that is seldom sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What would be sent to a model. extra: further body fields."""

    temps: tuple[float, ...] = ()
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def line_of(model: str) -> str:
    """Whose model it is, by the word that its name begins with: `gpt`, `claude`, `qwen`. OpenAI's o-series is of one line with its GPTs."""
    name = re.sub(r"^(?:ft:|anthropic\.|chat(?=gpt))", "", model.rsplit("/", 1)[-1].lower())
    word = re.match(r"[a-z]*", name)
    found = word[0] if word is not None and word[0] else name
    return "gpt" if re.match(r"o[0-9]", name) else found


def family_of(model: str) -> Family | None:
    """The family of the table that the model belongs to by its name; None when the table has none."""
    return next(_matching(TABLE, model), None)


def _matching(families: Iterable[Family], model: str) -> Iterator[Family]:
    name = model.rsplit("/", 1)[-1].removeprefix("anthropic.").lower()
    tuned = FINE_TUNED.fullmatch(name)
    name = name if tuned is None else tuned["base"]
    return (one for one in families if one.pattern.fullmatch(name))


class Refused(NamedTuple):
    """A field that would be sent and that a model refuses, and by which row of the table."""

    field: Field
    value: object
    family: Family


def refused(model: str, asked: Sampling) -> Iterator[Refused]:
    """What the model would refuse, in the order of the fields."""
    own = family_of(model)
    families = [one for one in (*([own] if own is not None else ()), *_matching(FURTHER, model)) if _holds(one, asked)]
    values: tuple[tuple[Field, object], ...] = (
        *(("temperature", temp) for temp in asked.temps),
        ("top_p", asked.top_p),
        ("top_k", asked.top_k),
        ("stop", list(asked.stop) or None),
    )
    for name, value in values:
        for family in families:
            is_default = family.takes_default and value == 1 and name in ("temperature", "top_p")
            if name in family.refuses and value is not None and not is_default:
                yield Refused(name, value, family)


def _holds(family: Family, asked: Sampling) -> bool:
    """Whether the request is one of those whose fields the family refuses."""
    if family.only_with == "effort":
        return effort(asked.extra) not in (None, "none")
    if family.only_with == "thinking":
        return thinking(asked.extra).get("type") in ("enabled", "adaptive")
    return family.only_with is None or bool(asked.temps)


def thinking(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the body asks a Claude model to think; empty where it does not."""
    given = extra.get("thinking")
    return given if isinstance(given, Mapping) else {}


def effort(extra: Mapping[str, Any]) -> str | None:
    """The reasoning effort that the body asks for, in either endpoint's spelling; None when it asks for none in particular."""
    reasoning = extra.get("reasoning")
    given = reasoning.get("effort") if isinstance(reasoning, Mapping) else extra.get("reasoning_effort")
    return given if isinstance(given, str) else None
