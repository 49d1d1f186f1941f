"""The config: one model, one home per setting. `load.py` reads it, `expand.py` turns it into trials and arms.

A prompt or instruction is written as a path in the YAML that people edit and carried as its text from then on, so that a run needs no file
outside its folder and its hash covers what was really sent.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer, model_validator

from batchtrial.config import families
from batchtrial.config.direct_settings import DirectSettings
from batchtrial.config.growth import GrownFrom
from batchtrial.config.judges import JudgeSpec, name_apart
from batchtrial.config.lost_answers import LostAnswersPlan
from batchtrial.config.metric_entries import MetricEntries
from batchtrial.config.panels import PanelSpec
from batchtrial.config.queue_limits import QueueLimits
from batchtrial.config.recipes import ArmSpec, Instructions, MaxTokens, PromptSet
from batchtrial.config.report import ReportSettings
from batchtrial.config.sequential import Sequential
from batchtrial.config.settings import Backend, Model, Probability, Temperature, Text
from batchtrial.config.simulation import Simulation
from batchtrial.config.tasks import TaskSettings, without_unused_keys
from batchtrial.modes import MODES, Mode
from batchtrial.names import Name, is_recorded
from batchtrial.records import Condition
from batchtrial.sources.spec import SourceSpec


class Sweep(Model):
    """Lists whose cross product becomes trials; a list left out takes the run's own single value."""

    models: tuple[str, ...] | None = Field(None, min_length=1, description="Model ids.")
    prompt_sets: tuple[str, ...] | None = Field(None, min_length=1, description="Names from `prompt_sets`.")
    temps: tuple[Temperature, ...] | None = Field(None, min_length=1, description="Temperatures; one arm each.")
    top_p: tuple[float, ...] | None = Field(None, min_length=1, description="Nucleus sampling values.")
    top_k: tuple[int, ...] | None = Field(None, min_length=1, description="Top-k values.")
    max_new_tokens: tuple[MaxTokens, ...] | None = Field(None, min_length=1, description="Answer lengths.")


class TrialSpec(Model):
    """One trial written out; what is left out takes the run's own value."""

    id: Name | None = Field(None, description="Slug of the trial; unset: made from it.")
    model_id: str | None = Field(None, min_length=1, description="Model id.")
    prompt_set: str | None = Field(None, description="Name from `prompt_sets`.")
    temps: tuple[Temperature, ...] | None = Field(None, min_length=1, description="Temperatures; one arm each.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling value.")
    top_k: int | None = Field(None, ge=1, description="Top-k value.")
    max_new_tokens: MaxTokens | None = Field(None, description="Answer length.")


class Submission(Model):
    """How batches are cut, sent and waited for. The first two shape the requests; the rest may change on resume, and all but the budget stay so."""

    lines_per_part: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        None, description="Requests per part at most; beats parts_per_dataset. `auto`: as many as make the run short by `provider.queue`."
    )
    parts_per_dataset: int | None = Field(None, ge=1, description="Parts to cut each arm into.")
    max_concurrent_jobs: int = Field(4, ge=1, description="Batches in flight at one time.")
    max_attempts: int = Field(3, ge=1, description="Deliberate attempts at a row before it is given up.")
    poll_seconds: float = Field(30.0, gt=0, description="Wait between two looks at the running batches.")
    give_up_hours: float = Field(80.0, gt=0, description="Wait for one batch at most this long before stopping the run.")
    stop_policy: Literal["leave", "drain"] = Field("leave", description="On a stop: leave running batches at the provider, or wait for them first.")
    budget_usd: float | None = Field(None, gt=0, description="Refuse to submit past this sum, counting what is in flight.")


class PromptCache(Model):
    """Prompt caching marker, for providers that take one."""

    enabled: bool = Field(False, description="Mark the system prompt as cacheable.")
    ttl: Literal["5m", "1h"] = Field("1h", description="How long the provider should keep it.")


class ProviderConfig(DirectSettings):
    """Where the provider is and what else goes into each request. Keys are read from the environment only."""

    base_url: str | None = Field(None, description="Another host that speaks the backend's wire.")
    account_id: str | None = Field(None, description="Fireworks account; unset: FIREWORKS_ACCOUNT_ID.")
    endpoint: Literal["/v1/responses", "/v1/chat/completions"] | None = Field(
        None, description="OpenAI wire: what the batch calls; unset: /v1/responses, or chat completions for `local`."
    )
    api_version: Literal["2023-06-01", "2026-10-21"] | None = Field(
        None, description="Anthropic API version; unset: 2023-06-01, which still takes sampling parameters."
    )
    sampling: Literal["send", "omit"] = Field(
        "send", description="`omit` leaves sampling parameters out, for models that refuse them; then only one temperature can be asked for."
    )
    accepts: tuple[families.Field, ...] = Field(
        (), description="Sampling fields that the model takes although the table of model families says that it refuses them."
    )
    quirks: str = Field("openai", description="Name in the table of OpenAI-compatible batch hosts.")
    pricing_key: str | None = Field(None, description="Name in the price table when it is not the model id.")
    request_overrides: dict[str, Any] = Field(
        default_factory=dict, description="Further body fields for each request; must not name a field batchtrial sets."
    )
    prompt_cache: PromptCache = Field(PromptCache(), description="Prompt caching.")
    connect_seconds: float = Field(5.0, gt=0, description="Time-out for opening a connection.")
    read_seconds: float = Field(120.0, gt=0, description="Time-out for each read.")
    queue: QueueLimits | None = Field(None, description="Limits of the account's batch queue; unset: `submission.max_concurrent_jobs` alone.")
    max_concurrent_requests: int = Field(2, ge=1, description="`local` only: requests in flight at one time.")


class Price(Model):
    """USD per million tokens at batch rate."""

    input_per_mtok: float = Field(ge=0, description="Prompt tokens.")
    output_per_mtok: float = Field(ge=0, description="Answer tokens.")
    cached_per_mtok: float | None = Field(None, ge=0, description="Prompt tokens read from a cache; unset: as input.")
    cache_write_per_mtok: float | None = Field(None, ge=0, description="Prompt tokens written to a cache; unset: as input.")


class Pricing(Model):
    """Prices that override the dated table shipped with the package."""

    overrides: dict[str, Price] = Field(default_factory=dict, description="Model id (or pricing_key) to price.")


class Unsupported(Model):
    """Lexical heuristic for answers without support in the passage."""

    threshold: float = Field(0.5, ge=0, le=1, description="Flag an answer with less than this share of its words in the passage.")
    min_token_overlap: float = Field(0.6, ge=0, le=1, description="Word similarity that counts as present.")


class Answers(Model):
    """How an answer is read before it is scored."""

    abstention_phrases: tuple[str, ...] = Field(
        (),
        description="Further abstentions, in any language; those that are known are English. Each is a whole answer or a clause of one, compared "
        "without case, apostrophes and signs; `*` stands for any words, as in `das steht nicht im *`.",
    )

    @field_validator("abstention_phrases")
    @classmethod
    def _say_something(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in phrases:
            if not any(sign.isalnum() for sign in phrase):
                raise ValueError(f"the phrase {phrase!r} has no letter or digit, and would take any answer for an abstention")
        return phrases

    strip_thinking: str | None = Field(
        None,
        min_length=1,
        description="What a model thought before its answer: `auto` takes out `<think>...</think>` and its relatives, `off` nothing, "
        "anything else is a regular expression without look-around, whose matches go. Unset: as `auto`, with a warning that counts such answers.",
    )

    @field_validator("strip_thinking")
    @classmethod
    def _compiles(cls, rule: str | None) -> str | None:
        if rule not in (None, "auto", "off"):
            try:
                re.compile(rule)
            except re.error as error:
                raise ValueError(f"neither auto nor off nor a regular expression ({error})") from None
        return rule


class Endpoint(Model):
    """One declared comparison, at the first temperature of the trial."""

    metric: str = Field(min_length=1, description="em, f1, abstained, false_answer, unsupported, or a metric of your own.")
    kind: Literal["open", "closed", "all"] = Field("all", description="Which questions.")
    goal: Literal["superiority", "noninferiority", "equivalence"] | None = Field(
        None, description="What the trial sets out to show; unset: noninferiority with a margin, superiority without one."
    )
    margin: float | None = Field(
        None,
        gt=0,
        description="Non-inferiority or equivalence margin, absolute: 0.02 is two percentage points; of a count or a grade in its own unit.",
    )
    higher_is_better: bool | None = Field(None, description="Unset: true for em and f1, false for abstained, false_answer and unsupported.")

    @model_validator(mode="after")
    def _margin_fits(self) -> Endpoint:
        if (self.goal in ("noninferiority", "equivalence")) and self.margin is None:
            raise ValueError(f"the goal {self.goal} needs a margin")
        if self.goal == "superiority" and self.margin is not None:
            raise ValueError("the goal superiority uses no margin")
        return self


class StatsConfig(Model):
    """The analysis plan and the numbers behind it; hashed into the run before any result exists."""

    alpha: Probability = Field(0.05, description="Two-sided level, at most 0.2; intervals cover 1 - alpha.")
    primary: Endpoint = Field(Endpoint(metric="em", kind="all", margin=0.02), description="The one primary endpoint.")
    confirmatory: tuple[Endpoint, ...] = Field((), description="Further declared comparisons, corrected by Holm.")
    exploratory: Literal["bh", "none"] = Field("bh", description="Correction of everything not declared.")
    clusters: Literal["auto", "off"] = Field("auto", description="Respect the items' clusters when they have any.")
    missing: LostAnswersPlan = Field(LostAnswersPlan(), description="What lost answers may have been.")
    permutation_samples: int = Field(9_999, ge=999, description="Replicates where a permutation test is sampled.")
    random_seed: int = Field(1337, ge=0, description="Seed of every random statistic.")
    cut_answers: Literal["lost", "wrong", "as_is"] = Field(
        "lost", description="What an answer that was cut off counts as: no answer, a wrong one, or the text that is there."
    )
    refused_answers: Literal["lost", "wrong", "abstained"] = Field(
        "lost", description="What an answer counts as that the model refused to give: no answer, a wrong one, or an abstention."
    )
    sequential: Sequential | None = Field(None, description="Planned looks, at which the run may stop early; unset: everything is bought.")

    @model_validator(mode="after")
    def _can_be_looked_at(self) -> StatsConfig:
        if self.sequential is not None and self.primary.goal == "equivalence":
            raise ValueError("sequential looks are planned for superiority and noninferiority, and the primary endpoint's goal is equivalence")
        return self

    @model_serializer(mode="wrap")
    def _without_unset_looks(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name != "sequential" or value is not None}


class OptionalAnalyses(Model):
    """Analyses beyond the plan; each writes a file of its own in the `optional` phase."""

    unsupported_sensitivity: bool = Field(False, description="Effect on `unsupported` over a range of thresholds.")
    mixed_effects: bool = Field(False, description="Random-intercept logistic model.")
    power_analysis: bool = Field(False, description="Detectable effect and items needed, from this run's variance.")
    cost_effectiveness: bool = Field(False, description="Cost per percentage point gained; costs.json has cost per right answer in any case.")
    subgroups: bool = Field(False, description="Effect by dataset, kind of question and answerability, with a test that they differ.")

    @property
    def switched_on(self) -> tuple[str, ...]:
        """Names of those asked for, in order."""
        return tuple(name for name, is_on in self if is_on)


LATER_KEYS: Final = frozenset({"arms", "contrasts", "grown", "judges", "lanes", "only_items", "panels", "report", "slices", "system", "task"})
"""Keys that came with a later version: written down only where they are set, so that a config without them has the bytes and the hash that it had."""


class Config(Model):
    """Everything that decides what a run asks, sends and computes."""

    arm_form: Literal[1, 2] = Field(
        2, description="Set by the program. 2: an arm is what it asks; 1: runs begun by an earlier version, and replays of recordings made by one."
    )
    mode: Mode = Field("live", description="Set by --dry_run, --replay_dir and a host that says it is an emulator; part of the run's identity.")
    backend: Backend = Field("fireworks", description="Which provider runs the batches; docs/providers.md lists them.")
    model_id: str = Field(min_length=1, description="The model, in the provider's own spelling.")
    model_aliases: dict[str, Name] = Field(default_factory=dict, description="Short names for trial slugs.")
    temps: tuple[Temperature, ...] = Field((0.0,), min_length=1, description="Sampling temperatures; one arm each.")
    samples_per_item: int | dict[str, int] = Field(
        1, description="Completions per item and arm; a number, or one per temperature such as {'0.7': 5}."
    )
    max_new_tokens: MaxTokens = Field(MaxTokens(), description="Longest answer.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling; unset: the provider's default.")
    top_k: int | None = Field(None, ge=1, description="Top-k sampling; unset: the provider's default.")
    stop: tuple[str, ...] = Field((), description="Stop sequences.")
    seed: int = Field(1337, ge=0, description="Seed of the item order.")
    datasets: tuple[SourceSpec, ...] = Field(min_length=1, description="Question sets.")
    limit_items: int | None = Field(None, ge=1, description="Use only this many items of all sets together.")
    only_items: tuple[str, ...] = Field((), description="Set by `batchtrial try`: keys of the items that it asks about; unset: all.")
    grown: tuple[GrownFrom, ...] = Field((), description="Set by `batchtrial grow`: the run before each growth.")
    skip_bad_rows: bool = Field(False, description="Count and report rows that cannot be used instead of failing.")
    conditions: tuple[Condition, ...] = Field(("control", "treatment"), min_length=1, description="Conditions to ask.")
    task: TaskSettings | None = Field(None, description="What is asked about an item; unset, or `qa`: the question under an instruction.")
    task_instructions: Instructions = Field(description="Head of the user turn, for both conditions; with a `task` there is none.")
    prompt_sets: dict[Name, PromptSet] = Field(default_factory=dict, description="Named comparisons of two prompts: the short form of `arms`.")
    arms: dict[Name, ArmSpec] = Field(default_factory=dict, description="Named recipes that are compared; they take the place of `prompt_sets`.")
    contrasts: str | tuple[tuple[Name, Name], ...] | None = Field(
        None,
        description="Which arms are compared: `vs_control` (each other arm with the one named `control`; so too when unset), `all_pairs`, or a list "
        "of pairs such as `[[a, b], [a, c]]`, each read as: what b changes against a.",
    )
    lanes: dict[Backend, ProviderConfig] = Field(
        default_factory=dict,
        description="Addresses and extras of the further backends that arms name; unset: the usual. `provider` is that of the run's own backend.",
    )
    system: Text | None = Field(None, description="System prompt of the arms that name none, as a path.")
    template_marks: Literal["refuse", "text"] = Field(
        "refuse", description="`{{name}}` in a prompt or instruction: an error, since nothing fills it in; or text that is sent as it stands."
    )
    default_prompt_set: str | None = Field(
        None, description="Used when nothing asks for others; unset: the first by name, which is said where there are several."
    )
    sweep: Sweep | None = Field(None, description="Trials as a cross product.")
    trials: tuple[TrialSpec, ...] = Field((), description="Trials written out; they replace the sweep.")
    control_from: Name | None = Field(None, description="Finished run beside this one whose control arms are taken over instead of bought again.")
    trial_filter: str | None = Field(None, description="Only trials whose slug matches this shell pattern.")
    submission: Submission = Field(Submission(), description="Cutting, sending and waiting.")
    provider: ProviderConfig = Field(ProviderConfig(), description="The provider's address and extras.")
    pricing: Pricing = Field(Pricing(), description="Price overrides.")
    unsupported: Unsupported = Field(Unsupported(), description="The unsupported-answer heuristic.")
    metrics: MetricEntries = Field(
        (),
        description="Further metrics: by name with parameters, such as `exact` or `{contains: {any: [refund]}}` (docs/metrics.md lists them), or "
        "your own as `package.module:function`.",
    )
    slices: tuple[str, ...] = Field((), description="Columns of the items by whose values the report shows the effect, with a test that it differs.")
    judges: Annotated[tuple[JudgeSpec, ...], AfterValidator(name_apart)] = Field(
        (), description="Models that judge the answers, as a second wave of requests; each is a metric by its name (docs/judges.md)."
    )
    panels: tuple[PanelSpec, ...] = Field((), description="Judges whose verdicts count together; each panel is a metric by its name.")
    metric_errors: Literal["stop", "lost"] = Field(
        "stop", description="When a metric of your own fails on an answer: stop and name it, or count that answer as lost to the metric and go on."
    )
    metric_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds that a metric of your own may take for one answer before it is named with its item; from then on a stop ends the call.",
    )
    answers: Answers = Field(Answers(), description="Reading answers.")
    stats: StatsConfig = Field(StatsConfig(), description="The analysis plan.")
    optional: OptionalAnalyses = Field(OptionalAnalyses(), description="Optional analyses.")
    exports: tuple[Literal["predictions.csv", "per_item_scores.csv", "results_combined.jsonl"], ...] = Field(
        ("predictions.csv", "per_item_scores.csv"), description="Files for people that are made of the tables; no phase reads them."
    )
    report: ReportSettings | None = Field(None, description="What is written beside the report; unset: everything.")
    simulation: Simulation = Field(Simulation(), description="Behaviour of the simulated model in a dry run.")

    @model_validator(mode="before")
    @classmethod
    def _form_of_record(cls, tree: Any, info: ValidationInfo) -> Any:
        """What a run of an earlier version wrote down says nothing of the form that it was begun under."""
        is_earlier = is_recorded(info) and isinstance(tree, Mapping) and "arm_form" not in tree
        return {**tree, "arm_form": 1} if is_earlier else tree

    @model_validator(mode="before")
    @classmethod
    def _task_or_instructions(cls, tree: Any) -> Any:
        return without_unused_keys(tree) if isinstance(tree, Mapping) else tree

    @model_validator(mode="after")
    def _has_arms(self) -> Config:
        if bool(self.arms) == bool(self.prompt_sets):
            what = "both say what is compared" if self.arms else "neither is there, so nothing would be compared"
            raise ValueError(f"give prompt_sets (two prompts) or arms (whole recipes): {what}")
        return self

    @field_validator("contrasts", mode="before")
    @classmethod
    def _is_a_choice(cls, given: Any) -> Any:
        choices = ("vs_control", "all_pairs")
        if isinstance(given, list | tuple):
            odd = next((one for one in given if not (isinstance(one, list | tuple) and len(one) == 2)), None)
            if odd is not None or not given:
                raise ValueError(f"each contrast names two arms, as in [[a, b], [a, c]], and {given if odd is None else odd!r} does not")
        elif given is not None and given not in choices:
            near = difflib.get_close_matches(str(given), choices, 1)
            raise ValueError(f"it is vs_control, all_pairs or a list of pairs{f'; did you mean {near[0]}?' if near else ''}")
        return given

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        known = set(self.prompt_sets)
        named = (self.default_prompt_set, *((self.sweep and self.sweep.prompt_sets) or ()), *(t.prompt_set for t in self.trials))
        unknown = sorted({name for name in named if name is not None and name not in known})
        if unknown:
            raise ValueError(f"prompt set {unknown[0]!r} is not defined; prompt_sets has {', '.join(sorted(known))}")
        return self

    @model_serializer(mode="wrap")
    def _without_unset_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name not in LATER_KEYS or value}

    @property
    def is_simulated(self) -> bool:
        """No real model answered, now or when the recording was made."""
        return MODES[self.mode].is_simulated

    @property
    def is_called(self) -> bool:
        """The config's own host is called, whoever answers there."""
        return MODES[self.mode].is_called

    @property
    def is_live(self) -> bool:
        """A provider is asked now, and paid where it charges."""
        return self.is_called and not self.is_simulated

    @property
    def is_dry(self) -> bool:
        """An emulator stands in for the provider, with answers of its own or a recording's."""
        return MODES[self.mode].is_dry

    @property
    def is_replay(self) -> bool:
        """A recording stands in for the adapter."""
        return MODES[self.mode].is_replay

    @property
    def keeps_clusters(self) -> bool:
        """Whether the items of a cluster are asked about one after the other, so that every look sees whole clusters."""
        return self.stats.sequential is not None and self.stats.clusters == "auto"

    def samples_for(self, temp: float) -> int:
        """Completions per item and arm at this temperature."""
        if isinstance(self.samples_per_item, int):
            return self.samples_per_item
        return next((count for key, count in self.samples_per_item.items() if float(key) == temp), 1)
