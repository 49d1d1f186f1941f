"""Logistic regression with a random intercept for each item, by quadrature; NumPy alone.

A secondary analysis: its odds ratio is conditional on the item and answers another question than the difference of
accuracies, which stays the headline. Items with the same design and the same counts are fitted once and weighted, so
a million items of a balanced trial cost as much as their few distinct patterns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import norm_sf, z_two_sided
from batchtrial.stats.labels import codes_of
from batchtrial.stats.results import Estimate, Test, check_level, estimate_around, undefined_estimate, undefined_test
from batchtrial.stats.sums import by_row, dot

Floats = NDArray[np.float64]

FEWEST_NODES = 7
BOUNDARY_SD = 1e-3
"""Standard deviation of the intercepts below which it is reported as zero."""

_LARGEST_LOGIT = 20.0  # beyond it a probability is 0 or 1 to nine digits: the likelihood has no maximum there
_LARGEST_SD = 30.0
_WIDE_SD = 2.0  # wider intercepts bend the integrand into plateaus, on which few nodes go wrong
_ITERATIONS = 100
_ROWS_PER_CHUNK = 4_000
_LARGEST_COVARIATE = 1e4
_REACH = 8.5  # standard deviations of the intercept that are integrated over


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """One fixed effect: log odds with Wald interval and test, and the odds ratio, both conditional on the item."""

    name: str
    log_odds: Estimate
    odds_ratio: Estimate
    test: Test


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedLogit:
    """A fitted random-intercept logistic model.

    sd: standard deviation of the item intercepts, logit scale. is_separated: some effect has no finite estimate (an
    arm is right or wrong throughout), or items are right or wrong throughout. is_at_boundary: sd is zero, so that
    this is an ordinary logistic regression. When `reason` is set there are no numbers.
    """

    coefficients: tuple[Coefficient, ...]
    sd: float | None
    log_likelihood: float | None
    n_rows: int
    n_groups: int
    dropped: int
    is_separated: bool
    is_at_boundary: bool
    warnings: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    """Groups of one size: y, n shape (groups, rows), x shape (groups, rows, p), weight = how many items share the pattern."""

    y: Floats
    n: Floats
    x: Floats
    weight: Floats


class _Rule(Protocol):
    def place(self, sd: float, block: _Block, fixed: Floats) -> tuple[Floats, Floats]:
        """Nodes u of the standard normal intercept and their log weights, both broadcastable to (groups, nodes)."""


@dataclass(frozen=True, slots=True)
class _Hermite:
    """Adaptive Gauss-Hermite: few nodes, centred on and scaled to each group's posterior."""

    nodes: Floats
    log_weights: Floats

    @classmethod
    def of(cls, n_nodes: int) -> _Hermite:
        nodes, weights = np.polynomial.hermite.hermgauss(n_nodes)
        return cls(nodes, np.log(weights) + nodes**2)

    def place(self, sd: float, block: _Block, fixed: Floats) -> tuple[Floats, Floats]:
        mode, spread = _posterior_mode(fixed, sd, block)
        u = mode[:, None] + math.sqrt(2.0) * spread[:, None] * self.nodes
        return u, self.log_weights + np.log(spread)[:, None] - 0.5 * math.log(math.pi)


@dataclass(frozen=True, slots=True)
class _Trapezoid:
    """Equal steps over the whole normal: exponentially accurate once a step is finer than posterior and logistic curve."""

    def place(self, sd: float, block: _Block, fixed: Floats) -> tuple[Floats, Floats]:
        narrowest = 1.0 / math.sqrt(1.0 + sd**2 * float(block.n.sum(axis=1).max()) / 4.0)
        step = min(0.5 * narrowest, 0.6 / max(abs(sd), 1.0))
        u = np.linspace(-_REACH, _REACH, math.ceil(2.0 * _REACH / step) + 1)[None, :]
        return u, np.full_like(u, math.log(u[0, 1] - u[0, 0]) - 0.5 * math.log(2.0 * math.pi))


@dataclass(frozen=True, slots=True)
class _Surface:
    value: float
    gradient: Floats
    information: Floats


def fit_random_intercept(
    successes: ArrayLike,
    trials: ArrayLike,
    design: ArrayLike,
    groups: ArrayLike,
    *,
    names: Sequence[str],
    n_nodes: int = 15,
    level: float = 0.95,
) -> MixedLogit:
    """Maximum likelihood of logit P(right) = design @ beta + sd * u_group, u standard normal.

    successes, trials: shape (n,), right answers among the samples of one item in one arm; rows with missing values
    or without trials are dropped and counted. design: shape (n, p), a column of ones included; names: p names.
    groups: shape (n,), the item of each row. Wald intervals with normal quantiles. n_nodes: quadrature nodes for
    each item; above a standard deviation of 2, where they lose their digits, a fine grid over the whole normal takes
    over. Undefined where the rows that are left have no full rank. Raises DataError on shapes that do not fit, counts
    that do not add up, or a design without full rank.
    Source: Pinheiro & Bates 1995, JCGS 4:12; information by Louis 1982, JRSS-B 44:226. Reference: R lme4, nAGQ = 25.
    """
    check_level(level)
    if n_nodes < FEWEST_NODES:
        raise DataError(f"at least {FEWEST_NODES} quadrature nodes are needed", where=f"{n_nodes}")
    y, n, x, codes, dropped = _rows(successes, trials, design, groups, names)
    n_groups = int(codes.max(initial=-1)) + 1
    if (why := _hopeless(y, n)) is not None:
        return _without(names, why, level, y.size, n_groups, dropped, is_separated=y.size > 0)
    if (why := _mingled(x, names, is_whole=dropped == 0)) is not None:
        return _without(names, why, level, y.size, n_groups, dropped, is_separated=False)
    theta, surface, is_converged = _fitted(list(_patterns(y, n, x, codes)), x.shape[1], n_nodes)
    beta, sd = theta[:-1], abs(float(theta[-1]))
    if not is_converged or sd > _LARGEST_SD or float(np.abs(by_row(x, beta)).max()) > _LARGEST_LOGIT:
        why = "an arm or every item is right or wrong throughout: the likelihood has no finite maximum"
        return _without(names, why, level, y.size, n_groups, dropped, is_separated=True)
    is_at_boundary = sd < BOUNDARY_SD
    kept = surface.information[:-1, :-1] if is_at_boundary else surface.information
    errors = np.sqrt(np.diag(np.linalg.inv(kept)))[: beta.size]
    return MixedLogit(
        coefficients=tuple(
            _coefficient(name, float(b), float(se), level, n_groups, dropped) for name, b, se in zip(names, beta, errors, strict=True)
        ),
        sd=0.0 if is_at_boundary else sd,
        log_likelihood=surface.value + _constants(y, n),
        n_rows=y.size,
        n_groups=n_groups,
        dropped=dropped,
        is_separated=False,
        is_at_boundary=is_at_boundary,
        warnings=("items do not differ beyond chance: an ordinary logistic regression",) if is_at_boundary else (),
    )


def _fitted(blocks: Sequence[_Block], n_columns: int, n_nodes: int) -> tuple[Floats, _Surface, bool]:
    """Maximum of the likelihood, and whether it was reached: by quadrature, or over a fine grid where items differ too much for that."""
    start = np.concatenate([np.zeros(n_columns), [1.0]])
    theta, surface, is_converged = _climb(start, blocks, _Hermite.of(n_nodes), widest=_WIDE_SD)
    if is_converged:
        return theta, surface, True
    return _climb(theta, blocks, _Trapezoid(), widest=2.0 * _LARGEST_SD)


def _rows(
    successes: ArrayLike, trials: ArrayLike, design: ArrayLike, groups: ArrayLike, names: Sequence[str]
) -> tuple[Floats, Floats, Floats, NDArray[np.intp], int]:
    y, n = (np.asarray(column, dtype=np.float64).ravel() for column in (successes, trials))
    x, labels = np.asarray(design, dtype=np.float64), np.asarray(groups).ravel()
    if x.ndim != 2 or not y.size == n.size == labels.size == x.shape[0] or len(names) != x.shape[1]:
        raise DataError("rows of successes, trials, design and groups must match, and every column needs a name")
    kept = np.isfinite(y) & np.isfinite(n) & (n > 0) & np.isfinite(x).all(axis=1)
    if kept.any() and float(np.abs(x[kept]).max()) > _LARGEST_COVARIATE:
        raise DataError("a column of the design is too large for a logit", hint="rescale it to a few units")
    if ((y[kept] < 0) | (y[kept] > n[kept])).any():
        raise DataError("right answers lie between 0 and the number of samples")
    codes = codes_of(labels[kept])
    return y[kept], n[kept], x[kept], codes, int(y.size - kept.sum())


def _hopeless(y: Floats, n: Floats) -> str | None:
    if y.size == 0:
        return "no rows"
    if not y.any() or np.array_equal(y, n):
        return "every answer is wrong" if not y.any() else "every answer is right"
    return None


def _mingled(x: Floats, names: Sequence[str], *, is_whole: bool) -> str | None:
    """Why effects cannot be told apart, where rows that were dropped left too few for it."""
    if np.linalg.matrix_rank(x) == x.shape[1]:
        return None
    if is_whole:
        raise DataError("the design has columns that say the same", where=", ".join(names))
    return "the rows that have answers do not tell the effects apart: an arm has none"


def _patterns(y: Floats, n: Floats, x: Floats, codes: NDArray[np.intp]) -> Iterator[_Block]:
    """Groups by size, each distinct pattern once with its count, in chunks that bound the memory."""
    p = x.shape[1]
    table = np.column_stack([y, n, x])
    order = np.lexsort((*table.T[::-1], codes))  # rows of a group in a fixed order, so that equal groups look equal
    table, sizes = table[order], np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for size in np.unique(sizes):
        members = starts[sizes == size]
        stacked = table[members[:, None] + np.arange(size)].reshape(members.size, -1)
        distinct, counts = np.unique(stacked, axis=0, return_counts=True)
        cubes = distinct.reshape(-1, int(size), p + 2)
        chunk = max(1, _ROWS_PER_CHUNK // int(size))
        for start in range(0, len(cubes), chunk):
            part, weight = cubes[start : start + chunk], counts[start : start + chunk].astype(np.float64)
            yield _Block(part[:, :, 0], part[:, :, 1], part[:, :, 2:], weight)


def _climb(theta: Floats, blocks: Sequence[_Block], rule: _Rule, *, widest: float) -> tuple[Floats, _Surface, bool]:
    """Newton's method with step halving; the sign of sd does not matter to the likelihood.

    Gives up, unconverged, where sd passes `widest` or a fixed effect leaves the range of logits.
    """
    surface = _evaluate(theta, blocks, rule)
    for _ in range(_ITERATIONS):
        step = np.linalg.solve(_positive(surface.information), surface.gradient)
        step *= min(1.0, 3.0 / float(np.abs(step).max() or 1.0))
        if dot(surface.gradient, step) < 1e-11:
            return theta, surface, True
        for _ in range(20):
            candidate = _evaluate(theta + step, blocks, rule)
            if candidate.value > surface.value - 1e-11 * abs(surface.value):
                break
            step /= 2.0
        else:
            return theta, surface, False
        theta, surface = theta + step, candidate
        logit = max(float(np.abs(np.einsum("grp,p->gr", block.x, theta[:-1])).max()) for block in blocks)
        if abs(float(theta[-1])) > widest or logit > 2.0 * _LARGEST_LOGIT:
            break
    return theta, surface, False


def _positive(information: Floats) -> Floats:
    """Away from the maximum the information may have negative directions; a ridge turns them uphill."""
    lowest = float(np.linalg.eigvalsh(information)[0])
    scale = float(np.abs(information).max()) or 1.0
    return information if lowest > 1e-10 * scale else information + (1e-6 * scale - 1.1 * lowest) * np.eye(len(information))


def _evaluate(theta: Floats, blocks: Sequence[_Block], rule: _Rule) -> _Surface:
    size = theta.size
    value, gradient, information = 0.0, np.zeros(size), np.zeros((size, size))
    for block in blocks:
        part = _evaluate_block(theta[:-1], float(theta[-1]), block, rule)
        value, gradient, information = value + part.value, gradient + part.gradient, information + part.information
    return _Surface(value, gradient, information)


def _evaluate_block(beta: Floats, sd: float, block: _Block, rule: _Rule) -> _Surface:
    """Log-likelihood, its gradient (posterior mean of the score) and the observed information (Louis) of one block."""
    fixed = np.einsum("grp,p->gr", block.x, beta)  # (groups, rows)
    u, log_weights = rule.place(sd, block, fixed)  # (groups or 1, nodes)
    logits = fixed[:, :, None] + sd * u[:, None, :]  # (groups, rows, nodes)
    log_likelihood_of_rows = (block.y[:, :, None] * logits - block.n[:, :, None] * np.logaddexp(0.0, logits)).sum(axis=1)
    log_terms = log_likelihood_of_rows - u**2 / 2.0 + log_weights
    top = log_terms.max(axis=1, keepdims=True)
    posterior = np.exp(log_terms - top)
    total = posterior.sum(axis=1, keepdims=True)
    posterior /= total
    value = dot(block.weight, top[:, 0] + np.log(total[:, 0]))

    chance = _expit(logits)
    residual = block.y[:, :, None] - block.n[:, :, None] * chance
    curvature = block.n[:, :, None] * chance * (1.0 - chance)
    scores = np.concatenate([np.einsum("grk,grp->gkp", residual, block.x), (u * residual.sum(axis=1))[:, :, None]], axis=2)  # (groups, nodes, p + 1)
    mean_score = np.einsum("gk,gks->gs", posterior, scores)
    gradient = np.einsum("g,gs->s", block.weight, mean_score)
    weighted = curvature * posterior[:, None, :] * block.weight[:, None, None]
    once, twice = (weighted * u[:, None, :]).sum(axis=2), (weighted * (u**2)[:, None, :]).sum()
    p = beta.size
    complete = np.empty((p + 1, p + 1))
    complete[:p, :p] = np.einsum("gr,grp,grq->pq", weighted.sum(axis=2), block.x, block.x)
    complete[:p, p] = complete[p, :p] = np.einsum("gr,grp->p", once, block.x)
    complete[p, p] = twice
    spread_of_scores = np.einsum("gks,gkt->st", (block.weight[:, None] * posterior)[:, :, None] * scores, scores)
    between = np.einsum("g,gs,gt->st", block.weight, mean_score, mean_score)
    return _Surface(value, gradient, complete - spread_of_scores + between)


def _posterior_mode(fixed: Floats, sd: float, block: _Block) -> tuple[Floats, Floats]:
    """Mode and normal spread of each group's intercept u; the log posterior is concave, so damped Newton converges."""
    u = np.zeros(len(fixed))
    for _ in range(60):
        chance = _expit(fixed + sd * u[:, None])
        slope = sd * (block.y - block.n * chance).sum(axis=1) - u
        bend = 1.0 + sd**2 * (block.n * chance * (1.0 - chance)).sum(axis=1)
        step = np.clip(slope / bend, -1.0, 1.0)
        u = u + step
        if float(np.abs(step).max()) < 1e-10:
            break
    chance = _expit(fixed + sd * u[:, None])
    return u, 1.0 / np.sqrt(1.0 + sd**2 * (block.n * chance * (1.0 - chance)).sum(axis=1))


def _expit(logits: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _constants(y: Floats, n: Floats) -> float:
    """Log binomial coefficients, which shift the log-likelihood and nothing else."""
    pairs, counts = np.unique(np.column_stack([y, n]), axis=0, return_counts=True)
    logs = [math.lgamma(b + 1.0) - math.lgamma(a + 1.0) - math.lgamma(b - a + 1.0) for a, b in pairs.tolist()]
    return dot(counts, np.asarray(logs))


def _coefficient(name: str, b: float, se: float, level: float, n: int, dropped: int) -> Coefficient:
    half = z_two_sided(level) * se
    log_odds = estimate_around(b, half, level=level, method="wald", n=n, dropped=dropped, se=se)
    ratio = Estimate(
        value=math.exp(b),
        ci_low=math.exp(b - half),
        ci_high=math.exp(min(b + half, 700.0)),
        level=level,
        method="wald",
        n=n,
        dropped=dropped,
    )
    test = Test(statistic=b / se, p_value=2.0 * norm_sf(abs(b) / se), method="wald", n=n, dropped=dropped)
    return Coefficient(name=name, log_odds=log_odds, odds_ratio=ratio, test=test)


def _without(names: Sequence[str], why: str, level: float, n_rows: int, n_groups: int, dropped: int, *, is_separated: bool) -> MixedLogit:
    empty = undefined_estimate(why, level=level, method="wald", n=n_groups, dropped=dropped)
    test = undefined_test(why, method="wald", n=n_groups, dropped=dropped)
    return MixedLogit(
        coefficients=tuple(Coefficient(name=name, log_odds=empty, odds_ratio=empty, test=test) for name in names),
        sd=None,
        log_likelihood=None,
        n_rows=n_rows,
        n_groups=n_groups,
        dropped=dropped,
        is_separated=is_separated,
        is_at_boundary=False,
        reason=why,
    )
