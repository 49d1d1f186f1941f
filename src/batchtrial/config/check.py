"""What a config that starts a run must hold besides its types. The record of a run that exists is not checked again.

Raises ConfigError with the dotted key as `where`; `load.py` says in which file and line that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from batchtrial.config.expand import Trial, expand
from batchtrial.config.families import DATED, Sampling, effort, family_of, refused
from batchtrial.config.hosts import address_fault
from batchtrial.config.model import Config
from batchtrial.config.settings import Text
from batchtrial.config.texts import template_mark
from batchtrial.errors import ConfigError
from batchtrial.keys import is_told_by_its_label
from batchtrial.names import MAX_SLUG, RESERVED, name_fault, same_but_for_case

LARGEST_ALPHA: Final = 0.2
"""Beyond it a level is a mistake, most often the confidence in its place."""


def check(config: Config) -> None:
    """Raises ConfigError for the first thing that would go wrong, or go wrong silently, later."""
    _check_address(config)
    _check_alpha(config)
    _check_names(config)
    _check_temps(config)
    _check_samples(config)
    if config.template_marks == "refuse":
        _check_templates(config)
    trials = expand(config, "")
    _check_slugs(trials)
    _check_families(config, trials)


def number(text: object) -> float | None:
    """The number that a key such as '0.7' names; None when it names none."""
    try:
        return float(str(text))
    except ValueError:
        return None


def _check_address(config: Config) -> None:
    fault = None if config.provider.base_url is None else address_fault(config.provider.base_url)
    if fault is not None:
        raise ConfigError(fault[0], where="provider.base_url", hint=fault[1])


def _check_alpha(config: Config) -> None:
    alpha = config.stats.alpha
    if alpha > LARGEST_ALPHA:
        meant = f"write {1 - alpha:.6g} if {alpha:g} is the confidence; " if 1 - alpha <= LARGEST_ALPHA + 1e-12 else ""
        what = f"alpha is the chance of a false claim, and {alpha:g} leaves intervals of {100 * (1 - alpha):.4g} %"
        raise ConfigError(what, where="stats.alpha", hint=f"{meant}an alpha is at most {LARGEST_ALPHA:g}, and 0.05 is usual")


def _check_names(config: Config) -> None:
    lists = (("prompt_sets", config.prompt_sets), ("datasets", [one.name for one in config.datasets]))
    for key, names in lists:
        pair = same_but_for_case(names)
        if pair is not None:
            raise ConfigError(f"{pair[0]!r} and {pair[1]!r} differ by upper and lower case alone", where=key, hint="give one of them another name")
    unknown = sorted(config.simulation.by_prompt_set.keys() - config.prompt_sets.keys())
    if unknown:
        raise ConfigError(
            f"prompt set {unknown[0]!r} is not defined",
            where="simulation.by_prompt_set",
            hint=f"prompt_sets has {', '.join(sorted(config.prompt_sets))}",
        )


def _temperature_lists(config: Config) -> Iterator[tuple[str, Sequence[float]]]:
    yield "temps", config.temps
    if config.sweep is not None and config.sweep.temps is not None:
        yield "sweep.temps", config.sweep.temps
    for place, spec in enumerate(config.trials):
        if spec.temps is not None:
            yield f"trials.{place}.temps", spec.temps


def _check_temps(config: Config) -> None:
    for key, temps in _temperature_lists(config):
        for temp in temps:
            if not is_told_by_its_label(temp):
                hint = f"write {round(temp, 4):g}"
                raise ConfigError(f"the temperature {temp!r} has more digits than the labels of arms carry", where=key, hint=hint)
        for a, b in combinations(temps, 2):
            if a == b:
                raise ConfigError(f"the temperature {a:g} stands twice", where=key, hint="remove one; `samples_per_item` asks an arm several times")


def _check_samples(config: Config) -> None:
    given = config.samples_per_item
    asked = {temp for _, temps in _temperature_lists(config) for temp in temps}
    seen: dict[float, str] = {}
    for key in given if isinstance(given, dict) else ():
        where = f"samples_per_item.{key}"
        temp = number(key)
        if temp is None or temp not in asked:
            hint = f"the temperatures are {', '.join(f'{one:g}' for one in sorted(asked))}"
            raise ConfigError(f"no arm has the temperature {key!r}", where=where, hint=hint)
        if temp in seen:
            raise ConfigError(f"{seen[temp]!r} and {key!r} are the same temperature", where=where, hint="remove one of the two")
        seen[temp] = key
    fewest = min(given.values(), default=1) if isinstance(given, dict) else given
    if fewest < 1:
        raise ConfigError(f"{fewest} completions per item", where="samples_per_item", hint="a whole number from 1")


def _texts(config: Config) -> Iterator[tuple[str, Text]]:
    yield "task_instructions.open_book", config.task_instructions.open_book
    yield "task_instructions.closed_book", config.task_instructions.closed_book
    for name, pair in config.prompt_sets.items():
        for condition, prompt in (("control", pair.control), ("treatment", pair.treatment)):
            key = f"prompt_sets.{name}.{condition}"
            yield key, prompt.system
            if prompt.instruction is not None:
                yield f"{key}.instruction.open_book", prompt.instruction.open_book
                yield f"{key}.instruction.closed_book", prompt.instruction.closed_book


def _check_templates(config: Config) -> None:
    for key, text in _texts(config):
        found = template_mark(text.text)
        if found is not None:
            line, mark = found
            raise ConfigError(
                f"{text.path}, line {line}: {mark} would be sent as it stands, since prompts are no templates",
                where=key,
                hint="remove it (question and passage follow the instruction by themselves); if it is meant as text, set `template_marks: text`",
            )


def _check_slugs(trials: Sequence[Trial]) -> None:
    for trial in trials:
        fault = name_fault(trial.slug, MAX_SLUG)
        if fault is None and (trial.slug.lower() in RESERVED or trial.slug.lower().startswith("shared-")):
            fault = f"the name {trial.slug!r} is one of the run's own"
        if fault is not None:
            what = f"the trial of {trial.model[:60]} with {trial.prompt_set}: {fault}"
            raise ConfigError(what, where="trials", hint="give the model a short name under `model_aliases`, or the trial an `id`")
    pair = same_but_for_case(trial.slug for trial in trials)
    if pair is not None:
        what = f"the trials {pair[0]!r} and {pair[1]!r} differ by upper and lower case alone"
        raise ConfigError(what, where="trials", hint="give one of them an `id` of its own")


def _check_families(config: Config, trials: Sequence[Trial]) -> None:
    """Raises ConfigError when a model would refuse every row for a field that is sent with it."""
    if config.backend == "fireworks":
        return
    is_sent = config.provider.sampling == "send"
    for trial in trials:
        arm = trial.arms[0]
        asked = Sampling(
            temps=trial.temps if is_sent else (),
            top_p=arm.top_p if is_sent else None,
            top_k=arm.top_k if is_sent else None,
            stop=config.stop,
            extra=config.provider.request_overrides,
        )
        for name, value in refused(trial.model, asked):
            if name not in config.provider.accepts:
                raise _refusal(config, trial.model, name, value)


def _refusal(config: Config, model: str, name: str, value: object) -> ConfigError:
    family = family_of(model)
    assert family is not None
    given = effort(config.provider.request_overrides)
    when = f" with reasoning effort {given!r}" if family.only_with_effort else ""
    what = f"{model} refuses {name}{when}; it would be sent as {value!r}, and every row would come back as an error"
    spelled = (
        "`reasoning_effort: low`" if config.backend == "local" or config.provider.endpoint == "/v1/chat/completions" else "`reasoning: {effort: low}`"
    )
    effort_goes = "" if config.backend == "anthropic" else f" (how much it thinks is set by {spelled} under `provider.request_overrides`)"
    fix = "leave `stop` out" if name == "stop" else f"set `provider.sampling: omit` and one temperature, as a label{effort_goes}"
    hint = f"{fix}; if the table of {DATED} ({family.name}: {family.source}) is wrong, set `provider.accepts: [{name}]`"
    return ConfigError(what, where="stop" if name == "stop" else "temps" if name == "temperature" else name, hint=hint)
