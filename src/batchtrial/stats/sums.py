"""Sums of products, added up in an order that depends on nothing but the numbers.

`@`, `np.dot`, `np.cov` and the like go to a BLAS, which splits a long sum over as many threads as the machine has: the last digits, and with them
a file's bytes, would depend on the machine. What is here adds up in one thread, in one order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROUNDING: Final = 1e-14
"""Means and spreads below this share of the largest value are rounding, not data."""


def mean_of(values: Floats) -> float:
    """The mean of some values; 0 where they cancel and leave a rounding error, as thirds do."""
    mean = float(np.mean(values))
    return 0.0 if abs(mean) <= ROUNDING * float(np.abs(values).max()) else mean


def dot(left: NDArray[np.generic], right: NDArray[np.generic]) -> float:
    """The sum of the products of two vectors."""
    return float(np.sum(np.multiply(left, right, dtype=np.float64)))


def by_row(matrix: NDArray[np.floating], vector: Floats) -> Floats:
    """For each row of a matrix its sum of products with the vector."""
    return np.asarray(np.einsum("ij,j->i", matrix, np.ascontiguousarray(vector)), dtype=np.float64)


def product(left: NDArray[np.floating], right: Floats) -> Floats:
    """The product of two matrices. Column by column: the inner sums run over long rows, and `right` has few columns wherever it is used."""
    rows = np.ascontiguousarray(left)
    return np.stack([by_row(rows, column) for column in right.T], axis=1)


def covariance(x: Floats, y: Floats) -> float:
    """The sample covariance of two vectors of the same length, with n - 1."""
    return dot(x - x.mean(), y - y.mean()) / (x.size - 1)
