"""Trying a config on a few items: which, what their requests are, and asking them at once, in a small run with a ledger and a budget of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from batchtrial.app.invocation import Invocation
from batchtrial.app.reach import check_reachable
from batchtrial.app.session import Person, layout_of, loaded, opened
from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm, Trial, arms_of, expand
from batchtrial.config.lanes import config_of_lane, is_direct, key_of, lanes_of
from batchtrial.config.model import Config
from batchtrial.errors import BudgetTooSmall, ConfigError, PhaseFailed, ProviderError
from batchtrial.phases.base import View
from batchtrial.phases.batches.money import price_for
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.items import load_prepared, place
from batchtrial.phases.prepare.metrics import try_metrics
from batchtrial.phases.tables.columns import ANSWERS, MEASURES, SCORES
from batchtrial.providers.direct.forms import form_of
from batchtrial.providers.registry import row_of
from batchtrial.records import AnswerState, Item, Outcome
from batchtrial.run.loop import execute
from batchtrial.run.options import Options
from batchtrial.run.refused import REFUSALS
from batchtrial.state.money import Money
from batchtrial.state.store import Hook, no_hook

BUDGET_USD: Final = 1.0
"""What a try may cost where nothing else is said."""
LAST_STEP: Final = "score"
REFUSED: Final = (*REFUSALS, ProviderError, PhaseFailed)
"""Ends of a try before anything was sent that leave no folder: a try is small, and asked again when its key or its server is there."""
_ANSWER: Final = frozenset(column.name for column in ANSWERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one arm said to one item. text: as it came; None when nothing came. state: of the answer, or how the request ended. numbers: by metric."""

    label: str
    text: str | None
    state: str
    error: str
    numbers: Mapping[str, float]
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None

    @property
    def is_answer(self) -> bool:
        return self.state == AnswerState.COMPLETE

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in ((n, getattr(self, n)) for n in self.__slots__)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TryOut:
    """A try that was asked. answers: of each item, by arm, the first sample of each. refused: (arm, why) of requests that came back as errors."""

    root: Path
    money: Money
    is_simulated: bool
    items: tuple[Item, ...]
    answers: tuple[tuple[Tried, ...], ...]
    refused: tuple[tuple[str, str], ...]


def chosen_items(config: Config, *, named: Sequence[str], seed: int | None, n: int, complain: Callable[[str], None]) -> prepare.Prepared:
    """The items that are named, else the first `n` of the run's order (that of `seed`). Everything that `prepare` refuses is refused.

    Raises DataError, and ConfigError for an item that is not there.
    """
    whole = prepare.choose(config.model_copy(update={"limit_items": None}))
    check_endpoints(config, whole.whole, whole.sources)
    items = [_named(whole.items, name) for name in named]
    if not items:
        items = sorted(whole.items, key=lambda item: place(item, config.seed if seed is None else seed))[:n]
    try_metrics(config, whole, items, complain)
    return prepare.Prepared(items=tuple(items), sources=whole.sources, whole=whole.whole)


def _named(items: Sequence[Item], name: str) -> Item:
    found = [item for item in items if name in (item.item_id, item.key, f"{item.dataset}:{item.item_id}")]
    if len(found) == 1:
        return found[0]
    if found:
        hint = f"say which: {', '.join(f'{item.dataset}:{item.item_id}' for item in found[:5])}"
        raise ConfigError(f"several question sets have an item {name!r}", where="--item", hint=hint)
    some = ", ".join(item.item_id for item in items[:5])
    raise ConfigError(f"there is no item {name!r}", where="--item", hint=f"ids are such as {some}; without --item a seeded one is taken")


def at_once(config: Config) -> dict[str, Any]:
    """Settings under which a run's requests are answered at once: each by itself at the provider's synchronous API; none where nobody is asked.

    Raises ConfigError for a provider that answers batches alone.
    """
    if not config.is_called:
        return {}
    found: dict[str, Any] = {}
    for name in lanes_of(config):
        lane = config_of_lane(config, name)
        if not is_direct(lane):
            endpoint = lane.provider.endpoint or ("/v1/responses" if name == "openai" else "/v1/chat/completions")
            try:
                form_of(row_of(name).speaks, endpoint)
            except ConfigError:
                what = f"{name} answers these requests as a batch alone, which may take hours"
                raise ConfigError(what, where="--send", hint="add --dry_run to rehearse, or --as_batch to send it and wait") from None
            found[f"{key_of(config, name)}.lane"] = "direct"
    return found


def budget_of(config: Config, given: float | None) -> float | None:
    """The budget of a try: what is given, else a dollar; none where a model has no price, since it could not be kept."""
    if given is not None:
        return given
    arms = arms_of(expand(config, ""))
    return BUDGET_USD if all(price_for(config, arm) is not None for arm in arms) else None


def send(
    ask: Invocation, run_id: str, chosen: prepare.Prepared, person: Person, *, nonce: str, env: Mapping[str, str], hook: Hook = no_hook
) -> TryOut:
    """Ask every arm about the items and score what came. Raises Stopped, RunnerError; what was sent stands in the try's own ledger."""
    options = Options(to_step=LAST_STEP, workers=1)
    ask = replace(ask, options=options, changes={**ask.changes, "only_items": [item.key for item in chosen.items]})
    check_reachable(loaded(ask, layout_of(ask, run_id), env).config, env)
    with opened(ask, run_id, person, nonce=nonce, env=env, hook=hook, around=chosen.whole or (), refusals=REFUSED) as at:
        try:
            execute(at.session, options, at.services)
        except BudgetTooSmall as error:
            raise BudgetTooSmall(error.what, where=error.where, hint="raise it, or --send fewer items") from None
        view, money = at.session.look(), at.session.ledger.money()
        return _tried(view, money)


def _tried(view: View, money: Money) -> TryOut:
    labels = labels_of_arms(view.config, view.trials)
    arms = [arm for arm in arms_of(view.trials) if view.layout.arm(arm.name).answers.exists()]
    tables = {arm.name: _table(view, arm) for arm in arms}
    by_key = {item.key: item for item in load_prepared(view.layout)}
    keys = pl.read_parquet(view.layout.items, columns=["item_key"])["item_key"].to_list()
    refused = {
        (labels[arm.name], row["error"]): None for arm in arms for row in tables[arm.name] if row["outcome"] != Outcome.SUCCEEDED and row["error"]
    }
    refused |= {(labels[arm.name], why): None for arm, why in _absent(view.trials, arms_of(view.trials))}
    answers = tuple(tuple(_one(labels[arm.name], tables[arm.name][number]) for arm in arms) for number in range(len(keys)))
    return TryOut(
        root=view.layout.root,
        money=money,
        is_simulated=view.config.is_simulated,
        items=tuple(by_key[key] for key in keys),
        answers=answers,
        refused=tuple(refused),
    )


def _absent(trials: Sequence[Trial], arms: Sequence[Arm]) -> Iterator[tuple[Arm, str]]:
    """Arms whose provider failed, with the reason."""
    why = {name: reason for trial in trials for name, reason in trial.absent}
    yield from ((arm, why[arm.name]) for arm in arms if arm.name in why)


def _table(view: View, arm: Arm) -> list[dict[str, Any]]:
    """The first sample of each item, with the item's scores."""
    files = view.layout.arm(arm.name)
    answers = pl.read_parquet(files.answers).filter(pl.col("sample") == 0)
    return answers.join(pl.read_parquet(files.scores), on="place", how="left", maintain_order="left").to_dicts()


def _one(label: str, row: Mapping[str, Any]) -> Tried:
    own = [name for name in row if name in MEASURES or (name not in SCORES and name not in _ANSWER)]
    return Tried(
        label=label,
        text=row["text"],
        state=row["answer_state"] or row["outcome"],
        error=row["error"] or "",
        numbers={name: row[name] for name in own if isinstance(row[name], int | float)},
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        usd=row["usd"],
    )
