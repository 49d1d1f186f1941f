"""What is asked of a run's pairs: a filter, an order, and what they are compared by. The page's address says the same by the same names."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from batchtrial.errors import ConfigError

OUTCOMES: Final = ("both_right", "won", "lost", "both_wrong", "same", "incomplete", "no_score")
"""What became of a pair by the metric that is looked at; each pair is exactly one."""
FLAGS: Final = ("abstained_control", "abstained_treatment", "false_control", "false_treatment")
REASON: Final = "reason:"
"""Before why a pair is incomplete, in a chip's name."""
NUMBERS: Final = ("score", "length", "tokens", "usd")
"""What of both arms can be a range: each as `NAME_control`, `NAME_treatment` and `NAME_change`; of a metric the change is `d.METRIC`."""
Said = Literal["treatment", "control", "neither", "nothing", "orders", "metric", "label"]
"""What a judge says of a pair: whom it prefers, that its two orders disagree, or the opposite of the metric or of the last label."""
SORTS: Final = ("place", "effect", "size", "length_change", "usd_change", "informative")
"""And `d.METRIC`: of a judge its margin."""
MOST_TEXT: Final = 400


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text to look for. where: in which texts; `*_only` is in that arm and not in the other."""

    text: str = ""
    where: Literal["any", "question", "control", "treatment", "control_only", "treatment_only"] = "any"
    is_pattern: bool = False

    @property
    def is_outcome(self) -> bool:
        """Whether it looks at what the arms said."""
        return bool(self.text) and self.where != "question"


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A slice of a trial's pairs, in an order. values: column -> those wanted; ranges: number -> (from, to), None open.

    labelled: by people; a verdict stands for the pairs whose last label says that. judged: judge -> what it says of the pairs wanted.
    """

    trial: str
    temp: float
    metric: str = ""
    chips: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, tuple[float | None, float | None]] = {}
    labelled: Literal["", "yes", "no", "better", "worse", "same", "both_bad", "cannot"] = ""
    search: Search = Search()
    judged: dict[str, Said] = {}
    sort: str = "place"
    is_down: bool = False

    @property
    def chosen_by_outcome(self) -> bool:
        """Whether the slice depends on what the arms answered, so that an interval over it would mean nothing."""
        return bool(self.chips or self.ranges or self.labelled or self.judged) or self.search.is_outcome

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered."""
        return not (self.chosen_by_outcome or self.values or self.search.text)


def read_ask(tree: Any) -> Ask:
    """The question of a decoded JSON value. Raises ConfigError, which names the field."""
    try:
        ask = msgspec.convert(tree, Ask)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the filter cannot be read: {error}", where="filter") from None
    if len(ask.search.text) > MOST_TEXT:
        raise ConfigError(f"a search is at most {MOST_TEXT} characters", where="search.text")
    if ask.sort not in SORTS and not ask.sort.startswith("d."):
        raise ConfigError(f"there is no order {ask.sort!r}", where="sort", hint=f"orders are: {', '.join(SORTS)}, d.METRIC")
    known = (*OUTCOMES, *FLAGS)
    odd = next((chip for chip in ask.chips if chip not in known and not chip.startswith(REASON)), None)
    if odd is not None:
        raise ConfigError(f"there is no chip {odd!r}", where="chips", hint=f"chips are: {', '.join(known)}, {REASON}WHY")
    return ask
