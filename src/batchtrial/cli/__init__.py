"""The commands. What is set here holds for the whole process of each."""

import os

# OpenBLAS splits a sum of more than 10,000 terms over as many threads as there are processors: the last digits of a result would depend on the
# machine, and threads that wait for work spin. It looks here once, when NumPy is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
