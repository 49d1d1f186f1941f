"""From a config to trials and arms: pure, deterministic, with readable unique names.

A trial is one (model, prompt set, decoding) cell that compares arms. An arm is what it asks: its key says nothing of the role that it plays, of the
items, of how often each is asked, or of what else is in the run, so that one arm is bought once for every trial and role that needs it.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from batchtrial.config.arm_places import place_by_recipe, place_by_role
from batchtrial.config.contrasts import pairs
from batchtrial.config.lanes import config_of_lane
from batchtrial.config.model import Config, Sweep, TrialSpec
from batchtrial.config.recipes import NO_SYSTEM, ArmSpec, Instructions, MaxTokens, Prompt
from batchtrial.config.settings import Backend
from batchtrial.config.tasks import TaskSettings
from batchtrial.errors import ConfigError
from batchtrial.keys import custom_id, digest, number_label, part_name, short_model, temp_label
from batchtrial.records import Condition, Item, Request
from batchtrial.sources.spec import TaskReads
from batchtrial.tasks.recipe import compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """The requests that one recipe makes of the run's items.

    key: 16 hex digits over the recipe; not over who answers, so that a recording has the requests of the run that made it.
    name: unique in the run, prefix of its part names. folder: where its result lines lie, relative to the run.
    id_head: what its custom_ids begin with. folder_head: what the folders of its parts begin with. pricing_key: its name in the table of prices.
    """

    key: str
    name: str
    folder: PurePosixPath
    id_head: str
    folder_head: str
    temp: float
    backend: Backend
    model: str
    pricing_key: str
    prompt: Prompt
    instructions: Instructions
    samples: int
    max_tokens: MaxTokens
    top_p: float | None
    top_k: int | None
    stop: tuple[str, ...]
    extra: str  # canonical JSON of further body fields
    task: str = ""  # encoded recipe of a task; "" asks the question under an instruction

    @property
    def offers_tools(self) -> bool:
        """Whether its task has tools, so that a call of one is an answer."""
        return bool(self.task) and bool(compiled(self.task).recipe.tools)

    def custom_id(self, item: str, sample_index: int) -> str:
        """The id of one request. item: the item's hash."""
        return custom_id(self.id_head, item, sample_index)

    def part(self, index: int) -> str:
        """Name of part `index` (from 1), unique in the run."""
        return part_name(self.name, index)

    def part_folder(self, index: int) -> PurePosixPath:
        """Where the results of part `index` lie, relative to the run."""
        return self.folder / f"{self.folder_head}p{index:02d}"

    def request(self, item: Item, custom_id: str) -> Request:
        """The request for one sample of `item`. Raises ConfigError for an item that the task's templates cannot be filled with."""
        asked = Request(
            custom_id=custom_id,
            model=self.model,
            system=self.prompt.system.text,
            user="" if self.task else user_turn(item, self.instructions),
            max_tokens=self.max_tokens.open_book if item.kind == "open" else self.max_tokens.closed_book,
            temperature=self.temp,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=self.stop,
            extra=json.loads(self.extra),
        )
        return compiled(self.task).filled(asked, item) if self.task else asked


def user_turn(item: Item, instructions: Instructions) -> str:
    """Instruction, passage when there is one, question."""
    if item.kind == "open":
        return f"{instructions.open_book.text.strip()}\n\nCONTEXT:\n{item.context}\n\nQUESTION:\n{item.question}"
    return f"{instructions.closed_book.text.strip()}\n\nQUESTION:\n{item.question}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialArm(Arm):
    """An arm in the role that it plays in one trial; in another it may play the other role, or in this one both.

    at: the temperature under which the trial compares it, that of its control.
    """

    condition: Condition
    at: float

    @property
    def stem(self) -> str:
        """`t07_treatment`: the role inside its trial, and the key of `jobs` in the manifest."""
        return f"t{temp_label(self.temp)}_{self.condition}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One cell of the comparison, with its arms by (condition, temperature).

    prompt_set: what is tried, a prompt set or an arm by its name. against: what it is compared with, in words.
    absent: (name, reason) of arms that have no answers because their lane failed.
    """

    slug: str
    model: str
    prompt_set: str
    against: str = "its control"
    temps: tuple[float, ...]
    arms: tuple[TrialArm, ...]
    absent: tuple[tuple[str, str], ...] = ()

    @property
    def why_absent(self) -> str:
        """Which arms have no answers, and why, in a sentence; empty when all of them can have some."""
        told = dict(self.absent)
        names = {arm.name: self.prompt_set if arm.condition == "treatment" else self.against for arm in self.arms}
        return "; ".join(f"{names[name]} has no answers, since its provider failed: {reason}" for name, reason in told.items())

    def arm(self, condition: Condition, temp: float) -> TrialArm | None:
        """The arm, or None when this condition is not part of the run."""
        return next((a for a in self.arms if a.condition == condition and a.at == temp), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What an arm asks."""

    backend: Backend
    model: str
    pricing_key: str
    prompt: Prompt
    instructions: Instructions
    temp: float
    top_p: float | None
    top_k: int | None
    max_tokens: MaxTokens
    stop: tuple[str, ...]
    extra: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    model: str
    prompt_set: str
    temps: tuple[float, ...]
    top_p: float | None
    top_k: int | None
    max_tokens: MaxTokens
    id: str | None = None

    def recipe(self, config: Config, prompt: Prompt, temp: float) -> _Recipe:
        return _Recipe(
            backend=config.backend,
            model=self.model,
            pricing_key=config.provider.pricing_key or self.model,
            prompt=prompt,
            instructions=prompt.instruction or config.task_instructions,
            temp=temp,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            stop=config.stop,
            extra=_body(config.provider.request_overrides),
            task=_task(config, prompt.task, f"prompt_sets.{self.prompt_set}.task"),
        )


def expand(config: Config, input_sha256: str) -> tuple[Trial, ...]:
    """Every trial of the run, in order. input_sha256: fingerprint of the prepared items, part of the keys of runs that were begun under form 1.

    Raises ConfigError when two trials would have one slug, or the filter leaves none.
    """
    made = _contrasts(config, input_sha256) if config.arms else (_trial(config, cell, input_sha256) for cell in _cells(config))
    trials = [trial for trial in made if config.trial_filter is None or fnmatch.fnmatchcase(trial.slug, config.trial_filter)]
    if not trials:
        raise ConfigError(f"no trial matches {config.trial_filter!r}", where="trial_filter", hint="`--plan_only` lists the slugs")
    seen: dict[str, Trial] = {}
    for trial in trials:
        if trial.slug in seen:
            raise ConfigError(f"two trials have the slug {trial.slug!r}", where="trials", hint="give one of them an `id` of its own")
        seen[trial.slug] = trial
    return tuple(trials)


def arms_of(trials: tuple[Trial, ...]) -> tuple[Arm, ...]:
    """Every arm once, in the order in which the trials need them."""
    found: dict[str, Arm] = {}
    for arm in itertools.chain.from_iterable(trial.arms for trial in trials):
        found.setdefault(arm.name, arm)
    return tuple(found.values())


def lanes_of_arms(trials: tuple[Trial, ...]) -> dict[str, str]:
    """Arm -> the lane in which it is asked."""
    return {arm.name: arm.backend for arm in arms_of(trials)}


def task_reads(arms: Iterable[Arm]) -> TaskReads | None:
    """What the arms' tasks read of an item; None where they all ask questions under an instruction."""
    recipes = {arm.task for arm in arms}
    tasks = [compiled(recipe) for recipe in recipes if recipe]
    names = frozenset[str]().union(*(task.reads for task in tasks))
    return TaskReads(names=names, asked=names, is_all=any(task.may_read_all for task in tasks), has_questions="" in recipes) if tasks else None


def users_of(arm: Arm, trials: Iterable[Trial]) -> tuple[str, ...]:
    """Slugs of the trials that compare the arm, in whatever role."""
    return tuple(trial.slug for trial in trials if any(one.name == arm.name for one in trial.arms))


def controls_of(trials: Iterable[Trial]) -> tuple[Arm, ...]:
    """Every arm once that some trial has as its control."""
    return tuple({arm.name: arm for trial in trials for arm in trial.arms if arm.condition == "control"}.values())


def _cells(config: Config) -> Iterator[_Cell]:
    default_set = config.default_prompt_set or min(config.prompt_sets)
    if config.trials:
        for spec in config.trials:
            yield _spelled_out(config, spec, default_set)
        return
    sweep = config.sweep or Sweep()
    for model, name, top_p, top_k, length in itertools.product(
        sweep.models or (config.model_id,),
        sweep.prompt_sets or (default_set,),
        sweep.top_p or (config.top_p,),
        sweep.top_k or (config.top_k,),
        sweep.max_new_tokens or (config.max_new_tokens,),
    ):
        temps = sweep.temps or config.temps
        yield _Cell(model=model, prompt_set=name, temps=temps, top_p=top_p, top_k=top_k, max_tokens=length)


def _spelled_out(config: Config, spec: TrialSpec, default_set: str) -> _Cell:
    return _Cell(
        id=spec.id,
        model=spec.model_id or config.model_id,
        prompt_set=spec.prompt_set or default_set,
        temps=spec.temps or config.temps,
        top_p=config.top_p if spec.top_p is None else spec.top_p,
        top_k=config.top_k if spec.top_k is None else spec.top_k,
        max_tokens=spec.max_new_tokens or config.max_new_tokens,
    )


def _slug(config: Config, cell: _Cell) -> str:
    if cell.id is not None:
        return cell.id
    text = f"{short_model(cell.model, config.model_aliases)}-{cell.prompt_set}"
    if cell.top_p is not None:
        text += f"-tp{number_label(cell.top_p)}"
    if cell.top_k is not None:
        text += f"-tk{cell.top_k}"
    if config.sweep is not None and config.sweep.max_new_tokens is not None:
        text += f"-mx{cell.max_tokens.closed_book}-{cell.max_tokens.open_book}"
    return text


def _trial(config: Config, cell: _Cell, input_sha256: str) -> Trial:
    slug = _slug(config, cell)
    prompts = config.prompt_sets[cell.prompt_set]
    arms = []
    for temp in cell.temps:
        for condition in config.conditions:
            prompt = prompts.control if condition == "control" else prompts.treatment
            arms.append(_arm(config, cell.recipe(config, prompt, temp), slug, condition, temp, input_sha256))
    return Trial(slug=slug, model=cell.model, prompt_set=cell.prompt_set, temps=cell.temps, arms=tuple(arms))


def _contrasts(config: Config, input_sha256: str) -> Iterator[Trial]:
    """A trial for each contrast of arms that are written out."""
    for control, treatment in pairs(config):
        slug = f"{treatment}-vs-{control}"
        specs: tuple[tuple[Condition, ArmSpec], ...] = (("control", config.arms[control]), ("treatment", config.arms[treatment]))
        arms, temps = [], []
        for temp in config.temps:
            at = _written_out(config, config.arms[control], temp).temp
            temps.append(at)
            arms += [_arm(config, _written_out(config, spec, temp), slug, condition, at, input_sha256) for condition, spec in specs]
        yield Trial(slug=slug, model=arms[-1].model, prompt_set=treatment, against=control, temps=tuple(temps), arms=tuple(arms))


def _written_out(config: Config, spec: ArmSpec, temp: float) -> _Recipe:
    """The recipe of an arm, with the run's own values for what it leaves out. temp: of the run."""
    name = next((name for name, one in config.arms.items() if one is spec), "")
    task = _task(config, spec.task, f"arms.{name}.task")
    system = spec.system or config.system or (NO_SYSTEM if task else None)
    if system is None:
        raise ConfigError("an arm has no system prompt", where="arms", hint="give the run one: `system: PATH`")
    provider = config_of_lane(config, spec.backend or config.backend).provider
    body = {**provider.request_overrides, **(spec.body or {})}
    model = spec.model or config.model_id
    return _Recipe(
        backend=spec.backend or config.backend,
        model=model,
        pricing_key=spec.pricing_key or (provider.pricing_key if spec.model is None else None) or model,
        prompt=Prompt(system=system, instruction=spec.instruction),
        instructions=spec.instruction or config.task_instructions,
        temp=temp if spec.temperature is None else spec.temperature,
        top_p=config.top_p if spec.top_p is None else spec.top_p,
        top_k=config.top_k if spec.top_k is None else spec.top_k,
        max_tokens=spec.max_tokens or config.max_new_tokens,
        stop=config.stop if spec.stop is None else spec.stop,
        extra=_body({name: value for name, value in body.items() if value is not None}),
        task=task,
    )


def _body(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def _arm(config: Config, recipe: _Recipe, slug: str, condition: Condition, at: float, input_sha256: str) -> TrialArm:
    instructions, temp = recipe.instructions, recipe.temp
    texts = (recipe.prompt.system.sha256, instructions.open_book.sha256, instructions.closed_book.sha256)
    decoding: tuple[str, ...] = (recipe.max_tokens.model_dump_json(), repr((recipe.top_p, recipe.top_k, recipe.stop)), recipe.extra)
    if recipe.task:
        decoding = (*decoding, compiled(recipe.task).asked)
    if config.arm_form == 1:
        key = digest((recipe.backend, recipe.model, *texts, input_sha256, condition, repr(temp), str(config.samples_for(temp)), *decoding), 16)
        place = place_by_role(slug, condition, temp, key)
    else:
        key = digest((recipe.backend, recipe.model, *texts, repr(temp), *decoding), 16)
        place = place_by_recipe(recipe.model, temp, key)
    return TrialArm(
        key=key,
        name=place.name,
        folder=place.folder,
        id_head=place.id_head,
        folder_head=place.folder_head,
        condition=condition,
        at=at,
        temp=temp,
        backend=recipe.backend,
        model=recipe.model,
        pricing_key=recipe.pricing_key,
        prompt=recipe.prompt,
        instructions=instructions,
        samples=config.samples_for(temp),
        max_tokens=recipe.max_tokens,
        top_p=recipe.top_p,
        top_k=recipe.top_k,
        stop=recipe.stop,
        extra=recipe.extra,
        task=recipe.task,
    )


def _task(config: Config, task: TaskSettings | None, key: str) -> str:
    """The recipe of an arm's task, or of the run's; "" where questions are asked under an instruction. key: where the arm's own stands."""
    if task is not None:
        return task.recipe(key)
    return "" if config.task is None else config.task.recipe("task")
