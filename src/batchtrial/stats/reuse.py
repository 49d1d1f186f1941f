"""Control answers that exist already: fewer treatment items for the same precision.

A control run over N items can serve a treatment that was run on n of them. Items without a treatment still say how
hard the questions are, and the part of the treatment's scores that the control predicts is taken from all N.
Valid only when both arms come from the same model snapshot, which the caller must name; and two treatments that
share one control are correlated, so their comparison belongs in one family (max-T), not in two independent tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_two_sided
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test
from batchtrial.stats.scores import two_sided_t
from batchtrial.stats.sums import covariance

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReuse:
    """Difference treatment - control that uses the control's other items too.

    weight: how far a treated item's control score predicts its treatment score (0: arms are compared unpaired, 1:
    paired). n_treated, n_control: items with both arms, and with a control answer. variance_ratio: variance over
    that of the plain paired difference on the treated items; 0.72 means that 28 % fewer treatment items would have
    done.
    """

    estimate: Estimate
    test: Test
    weight: float | None
    n_treated: int
    n_control: int
    variance_ratio: float | None


def difference_with_reuse(
    treatment: ArrayLike,
    control: ArrayLike,
    *,
    treatment_source: str,
    control_source: str,
    weight: float | None = None,
    level: float = 0.95,
) -> ControlReuse:
    """mean(y_T - w y_C) over the n treated items + (w - 1) mean(y_C) over all N control items.

    treatment, control: shape (N,), same item order; treatment is NaN where it was not run. A treated item without a
    control answer is dropped and counted. The treated items must be a random subset, or a prefix of a random order.
    *_source: model snapshot of each arm; raises DataError when they differ. weight None: the regression slope of y_T
    on y_C on the treated items, kept in [0, 1], which has the least variance. Student's interval with n - 1 degrees
    of freedom. Source: control variates; the algebra of PPI++ (Angelopoulos, Duchi & Zrnic 2023) and CUPED (Deng et
    al. 2013).
    """
    check_level(level)
    y_t, y_c = as_scores(treatment, "treatment"), as_scores(control, "control")
    if y_t.shape != y_c.shape:
        raise DataError("both arms list the same items; a treatment that was not run is NaN", where=f"{y_t.size}, {y_c.size}")
    _check(treatment_source, control_source, weight)
    has_control, has_both = ~np.isnan(y_c), ~np.isnan(y_c) & ~np.isnan(y_t)
    dropped = int((~has_control & ~np.isnan(y_t)).sum())
    n, n_control = int(has_both.sum()), int(has_control.sum())
    t, c, rest = y_t[has_both], y_c[has_both], y_c[has_control & ~has_both]
    if n < 2:
        why = "an interval needs at least two treated items with a control answer"
        estimate = undefined_estimate(why, level=level, method="control_reuse", n=n, dropped=dropped)
        test = undefined_test(why, method="control_reuse", n=n, dropped=dropped)
        return ControlReuse(estimate=estimate, test=test, weight=None, n_treated=n, n_control=n_control, variance_ratio=None)
    used = 1.0 if rest.size < 2 else _slope(t, c) if weight is None else weight
    value, variance = _both_samples(t, c, rest, used)
    largest = max(float(np.abs(t).max()), float(np.abs(y_c[has_control]).max()))
    if variance <= (1e-14 * largest) ** 2:
        variance, value = 0.0, 0.0 if abs(value) <= 1e-14 * largest else value
    plain = float((t - c).var(ddof=1)) / n
    estimate, test = _inferred(value, variance, n, level, dropped)
    return ControlReuse(
        estimate=estimate,
        test=test,
        weight=used,
        n_treated=n,
        n_control=n_control,
        variance_ratio=variance / plain if plain > 0.0 else None,
    )


def _check(treatment_source: str, control_source: str, weight: float | None) -> None:
    if treatment_source != control_source:
        raise DataError(
            "control answers of another model snapshot cannot be reused",
            where=f"{control_source} for {treatment_source}",
            hint="run the control again beside the treatment",
        )
    if weight is not None and not 0.0 <= weight <= 1.0:
        raise DataError("a weight lies between 0 and 1", where=f"{weight:g}")


def _both_samples(t: Floats, c: Floats, rest: Floats, weight: float) -> tuple[float, float]:
    """Value and variance; the control's mean over all N is split into treated and other items, which are independent."""
    n, share = t.size, t.size / (t.size + rest.size)
    own = weight + (1.0 - weight) * share  # what a treated item's control score counts in all
    residual = t - own * c
    other = (1.0 - weight) * (1.0 - share)
    value = float(residual.mean()) - (other * float(rest.mean()) if rest.size else 0.0)
    variance = float(residual.var(ddof=1)) / n
    return value, variance + (other**2 * float(rest.var(ddof=1)) / rest.size if rest.size > 1 else 0.0)


def _slope(t: Floats, c: Floats) -> float:
    spread = float(c.var(ddof=1))
    return min(1.0, max(0.0, covariance(t, c) / spread)) if spread > 0.0 else 1.0


def _inferred(value: float, variance: float, n: int, level: float, dropped: int) -> tuple[Estimate, Test]:
    if variance == 0.0:
        why = "no spread: every item changed alike"
        estimate = undefined_estimate(why, level=level, method="control_reuse", n=n, dropped=dropped, value=value)
        if value == 0.0:
            return estimate, Test(statistic=0.0, p_value=1.0, method="control_reuse", n=n, dropped=dropped)
        return estimate, undefined_test(why, method="control_reuse", n=n, dropped=dropped)
    se = math.sqrt(variance)
    half = t_two_sided(level, n - 1.0) * se
    estimate = Estimate(
        value=value,
        ci_low=value - half,
        ci_high=value + half,
        level=level,
        method="control_reuse",
        n=n,
        dropped=dropped,
        se=se,
    )
    p = two_sided_t(value / se, n - 1.0)
    return estimate, Test(statistic=value / se, p_value=p, method="control_reuse", n=n, dropped=dropped)
