"""Panels: several judges whose verdicts are taken together, as one metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from batchtrial.config.judges import JudgeSpec
from batchtrial.config.settings import Model
from batchtrial.errors import ConfigError
from batchtrial.names import Name


class PanelSpec(Model):
    """Several judges whose verdicts count together."""

    name: Name = Field(description="Name of the panel: that of its metric.")
    judges: tuple[Name, ...] = Field(min_length=2, description="Names of its judges, which are of one kind.")
    by: Literal["majority", "mean"] = Field("majority", description="What their verdicts come to: what most of them say, or the mean.")

    @field_validator("judges")
    @classmethod
    def _are_apart(cls, judges: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(judges)) < len(judges):
            raise ValueError("a judge stands twice")
        return judges


def members(panel: PanelSpec, judges: Sequence[JudgeSpec]) -> tuple[JudgeSpec, ...]:
    """The panel's judges, in its order."""
    by_name = {judge.name: judge for judge in judges}
    return tuple(by_name[name] for name in panel.judges)


def check_panels(panels: Sequence[PanelSpec], judges: Sequence[JudgeSpec], taken: Sequence[str]) -> None:
    """Raises ConfigError for a panel that cannot be. taken: names that a panel may not have."""
    known, names = {judge.name for judge in judges}, [*taken, *(judge.name for judge in judges)]
    for place, panel in enumerate(panels):
        where = f"panels.{place}"
        if panel.name in names:
            raise ConfigError(f"the name {panel.name!r} is taken", where=f"{where}.name", hint="give the panel another one")
        names.append(panel.name)
        unknown = [name for name in panel.judges if name not in known]
        if unknown:
            hint = f"the judges are {', '.join(sorted(known))}" if known else "there are no judges: declare them under `judges`"
            raise ConfigError(f"no judge is called {unknown[0]!r}", where=f"{where}.judges", hint=hint)
        _check_kinds(panel, members(panel, judges), where)


def _check_kinds(panel: PanelSpec, its: Sequence[JudgeSpec], where: str) -> None:
    if len({(one.kind, tuple(one.verdicts.items()), one.orders) for one in its}) > 1:
        what = "the judges of a panel are of one kind, with the same verdicts and the same `orders`"
        raise ConfigError(what, where=f"{where}.judges", hint="make two panels of them")
    if panel.by == "majority" and its[0].kind not in ("yes_no", "pairwise"):
        what = f"there is no majority among verdicts of kind {its[0].kind}"
        raise ConfigError(what, where=f"{where}.by", hint="set `by: mean`")
