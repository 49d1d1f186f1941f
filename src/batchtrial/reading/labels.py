"""People's labels of a run: which hold, how well two people agree, and what other programs take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from batchtrial.state.labels import VERDICTS, Label, read_labels
from batchtrial.stats.judge_quality import kappa
from batchtrial.stats.results import Estimate


@dataclass(frozen=True, slots=True)
class Agreement:
    """n: items that both labelled; observed: share on which they agree; by_chance: that of two who say each verdict as often as these, at random;
    kappa: the one less the other, with its interval."""

    n: int
    observed: float | None
    by_chance: float | None
    kappa: Estimate


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that hold: of each person, item, trial and round the last one that was not taken back, in the order in which they were given."""

    held: tuple[Label, ...]

    @classmethod
    def of(cls, path: Path) -> Labels:
        """Those of a run's file; none where there is none."""
        by_slot: dict[tuple[Any, ...], list[Label]] = {}
        slot_of: dict[str, tuple[Any, ...]] = {}
        for label in read_labels(path):
            if label.undo:
                slot = slot_of.get(label.undo)
                if slot is not None:
                    by_slot[slot] = [one for one in by_slot[slot] if one.id != label.undo or one.who != label.who]
                continue
            slot = slot_of[label.id] = (label.who, label.item_key, label.trial, label.temp, label.is_repeat)
            by_slot.setdefault(slot, []).append(label)
        return cls(tuple(given[-1] for given in by_slot.values() if given))

    def by_item(self, trial: str, temp: float) -> dict[str, str]:
        """The last verdict on each item of a trial."""
        return {label.item_key: label.verdict for label in self.held if (label.trial, label.temp) == (trial, temp)}

    def people(self) -> list[str]:
        """Who has labelled, most first."""
        counts: dict[str, int] = {}
        for label in self.held:
            counts[label.who] = counts.get(label.who, 0) + 1
        return sorted(counts, key=lambda who: (-counts[who], who))

    def agreement(self, trial: str, seed: int) -> dict[str, Agreement]:
        """How well people agree: each pair of them as `a, b`, and each with himself on items labelled twice."""
        firsts, repeats = self._by_person(trial, is_repeat=False), self._by_person(trial, is_repeat=True)
        found = {}
        people = sorted(firsts)
        for place, one in enumerate(people):
            if repeats.get(one):
                found[f"{one}, again"] = _agreement(firsts[one], repeats[one], seed)
            for other in people[place + 1 :]:
                found[f"{one}, {other}"] = _agreement(firsts[one], firsts[other], seed)
        return {name: one for name, one in found.items() if one.n}

    def _by_person(self, trial: str, *, is_repeat: bool) -> dict[str, dict[tuple[str, float], str]]:
        found: dict[str, dict[tuple[str, float], str]] = {}
        for label in self.held:
            if label.trial == trial and label.is_repeat == is_repeat:
                found.setdefault(label.who, {})[label.item_key, label.temp] = label.verdict
        return found


def _agreement(one: Mapping[tuple[str, float], str], other: Mapping[tuple[str, float], str], seed: int) -> Agreement:
    both = sorted(set(one) & set(other))
    codes = [[VERDICTS.index(given[key]) for key in both] for given in (one, other)]
    n, same = len(both), sum(one[key] == other[key] for key in both)
    alike = sum(codes[0].count(verdict) * codes[1].count(verdict) for verdict in set(codes[0]))
    return Agreement(n=n, observed=same / n if n else None, by_chance=alike / n**2 if n else None, kappa=kappa(*codes, seed=seed))


def labels_json(labels: Iterable[Label]) -> list[dict[str, Any]]:
    """As JSON."""
    return [msgspec.to_builtins(label) for label in labels]


def preference_pairs(labels: Iterable[Label], texts: Mapping[tuple[str, str], tuple[str, str, str]]) -> Iterator[dict[str, str]]:
    """`{prompt, chosen, rejected}` of each label that prefers an answer. texts: (trial, item key) -> prompt, control's answer, treatment's."""
    for label in labels:
        if label.verdict in ("better", "worse") and (label.trial, label.item_key) in texts:
            prompt, control, treatment = texts[label.trial, label.item_key]
            chosen, rejected = (treatment, control) if label.verdict == "better" else (control, treatment)
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}
