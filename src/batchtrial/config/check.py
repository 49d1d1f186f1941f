"""What a config that starts a run must hold besides its types. The record of a run that exists is not checked again.

Raises ConfigError with the dotted key as `where`; `load.py` says in which file and line that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from batchtrial.config.contrasts import check_arms, names_in_order
from batchtrial.config.expand import Arm, Trial, TrialArm, expand
from batchtrial.config.families import DATED, Refused, Sampling, effort, refused, thinking
from batchtrial.config.hosts import address_fault, base_url
from batchtrial.config.judge_arms import SLUG, check_judges, judge_trials
from batchtrial.config.lanes import config_of_lane, key_of, lanes_of
from batchtrial.config.model import Config
from batchtrial.config.recipes import Instructions
from batchtrial.config.settings import Text
from batchtrial.config.texts import template_mark
from batchtrial.errors import ConfigError
from batchtrial.keys import is_told_by_its_label
from batchtrial.names import MAX_SLUG, RESERVED, name_fault, same_but_for_case

LARGEST_ALPHA: Final = 0.2
"""Beyond it a level is a mistake, most often the confidence in its place."""
MOST_REPLICATES: Final = 1_000_000
"""More take hours, and move a p-value by less than it is printed to."""
MOST_STOPS: Final[Mapping[str, int]] = {"openai": 4, "azure": 4, "groq": 4, "gemini": 5}
"""Stop sequences that a service takes, as of its reference."""


def check(config: Config) -> None:
    """Raises ConfigError for the first thing that would go wrong, or go wrong silently, later."""
    _check_address(config)
    _check_alpha(config)
    _check_names(config)
    _check_temps(config)
    _check_samples(config)
    _check_systems(config)
    if config.template_marks == "refuse":
        _check_templates(config)
    _check_lanes(config)
    if config.arms:
        check_arms(config)
    elif config.contrasts is not None:
        raise ConfigError("contrasts names arms, and this config has prompt_sets", where="contrasts", hint="leave it out, or write the `arms` out")
    check_judges(config)
    trials = expand(config, "")
    asking = (*trials, *judge_trials(config))
    _check_models(config, asking)
    _check_slugs(trials)
    _check_stops(config, asking)
    _check_families(config, asking)


def number(text: object) -> float | None:
    """The number that a key such as '0.7' names; None when it names none."""
    try:
        return float(str(text))
    except ValueError:
        return None


def _check_address(config: Config) -> None:
    for key, provider in (("provider", config.provider), *((f"lanes.{name}", one) for name, one in config.lanes.items())):
        fault = None if provider.base_url is None else address_fault(provider.base_url)
        if fault is not None:
            raise ConfigError(fault[0], where=f"{key}.base_url", hint=fault[1])
    for name in lanes_of(config) if config.is_called else ():
        if name != "local" and base_url(config_of_lane(config, name)) is None:
            what = f"{name} has no address of its own: every account has another"
            raise ConfigError(what, where=f"{key_of(config, name)}.base_url", hint="set it to the address of your resource, with its path")


def _check_lanes(config: Config) -> None:
    for name in sorted(config.lanes):
        if name == config.backend:
            what, hint = f"{name} is the run's own backend", "its settings are those of `provider`"
            raise ConfigError(what, where=f"lanes.{name}", hint=hint)
        if name not in lanes_of(config):
            raise ConfigError(f"no arm and no judge is at {name}", where=f"lanes.{name}", hint="leave it out")


def _check_alpha(config: Config) -> None:
    alpha = config.stats.alpha
    if alpha > LARGEST_ALPHA:
        meant = f"write {1 - alpha:.6g} if {alpha:g} is the confidence; " if 1 - alpha <= LARGEST_ALPHA + 1e-12 else ""
        what = f"alpha is the chance of a false claim, and {alpha:g} leaves intervals of {100 * (1 - alpha):.4g} %"
        raise ConfigError(what, where="stats.alpha", hint=f"{meant}an alpha is at most {LARGEST_ALPHA:g}, and 0.05 is usual")
    if config.stats.permutation_samples > MOST_REPLICATES:
        what = f"{config.stats.permutation_samples:,} replicates of a permutation test take hours"
        raise ConfigError(what, where="stats.permutation_samples", hint=f"at most {MOST_REPLICATES:,}; 9,999 are usual")


def _check_names(config: Config) -> None:
    lists = (("prompt_sets", config.prompt_sets), ("arms", config.arms), ("datasets", [one.name for one in config.datasets]))
    for key, names in lists:
        pair = same_but_for_case(names)
        if pair is not None:
            raise ConfigError(f"{pair[0]!r} and {pair[1]!r} differ by upper and lower case alone", where=key, hint="give one of them another name")
    named = config.arms or config.prompt_sets
    unknown = sorted(config.simulation.by_prompt_set.keys() - named.keys())
    if unknown:
        what, key = ("arm", "arms") if config.arms else ("prompt set", "prompt_sets")
        raise ConfigError(f"{what} {unknown[0]!r} is not defined", where="simulation.by_prompt_set", hint=f"{key} has {', '.join(sorted(named))}")


def _temperature_lists(config: Config) -> Iterator[tuple[str, Sequence[float]]]:
    yield "temps", config.temps
    if config.sweep is not None and config.sweep.temps is not None:
        yield "sweep.temps", config.sweep.temps
    for place, spec in enumerate(config.trials):
        if spec.temps is not None:
            yield f"trials.{place}.temps", spec.temps
    for name, arm in config.arms.items():
        if arm.temperature is not None:
            yield f"arms.{name}.temperature", (arm.temperature,)


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


def _check_systems(config: Config) -> None:
    """A question under an instruction has a system prompt; a task can do without."""
    for name, pair in config.prompt_sets.items():
        for condition, prompt in (("control", pair.control), ("treatment", pair.treatment)):
            if not prompt.system.text and prompt.task is None and config.task is None:
                key = f"prompt_sets.{name}.{condition}.system"
                raise ConfigError(f"{key} is not set", where=key, hint="name the file of the system prompt")


def _texts(config: Config) -> Iterator[tuple[str, Text]]:
    yield "task_instructions.open_book", config.task_instructions.open_book
    yield "task_instructions.closed_book", config.task_instructions.closed_book
    for name, pair in config.prompt_sets.items():
        for condition, prompt in (("control", pair.control), ("treatment", pair.treatment)):
            yield from _texts_of(f"prompt_sets.{name}.{condition}", prompt.system, prompt.instruction)
    yield from _texts_of("system", config.system, None)
    for name in names_in_order(config.arms):
        yield from _texts_of(f"arms.{name}.system", config.arms[name].system, config.arms[name].instruction)


def _texts_of(key: str, system: Text | None, instruction: Instructions | None) -> Iterator[tuple[str, Text]]:
    if system is not None:
        yield key, system
    if instruction is not None:
        head = key.removesuffix(".system")
        yield f"{head}.instruction.open_book", instruction.open_book
        yield f"{head}.instruction.closed_book", instruction.closed_book


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


def _check_models(config: Config, trials: Sequence[Trial]) -> None:
    """Raises ConfigError for a model id that no service can have, and that is refused only when it is sent."""
    for trial, arm in [(one, arm) for one in trials for arm in one.arms]:
        if arm.model != arm.model.strip() or not arm.model.isprintable() or not arm.model:
            what = f"the model id {arm.model[:80]!r} begins or ends with a space, or holds a character that does not show"
            raise ConfigError(what, where=_home(config, trial, arm) or "model_id", hint="write it as the provider does")


def _check_stops(config: Config, trials: Sequence[Trial]) -> None:
    """Raises ConfigError for stop sequences that the service refuses in every row, or that would stop every answer before its first word."""
    for trial, arm in [(one, arm) for one in trials for arm in one.arms]:
        home = _home(config, trial, arm)
        where = f"{home}.stop" if home else "stop"
        for one in arm.stop:
            if not one or (arm.backend == "anthropic" and not one.strip()):
                wanted = "a stop sequence of Anthropic's has a character that is no space" if one else "a stop sequence is empty"
                raise ConfigError(f"{wanted}; every row would come back as an error", where=where, hint="leave it out")
        most = MOST_STOPS.get(arm.backend)
        if most is not None and len(arm.stop) > most:
            what = f"{arm.backend} takes {most} stop sequences, and there are {len(arm.stop)}; every row would come back as an error"
            raise ConfigError(what, where=where, hint="leave some out")


def _check_families(config: Config, trials: Sequence[Trial]) -> None:
    """Raises ConfigError when a model would refuse every row for a field that is sent with it."""
    for trial, arm in [(one, arm) for one in trials for arm in one.arms if arm.backend != "fireworks"]:
        extra, provider = json.loads(arm.extra), config_of_lane(config, arm.backend).provider
        is_sent = provider.sampling == "send"
        asked = Sampling(
            temps=(arm.temp,) if is_sent else (),
            top_p=arm.top_p if is_sent else None,
            top_k=arm.top_k if is_sent else None,
            stop=arm.stop,
            extra=extra,
        )
        for one in refused(arm.model, asked):
            if one.field not in provider.accepts:
                raise _refusal(config, arm, _home(config, trial, arm), extra, one)
        budget, longest = thinking(extra).get("budget_tokens"), max(arm.max_tokens.open_book, arm.max_tokens.closed_book)
        if arm.backend == "anthropic" and isinstance(budget, int) and budget >= longest:
            what = (
                f"{arm.model} is to think for up to {budget:,} tokens and to answer in at most {longest:,}, thoughts among them: every row would fail"
            )
            raise ConfigError(what, where=_home(config, trial, arm) or "max_new_tokens", hint="let the answer be longer than thinking.budget_tokens")


def _home(config: Config, trial: Trial, arm: TrialArm) -> str:
    """Where the arm's own settings are; empty where they are the run's."""
    if trial.slug.startswith(SLUG) and any(trial.slug == f"{SLUG}{judge.name}" for judge in config.judges):
        return f"judges.{trial.slug.removeprefix(SLUG)}"
    return f"arms.{trial.prompt_set if arm.condition == 'treatment' else trial.against}" if config.arms else ""


def _refusal(config: Config, arm: Arm, home: str, extra: Mapping[str, Any], one: Refused) -> ConfigError:
    family, model, name, key = one.family, arm.model, one.field, key_of(config, arm.backend)
    beside = {"effort": f" with reasoning effort {effort(extra)!r}", "thinking": " when it is asked to think", "temperature": " beside a temperature"}
    when = beside[family.only_with] if family.only_with is not None else ""
    what = f"{model} refuses {name}{when}; it would be sent as {one.value!r}, and every row would come back as an error"
    is_chat = arm.backend == "local" or config_of_lane(config, arm.backend).provider.endpoint == "/v1/chat/completions"
    spelled = "`reasoning_effort: low`" if is_chat else "`reasoning: {effort: low}`"
    effort_goes = "" if arm.backend == "anthropic" else f" (how much it thinks is set by {spelled} under `{key}.request_overrides`)"
    if name == "stop" or family.only_with == "temperature":
        fix = f"leave `{name}` out"
    elif home and name == "temperature" and family.takes_default:
        fix = f"set `{home}.temperature: 1`, the only one that it takes"
    else:
        fix = f"set `{key}.sampling: omit` and one temperature, as a label{effort_goes}"
    hint = f"{fix}; if the table of {DATED} ({family.name}: {family.source}) is wrong, set `{key}.accepts: [{name}]`"
    return ConfigError(what, where=home or ("temps" if name == "temperature" else name), hint=hint)
