"""Which labels of people correct a judge, and whether they are those with which a corrected difference was first shown.

To go on labelling because of what is seen is optional stopping. So the first analysis that shows a corrected difference of a trial leaves a line in
the ledger with the labels that it was made with; with other labels the difference is shown as well, and is no claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, Work, digest_of
from batchtrial.phases.tables.answer_marks import of_these_answers
from batchtrial.state.entries import run_lines
from batchtrial.state.labels import Label, read_labels

LABELS: Final = "labels"
"""The event."""
WORTH: Final[Mapping[str, float]] = {"better": 1.0, "worse": -1.0, "same": 0.0, "both_bad": 0.0}
"""What a label says of the treatment's answer against the control's; one who cannot tell says nothing."""


@dataclass(frozen=True, slots=True)
class Held:
    """Labels of a trial that correct. aside: how many do not, by why. seen: items that somebody was shown blind, whatever became of the label."""

    used: tuple[Label, ...]
    aside: Mapping[str, int]
    seen: frozenset[str]


def held_labels(view: View, trial: Trial, temp: float) -> Held:
    """Labels of the trial. Of each person, item and round the last one holds that was not taken back."""
    labels = list(read_labels(view.layout.labels))
    undone = {(one.undo, one.who) for one in labels if one.undo}
    given = [one for one in labels if not one.undo and one.trial == trial.slug and one.temp == temp and one.sample == 0]
    control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
    ours = given if control is None or treatment is None else of_these_answers(view.layout, control, treatment, given)
    held = {(one.who, one.item_key, one.is_repeat): one for one in ours if (one.id, one.who) not in undone}
    # Whoever knows whose answer it is prefers an arm, and who chose the item to look at drew no lot.
    blind = [one for one in held.values() if one.is_blind]
    used = tuple(one for one in blind if one.verdict in WORTH)
    aside = {"not_blind": len(held) - len(blind), "cannot": len(blind) - len(used), "other_answers": len(given) - len(ours)}
    return Held(used, aside, frozenset(one.item_key for one in ours if one.is_blind))


def preferences(held: Iterable[Label]) -> dict[str, float]:
    """What people prefer, by item; of several people their mean. A second label of the same person only says how far that one can be relied on."""
    by_key: dict[str, list[float]] = {}
    for one in held:
        if not one.is_repeat:
            by_key.setdefault(one.item_key, []).append(WORTH[one.verdict])
    return {key: sum(given) / len(given) for key, given in sorted(by_key.items())}


def note_labels(work: Work, trial: Trial, record: Mapping[str, Any]) -> None:
    """Write down with which labels a corrected difference is shown, before it is shown for the first time. record: the trial's significance.json."""
    if any(one["is_corrected"] for one in record.get("judges", ())) and _first(work.view, trial) is None:
        n, digest = _now(work.view, trial)
        work.ledger.append(LABELS, detail={"trial": trial.slug, "n_labels": n, "sha256": digest})


def labelled_since(view: View, trial: Trial) -> dict[str, Any] | None:
    """What has become of the labels since a corrected difference of the trial was first shown; None when nothing has, or none was shown."""
    if not view.config.judges or (first := _first(view, trial)) is None:
        return None
    n, digest = _now(view, trial)
    return None if digest == first["sha256"] else {"n_then": first["n_labels"], "n_now": n, "at": first["at"]}


def _first(view: View, trial: Trial) -> dict[str, Any] | None:
    notes = ((one.detail, one.at) for one in run_lines(view.layout.ledger, (LABELS,)) if one.detail is not None)
    return next(({**detail, "at": at.isoformat()} for detail, at in notes if detail["trial"] == trial.slug), None)


def _now(view: View, trial: Trial) -> tuple[int, str]:
    """How many items have a label, and the digest of what it says."""
    preferred = preferences(held_labels(view, trial, trial.temps[0]).used)
    return len(preferred), digest_of([preferred])
