"""How densely the tests of every day go over the points at which something can die."""

from __future__ import annotations

import os

STEP = 1 if os.environ.get("BATCHTRIAL_EVERY_POINT") else 3
"""Every third point; with BATCHTRIAL_EVERY_POINT=1 in the environment each of them."""
