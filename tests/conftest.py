"""A test may be skipped only for a reason on this list; any other skip is a failure of the test that skipped.

No test fails for being slow: Hypothesis's own deadline of 200 ms for an example is off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator

import hypothesis
import pytest

OF_TESTS = ("LIVE", "KILLS", "EVERY_WIRE", "ROUNDS", "LABEL_KILLS", "SCREENSHOTS", "SITE")
"""Variables, after BATCHTRIAL_, that say what a session of tests is to do; any other is a setting of whoever runs them, which no test reads."""


def is_of_the_user(name: str) -> bool:
    """Whether a variable would change what tests see: settings, keys that could pay for something, and addresses of other servers."""
    if name.startswith("BATCHTRIAL_"):
        return name.removeprefix("BATCHTRIAL_") not in OF_TESTS
    return name.endswith(("_API_KEY", "_BASE_URL")) and os.environ.get("BATCHTRIAL_LIVE") != "1"


for name in filter(is_of_the_user, [*os.environ]):
    del os.environ[name]

hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")

BEYOND = ("distributed", "moto", "s3fs")
METRICS = ("rapidfuzz", "sacrebleu", "rouge_score", "jsonschema")
OF_EXPORTS = ("inspect_ai", "mlflow", "matplotlib", "pandas", "pyarrow", "pypdf", "nbclient", "nbformat", "huggingface_hub")
"""What the nox session `exports` has."""
FURTHER_SDKS = ("mistralai", "google", "groq", "together", "httpx")
OPTIONAL = ("scipy", "statsmodels", "datasets", "genai_prices", "fireworks", "openai", "anthropic", *FURTHER_SDKS, *METRICS, *BEYOND)
"""Packages that an installation may be without; sessions of noxfile.py say which of them each one has."""

ALLOWED_SKIPS: tuple[str, ...] = (
    rf"could not import '(?:{'|'.join(OPTIONAL)})[\w.]*'",
    r"genai-prices \S+ is installed, the table was built from \S+",
    r"shared/ is not beside the checkout",
    r"the shared (question sets|cases) are not here",
    r"talks to a real provider; set BATCHTRIAL_LIVE=1",
    r"there is no Chromium on this machine",
    r"docker is not usable here",
    r"there is no TeX on this machine",
    rf"could not import '(?:{'|'.join(OF_EXPORTS)})[\w.]*'",
    r"(playwright|axe-core) is not installed: the nox session `browser` has it",
)
"""Patterns that a whole reason, or its beginning, has to match."""


def is_allowed(reason: str) -> bool:
    """Whether a test may be skipped for this reason, given as pytest prints it."""
    plain = reason.removeprefix("Skipped: ")
    return any(re.match(pattern, plain) for pattern in ALLOWED_SKIPS)


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip without an allowed reason into a failure."""
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    if not is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason!r} is no allowed reason to skip; they are listed in tests/conftest.py"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `live` need the variable; nothing else does."""
    if os.environ.get("BATCHTRIAL_LIVE") != "1":
        for item in items:
            if item.get_closest_marker("live"):
                item.add_marker(pytest.mark.skip(reason="talks to a real provider; set BATCHTRIAL_LIVE=1"))
