"""The changelog opens with what is unreleased, and its newest release is the version or comes before it."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import ROOT, text_of

RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+) \(\d{4}-\d{2}-\d{2}\)")


def test_releases_are_dated_and_in_order_and_none_is_newer_than_the_version() -> None:
    first, *others = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.M)
    assert first == "Unreleased"
    read = [RELEASE.fullmatch(name) for name in others]
    assert None not in read
    releases = [tuple(map(int, one.groups())) for one in read if one is not None]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    versions = [tuple(map(int, version.split("."))), *releases]
    assert versions == sorted(versions, reverse=True)
