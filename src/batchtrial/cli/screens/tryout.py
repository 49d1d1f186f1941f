"""How a try looks on a terminal: requests with what differs marked, answers side by side; and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from batchtrial.app.tryout import Tried, TryOut
from batchtrial.records import Item
from batchtrial.run.preview import ArmPreview
from batchtrial.state.money import dollars, rounded_or_none

LONGEST: Final = 4_000
"""Characters of a text that are shown; --json has all of it."""
LONGEST_ANSWER: Final = 400
DIFFERS: Final = "*"


def requests(item: Item, arms: Sequence[ArmPreview], notes: Sequence[str], *, is_sent: bool) -> Iterator[str]:
    """A request of each arm about the item. Fields that differ from the first arm's have a star, where one provider is asked.

    is_sent: some are sent now, so only what differs.
    """
    yield f"item      {item.dataset}:{item.item_id}"
    yield f"accepted  {' | '.join(item.answers)}" if item.answers else "accepted  nothing is named"
    for note in notes:
        yield f"note      {note}"
    for place, one in enumerate(arms):
        yield ""
        yield f"{one.label}: {one.arm.backend}, {one.arm.model}"
        if one.refused:
            yield f"  would be refused: {one.refused}"
        if one.fields:
            most = "unknown price" if one.usd is None else f"at most {dollars(one.usd)}"
            yield f"  about {one.input_tokens:,} tokens in, at most {one.max_output_tokens:,} out, {most}"
            yield from () if is_sent else _fields(one)
        yield from (f"  differs   {difference.sentence}" for difference in one.differences)
        if place and one.fields and not one.differences:
            yield "  the same request as the first arm's"
    if not is_sent:
        yield ""
        yield "nothing was written or sent"


def _fields(one: ArmPreview) -> Iterator[str]:
    changed = {difference.field for difference in one.differences}
    for name, value in one.fields.items():
        mark = DIFFERS if name in changed else " "
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text):,} characters)"
        first, *rest = shown.split("\n")
        yield f"  {mark} {name}: {first}"
        yield from (f"      {line}" for line in rest)


def answers(tried: TryOut) -> Iterator[str]:
    """What every arm said to each item, with its numbers, side by side; then what was refused, and the bill."""
    width = max((len(one.label) for arms in tried.answers for one in arms), default=0)
    if tried.is_simulated:
        yield "SIMULATED ANSWERS: no model was asked"
    for item, arms in zip(tried.items, tried.answers, strict=True):
        yield ""
        accepted = f"   accepted: {' | '.join(item.answers)}" if item.answers else ""
        yield f"{item.dataset}:{item.item_id}{accepted}"
        texts = {one.text for one in arms}
        for one in arms:
            mark = DIFFERS if len(texts) > 1 and one.text != arms[0].text else " "
            first, *rest = _answer(one).split("\n")
            yield f"  {mark} {one.label:<{width}}  {first}"
            yield from (f"    {'':<{width}}  {line}" for line in rest)
            yield f"    {'':<{width}}  [{_numbers(one)}]"
    yield ""
    yield from (f"refused   {label}: {why}" for label, why in tried.refused)
    yield f"cost      {tried.money.sentence('spent')}" + (" (simulated: nothing is paid)" if tried.is_simulated else "")
    yield f"kept in   {tried.root}"


def _answer(one: Tried) -> str:
    if not one.is_answer:
        return f"no answer: {one.error or one.state}" + (f": {one.text[:LONGEST_ANSWER]}" if one.text else "")
    text = one.text or ""
    return text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]} ... ({len(text):,} characters)"


def _numbers(one: Tried) -> str:
    told = [f"{name} {value:.4g}" for name, value in one.numbers.items()]
    told += [f"{one.output_tokens} tokens out"] if one.output_tokens is not None else []
    told += [f"${one.usd:.6f}"] if one.usd is not None else []
    return ", ".join(told) or "no numbers"


def as_json(tried: TryOut) -> dict[str, Any]:
    """For programs."""
    return {
        "run": str(tried.root),
        "simulated": tried.is_simulated,
        "answers": [
            {"item": item.key, "accepted": list(item.answers), "arms": [one.as_json() for one in arms]}
            for item, arms in zip(tried.items, tried.answers, strict=True)
        ],
        "refused": [{"arm": label, "why": why} for label, why in tried.refused],
        "spent_usd": rounded_or_none(tried.money.known()["spent"]),
        "cost": tried.money.sentence(),
    }
