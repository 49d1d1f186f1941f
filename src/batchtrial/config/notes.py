"""What a config asks for that may not be what was meant: sentences for plan and run. Nothing here refuses anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from batchtrial.config.expand import Trial
from batchtrial.config.families import DATED, family_of
from batchtrial.config.hosts import base_url, odd_path
from batchtrial.config.lanes import config_of_lane, key_of, lanes_of
from batchtrial.config.model import Config
from batchtrial.config.pauses import pause_notes
from batchtrial.config.texts import TEMPLATE
from batchtrial.tasks.recipe import Recipe

HIGHEST_ALPHA: Final = 0.1
_NAME: Final = "(?:question|query|context|passage|answers?)"
_ASKED: Final = "(?:question|query|context|passage)"
"""Without the answer: `<answer>` and `[[answer]]` are how a prompt says what to write."""
COLUMN: Final = re.compile(
    rf"(?<![{{\\$\w])[$#]?\{{{_NAME}\}}(?!\}})|%\({_NAME}\)s|\{{%-?\s*(?:if|for|set)\s[^%\n]*%\}}|\{{\{{\{{\s*{_NAME}\s*\}}\}}\}}"
    rf"|(?<![\\$\w])\$(?:{_NAME})\b|<%=?\s*{_NAME}\s*%>|<<\s*{_ASKED}\s*>>|\[\[?\s*{_ASKED}\s*\]\]?|\b__{_ASKED}__\b"
    rf"|<(?P<tag>{_ASKED})>(?!.*</(?P=tag)>)(?!\W{{0,2}}\s*(?:tags?|elements?|blocks?|sections?)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""The name of a column as some way of filling in templates would have it, or a statement of a template. A pair of tags is no place to fill in."""

_LEFT: Final = re.compile(rf"{COLUMN.pattern}|(?<!\$)\$\{{[a-z_]\w*\}}", COLUMN.flags)
"""Of a template, what is neither filled in nor carried out."""
_IN_TEXT: Final = re.compile(rf"{COLUMN.pattern}|{TEMPLATE.pattern}", COLUMN.flags)
_FILLED_IN: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def notes(config: Config, trials: Sequence[Trial]) -> tuple[str, ...]:
    """Everything worth saying before anything is sent, in order, each thing once."""
    found = (*pause_notes(config), *_address(config), *_level(config), *_untried(config, trials))
    found += (*_equal_arms(trials), *_unfilled(trials), *_labels(config, trials))
    return tuple(dict.fromkeys(found))


def _address(config: Config) -> Iterator[str]:
    for name in lanes_of(config) if config.is_live else ():
        lane = config_of_lane(config, name)
        why = odd_path(lane.backend, lane.provider.base_url)
        if base_url(lane) is None:
            why = f"is not set: {name} has no address of its own, and a live run refuses to begin without one"
        if why:
            yield f"{key_of(config, name)}.base_url {why}"


def _level(config: Config) -> Iterator[str]:
    if config.stats.alpha > HIGHEST_ALPHA:
        yield f"stats.alpha is {config.stats.alpha:g}: so often may a claim be false where there is no effect; usual is 0.05"


def _untried(config: Config, trials: Sequence[Trial]) -> Iterator[str]:
    """Prompt sets that nobody chose between: whoever writes several down may well mean them all."""
    is_chosen = config.default_prompt_set or config.trials or (config.sweep and config.sweep.prompt_sets)
    left = sorted(config.prompt_sets.keys() - {trial.prompt_set for trial in trials})
    if left and not is_chosen and not config.trial_filter:
        tried = min(config.prompt_sets)
        yield (
            f"only the prompt set {tried}, the first by name, is tried, not {', '.join(left)}: `sweep.prompt_sets` or --prompt_sets names all that "
            "are, `default_prompt_set` the one that is"
        )


def _equal_arms(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        control, treatment = ({arm.name for arm in trial.arms if arm.condition == condition} for condition in ("control", "treatment"))
        if control & treatment:
            yield f"control and treatment of {trial.slug} are the same request: it is bought once, and nothing can differ"


def _unfilled(trials: Sequence[Trial]) -> Iterator[str]:
    for arm in (arm for trial in trials for arm in trial.arms):
        if not arm.task:
            for text in (arm.prompt.system, arm.instructions.open_book, arm.instructions.closed_book):
                yield from _marks(text.path, text.text, COLUMN, "question and passage follow the instruction by themselves")
            continue
        yield from _marks(arm.prompt.system.path, arm.prompt.system.text, COLUMN, "only a task's templates fill in columns")
        for part in msgspec.json.decode(arm.task, type=Recipe).parts:
            if part.template is not None:
                yield from _marks(part.where, _FILLED_IN.sub(_as_long, part.template), _LEFT, "a template fills in {{ column }} alone")
            elif part.text is not None:
                yield from _marks(part.where, part.text, _IN_TEXT, "text is sent byte for byte; a `template` fills in columns")


def _marks(where: str, text: str, mark: re.Pattern[str], instead: str) -> Iterator[str]:
    found = mark.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        yield f"{where}, line {line}: {found.group()} is sent as it stands; {instead}"


def _as_long(found: re.Match[str]) -> str:
    """What leaves every line where it is."""
    return "\n" * found.group().count("\n")


def _labels(config: Config, trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        for arm in trial.arms:
            key, provider = key_of(config, arm.backend), config_of_lane(config, arm.backend).provider
            family = family_of(arm.model)
            if provider.sampling == "omit":
                temps = ", ".join(f"{temp:g}" for temp in trial.temps)
                yield f"no sampling parameter is sent (`{key}.sampling: omit`): temperature {temps} of {trial.slug} is a label"
            elif family is not None and provider.accepts:
                yield f"{arm.model} refuses {', '.join(sorted(family.refuses))} by the table of {DATED}; `{key}.accepts` overrules it"
