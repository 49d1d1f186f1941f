"""What was planted: the exact rates of each arm in the population of items, for checking an interval against."""

from __future__ import annotations

from typing import Any, Final

from batchtrial.emulator.answers.modelfile import QUESTION_CLASSES, ArmRates, ModelFile, QuestionClass, Rates
from batchtrial.emulator.answers.simulation import chance_right

NODES: Final = 96
RATE_NAMES: Final = ("right", "exact", "verbose", "wrong", "abstain")


def mean_chance(rates: Rates, sigma: float) -> float:
    """Mean of sigmoid(logit(right) + u) over u ~ Normal(0, sigma).

    Gauss-Hermite quadrature with weight exp(-x^2 / 2) (Abramowitz & Stegun 25.4.46, probabilists' form); 96 nodes leave an error
    below 1e-9 for sigma up to 3.
    """
    import numpy as np  # a tenth of a second that the server's start does not need

    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    chances = [chance_right(rates, sigma * float(node)) for node in nodes]
    return float((weights * chances).sum() / weights.sum())


def population_rates(rates: Rates, question: QuestionClass, sigma: float) -> dict[str, float]:
    """Rates over all items: `right` = content right, `exact` + `verbose` + `wrong` + `abstain` = 1.

    For unanswerable questions abstaining is the right answer, so there `right` = `abstain`.
    """
    right = mean_chance(rates, sigma)
    if question == "open_unanswerable":
        return {"right": right, "exact": 0.0, "verbose": 0.0, "wrong": 1.0 - right, "abstain": right}
    return {
        "right": right,
        "exact": right * (1.0 - rates.verbose),
        "verbose": right * rates.verbose,
        "wrong": (1.0 - right) * (1.0 - rates.abstain),
        "abstain": (1.0 - right) * rates.abstain,
    }


def _of_arm(rates: ArmRates, sigma: float) -> dict[QuestionClass, dict[str, float]]:
    return {question: population_rates(rates.of(question), question, sigma) for question in QUESTION_CLASSES}


def truth(file: ModelFile) -> dict[str, Any]:
    """Rates per arm and class of question, and each arm's difference to the first one."""
    arms = [(arm.name, arm.rates) for arm in file.arms] or [("default", file.default_rates)]
    rates = {name: _of_arm(each, file.sigma) for name, each in arms}
    first = arms[0][0]
    differences = {
        name: {question: {key: rates[name][question][key] - rates[first][question][key] for key in RATE_NAMES} for question in QUESTION_CLASSES}
        for name, _ in arms[1:]
    }
    return {"sigma": file.sigma, "first_arm": first, "rates": rates, "differences": differences}
