"""One request of each arm, as it would be sent: what stands in it, where it differs from the first arm's, what it may cost, and what refuses it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from batchtrial.config.arm_differences import ArmDifference, arm_differences, text_difference
from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm, Trial, arms_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, DataError
from batchtrial.phases.batches.money import price_for
from batchtrial.phases.build import phase as build
from batchtrial.phases.build.sizes import line_about
from batchtrial.prices import cost_usd
from batchtrial.providers.base import Provider, codec_of
from batchtrial.records import Item, Usage

_UNTOLD: Final = frozenset({"custom_id"})
"""Fields of a request line that say nothing of what is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPreview:
    """An arm's request about one item.

    label: what the config calls the arm. request: its line as it goes to the wire. fields: the same by path. differences: from the first arm's
    request; from its recipe where that goes to another provider, whose fields are called otherwise.
    refused: why it could not be sent; empty when nothing here refuses it. usd: at most, None without a price.
    """

    label: str
    arm: Arm
    request: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    differences: tuple[ArmDifference, ...] = ()
    refused: str = ""
    input_tokens: int = 0
    max_output_tokens: int = 0
    usd: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "arm": self.label,
            "backend": self.arm.backend,
            "model": self.arm.model,
            "request": dict(self.request) or None,
            "differences": [one.as_json() for one in self.differences],
            "refused": self.refused or None,
            "input_tokens": self.input_tokens,
            "max_output_tokens": self.max_output_tokens,
            "max_usd": None if self.usd is None else float(self.usd),
        }


def previews(config: Config, trials: tuple[Trial, ...], item: Item, codec: Provider) -> tuple[ArmPreview, ...]:
    """A request of each arm about the item; where arms are written out, the control first."""
    labels = labels_of_arms(config, trials)
    first: ArmPreview | None = None
    found = []
    for arm in arms_of(trials):
        one = _preview(config, labels[arm.name], arm, item, codec, first)
        first = first or (one if one.request else None)
        found.append(one)
    return tuple(found)


def _preview(config: Config, label: str, arm: Arm, item: Item, codec: Provider, first: ArmPreview | None) -> ArmPreview:
    own = codec_of(codec, arm.backend)
    refused = own.refuses([arm.temp], arm.top_p, arm.top_k, arm.stop) or ""
    try:
        line = json.loads(line_about(arm, item, codec))
        n_in, n_out = build.input_tokens(arm, item), build.output_tokens(arm, item)
    except (ConfigError, DataError) as error:
        return ArmPreview(label=label, arm=arm, refused=f"{error.what}{f' ({error.where})' if error.where else ''}")
    request = {name: value for name, value in line.items() if name not in _UNTOLD}
    fields, price = dict(flat(request)), price_for(config, arm)
    return ArmPreview(
        label=label,
        arm=arm,
        request=request,
        fields=fields,
        differences=() if first is None else tuple(_differences(first, arm, fields)),
        refused=refused,
        input_tokens=n_in,
        max_output_tokens=n_out,
        usd=None if price is None else cost_usd(price, Usage(input_tokens=n_in, output_tokens=n_out)),
    )


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in a JSON value that holds nothing else, in its order: `messages[0].content`."""
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            yield from flat(one, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for place, one in enumerate(value):
            yield from flat(one, f"{path}[{place}]")
    else:
        yield path, value


def _differences(first: ArmPreview, arm: Arm, fields: Mapping[str, Any]) -> Iterator[ArmDifference]:
    if first.arm.backend == arm.backend:
        yield from _between_lines(first.fields, fields)
    else:
        yield from arm_differences(first.arm, arm)


def _between_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ArmDifference]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new and (name in before) == (name in after):
            continue
        if isinstance(old, str) and isinstance(new, str) and " " in old + new:
            yield text_difference(name, old, new)
        else:
            told = [json.dumps(side[name], ensure_ascii=False) if name in side else "not sent" for side in (before, after)]
            yield ArmDifference(field=name, before=told[0], after=told[1])
