"""Two logs side by side, in lines."""

from __future__ import annotations

from collections.abc import Iterator

from batchtrial.amounts import counted
from batchtrial.cli.screens.terminal import table
from batchtrial.importing.paired_logs import PairedLogs
from batchtrial.phases.analyse.numbers import p_text, percent, points, score, signed_score
from batchtrial.visible import visible


def lines(found: PairedLogs) -> Iterator[str]:
    """What was compared, each metric as a row, and what to be careful about."""
    yield f"control    {visible(found.control.name)}  ({found.control.path})"
    yield f"treatment  {visible(found.treatment.name)}  ({found.treatment.path})"
    told = f"items      {counted(len(found.keys), 'item')} in both"
    if found.n_other:
        told += f"; {counted(found.n_other, 'item')} left out, whose questions differ"
    if any(found.n_only):
        told += f"; {found.n_only[0]:,} only in the control's log, {found.n_only[1]:,} only in the treatment's"
    yield told
    heads = ("metric", "control", "treatment", "difference", "95 % interval", "p", "q", "pairs", "lost")
    yield from (line.plain.rstrip() for line in table(heads, [_row(found, name) for name in found.found], left={"metric"}, gap=4))
    for name, (one, _) in found.found.items():
        yield from (f"care       {visible(name)}: {text}" for text in (*one.warnings, *_without_score(found, name)))
    yield "Exploratory: nothing was declared before the results were there. q is corrected for all metrics (Benjamini and Hochberg)."


def _row(found: PairedLogs, name: str) -> list[str]:
    one, q = found.found[name]
    in_unit = all(arm.value is None or 0.0 <= arm.value <= 1.0 for arm in one.arms.values()) and _is_share(found, name)
    plain, signed, unit = (percent, points, " pp") if in_unit else (score, signed_score, "")
    estimate = one.estimate
    interval = "-" if estimate.ci_low is None or estimate.ci_high is None else f"{signed(estimate.ci_low)} to {signed(estimate.ci_high)}{unit}"
    difference = "-" if estimate.value is None else f"{signed(estimate.value)}{unit}"
    told = (plain(one.arms["control"].value), plain(one.arms["treatment"].value), difference, interval, p_text(one.test.p_value), p_text(q))
    return [name, *told, str(one.missing.n_pairs), str(one.missing.dropped)]


def _without_score(found: PairedLogs, name: str) -> Iterator[str]:
    for side, n in zip(("control", "treatment"), found.n_missing[name], strict=True):
        if n:
            yield f"{counted(n, 'epoch')} of the {side} without a score: those items have the mean of their others"


def _is_share(found: PairedLogs, name: str) -> bool:
    """Every score lies between 0 and 1."""
    return all(bool(((arm >= 0.0) & (arm <= 1.0) | (arm != arm)).all()) for arm in found.scores[name])
