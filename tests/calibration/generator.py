"""Logistic-normal answers whose true accuracies are known by quadrature, never by simulation.

logit P(control right) = a + item + cluster, logit P(treatment right) = b + item + cluster + item's own effect. The truth is
the mean of the logistic function over a normal, by 81-point Gauss-Hermite quadrature; a and b are solved from the accuracies
that a scenario asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(81)
_WEIGHTS = _WEIGHTS / math.sqrt(math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Accuracies to reach, and standard deviations on the logit scale of items, of the items' effects, and of both for clusters."""

    name: str
    control: float
    treatment: float
    sd_item: float
    sd_effect: float
    sd_cluster: float = 0.0
    sd_cluster_effect: float = 0.0

    @property
    def delta(self) -> float:
        """True difference, treatment - control."""
        return self.treatment - self.control

    @property
    def sd_control(self) -> float:
        """Standard deviation of the control's logits."""
        return math.hypot(self.sd_item, self.sd_cluster)

    @property
    def sd_treatment(self) -> float:
        """Standard deviation of the treatment's logits."""
        return math.hypot(self.sd_control, self.sd_effect, self.sd_cluster_effect)


SCENARIOS = (
    Scenario(name="S1 mid", control=0.55, treatment=0.605, sd_item=2.0, sd_effect=0.5),
    Scenario(name="S2 ceiling", control=0.94, treatment=0.955, sd_item=2.0, sd_effect=0.5),
    Scenario(name="S3 null", control=0.55, treatment=0.55, sd_item=2.0, sd_effect=0.7),
    Scenario(name="S4 big", control=0.45, treatment=0.60, sd_item=1.5, sd_effect=0.7),
    Scenario(name="S5 hallucination", control=0.10, treatment=0.03, sd_item=1.5, sd_effect=0.5),
    Scenario(name="S6 near-deterministic null", control=0.50, treatment=0.50, sd_item=12.0, sd_effect=0.0),
)


def expit(logits: Floats) -> Floats:
    """Logistic function."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


@lru_cache(maxsize=256)
def location(accuracy: float, sd: float) -> float:
    """The mean logit at which the average of expit over N(mean, sd^2) is `accuracy`, by bisection."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        value = float(_WEIGHTS @ expit(middle + math.sqrt(2.0) * sd * _NODES))
        low, high = (middle, high) if value < accuracy else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=256)
def moments(scenario: Scenario) -> tuple[float, float, float]:
    """(omega^2, sigma_C^2, sigma_T^2): variance of items' true differences and of single answers, by two-dimensional quadrature."""
    common, own = math.sqrt(2.0) * scenario.sd_control * _NODES, math.sqrt(2.0) * scenario.sd_effect * _NODES
    p_c = expit(location(scenario.control, scenario.sd_control) + common)
    p_t = expit(location(scenario.treatment, scenario.sd_treatment) + common[:, None] + own)
    weight = _WEIGHTS[:, None] * _WEIGHTS
    d = p_t - p_c[:, None]
    omega2 = float((weight * d**2).sum()) - float((weight * d).sum()) ** 2
    return omega2, float(_WEIGHTS @ (p_c * (1 - p_c))), float((weight * p_t * (1 - p_t)).sum())


@lru_cache(maxsize=256)
def discordance(scenario: Scenario) -> tuple[float, float]:
    """Chance that an item is right in the treatment only and in the control only, one answer each."""
    common, own = math.sqrt(2.0) * scenario.sd_control * _NODES, math.sqrt(2.0) * scenario.sd_effect * _NODES
    p_c = expit(location(scenario.control, scenario.sd_control) + common)
    p_t = expit(location(scenario.treatment, scenario.sd_treatment) + common[:, None] + own) @ _WEIGHTS
    both = float(_WEIGHTS @ (p_c * p_t))
    return scenario.treatment - both, scenario.control - both


def answers(scenario: Scenario, n: int, k: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Right (1) or wrong (0) answers of n independent items, (treatment, control), each of shape (n, k)."""
    item = rng.normal(0.0, scenario.sd_control, n)
    return _draw(scenario, item, rng.normal(0.0, 1.0, n) * scenario.sd_effect, k, rng)


def clustered_answers(scenario: Scenario, labels: NDArray[np.intp], k: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The same with items in clusters: labels from 0, shape (n,)."""
    n_clusters = int(labels.max()) + 1
    item = rng.normal(0.0, scenario.sd_item, labels.size) + rng.normal(0.0, 1.0, n_clusters)[labels] * scenario.sd_cluster
    effect = rng.normal(0.0, 1.0, labels.size) * scenario.sd_effect
    effect = effect + rng.normal(0.0, 1.0, n_clusters)[labels] * scenario.sd_cluster_effect
    return _draw(scenario, item, effect, k, rng)


def _draw(scenario: Scenario, item: Floats, effect: Floats, k: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    p_t = expit(location(scenario.treatment, scenario.sd_treatment) + item + effect)
    p_c = expit(location(scenario.control, scenario.sd_control) + item)
    u = rng.random((2, item.size, k))
    return (u[0] < p_t[:, None]).astype(np.float64), (u[1] < p_c[:, None]).astype(np.float64)
