"""Numbers do not depend on how many processors a machine has."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[3] / "src"
NUMBERS = """
import hashlib, numpy as np
from batchtrial.stats.bootstrap import bootstrap_mean
from batchtrial.stats.glmm import fit_random_intercept
from batchtrial.stats.judge import ppi_mean
from batchtrial.stats.maxt import max_t
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.ranks import wilcoxon
from batchtrial.stats.ratios import fieller_ratio
from batchtrial.stats.scores import paired_t

rng = np.random.default_rng(3)
d = rng.standard_normal(30_000)
t, c = d + 0.01, np.abs(d) + rng.random(d.size)
several = rng.standard_normal((12_000, 5))
item = np.arange(8_000).repeat(2)
arm = np.tile([0.0, 1.0], 8_000)
right = (rng.random(item.size) < 0.5 + 0.05 * arm).astype(float)
found = [
    paired_t(d), sign_flip(d, seed=1), bootstrap_mean(d, seed=1, replicates=300), bootstrap_mean(d, seed=1, method="percentile"), wilcoxon(d),
    max_t(several, seed=1, flips=500), fieller_ratio(c, c + 1.0), ppi_mean(np.where(np.arange(d.size) < 10_000, d, np.nan), t),
    fit_random_intercept(right, np.ones(item.size), np.column_stack([np.ones(item.size), arm, np.sin(item)]), item, names=("one", "arm", "wave")),
]
print(hashlib.sha256(repr(found).encode()).hexdigest())
"""
BLAS = frozenset({"dot", "vdot", "inner", "outer", "matmul", "tensordot", "cov", "corrcoef", "polyfit", "lstsq", "convolve", "correlate"})


def test_results_over_many_values_are_the_same_with_any_number_of_threads() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", NUMBERS],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(found) == 1


def test_no_sum_goes_through_a_threaded_library() -> None:
    """`stats/sums.py` says why. What is left of linear algebra works on matrices of a few columns, which no library splits."""
    found = [
        f"{path.relative_to(SRC)}:{ast.unparse(node)}"
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult))
        or (isinstance(node, ast.Attribute) and node.attr in BLAS and isinstance(node.value, ast.Name) and node.value.id == "np")
        or (isinstance(node, ast.keyword) and node.arg == "optimize")
    ]
    assert found == []
