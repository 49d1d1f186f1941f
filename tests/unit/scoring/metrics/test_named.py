"""Metrics by name: what a config may write, and what is said of it when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from tests.unit.config.configs import TEXT, loaded, refused

from batchtrial.config.load import encode
from batchtrial.errors import MissingExtra
from batchtrial.scoring.metrics.base import NamedMetric
from batchtrial.scoring.metrics.named import NAMED_METRICS, metric_of, metrics_of, sha256_of


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ("[rules]", "A metric of your own is written package.module:function"),
        ("[exakt]", "did you mean 'exact'?"),
        ("[{contains: {anny: [a]}}]", "contains: unknown parameter 'anny'; did you mean 'any'?"),
        ("[{choice: {labels: [yes, no]}}]", "labels.0: it should be a text; it is True; a text such as 'yes' or '12' stands in quotes"),
        ("[{contains: {any: [1]}}]", "contains: any.0: it should be a text; it is 1"),
        ("[{contains: {any: ['']}}]", "an empty text is in every answer"),
        ("[{regex: {}}]", "regex: the parameter 'pattern' is not set"),
        ("[{regex: 'a'}]", "parameters are written as a mapping"),
        ("[{exact: {}, words: {}}]", "one metric an entry"),
        ("[{}]", "one metric an entry"),
        ("[{words: {not: true}}]", "only a share has a negation"),
        ("[{words: {name: em_std}}]", "names that end with _std"),
        ("[{words: {name: 'a b'}}]", "words: name: String should match pattern"),
        ("[words, words]", "both called 'words'; give one another `name`"),
        ("[{words: {better: more}}]", "it should be 'higher' or 'lower'"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(tmp_path: Path, entries: str, says: str) -> None:
    error = refused(tmp_path, TEXT + f"metrics: {entries}\n")
    assert says in error.what
    assert error.where is not None
    assert "config.yaml" in error.where
    assert "metrics" in error.where


def test_metrics_stay_as_they_were_written(tmp_path: Path) -> None:
    plain = loaded(tmp_path).config
    assert plain.metrics == ()
    config = loaded(tmp_path, TEXT + "metrics: [exact, {contains: {any: [a], not: true, name: no_a}}, 'rules:f']\n").config
    assert [metric.column for metric in metrics_of(config.metrics)] == ["exact", "no_a"]
    assert b"no_a" in encode(config)


def test_the_hash_is_of_what_decides_the_numbers() -> None:
    one = sha256_of(metric_of({"contains": {"any": ["a"]}}))
    assert one == sha256_of(metric_of({"contains": {"any": "a", "name": "other", "better": "lower", "sets": ["x"]}}))
    assert one != sha256_of(metric_of({"contains": {"any": ["b"]}}))
    assert one != sha256_of(metric_of({"starts_with": {"any": ["a"]}}))


class Absent(NamedMetric):
    """A metric of a library that nobody has."""

    id: ClassVar[str] = "absent"
    library: ClassVar[str | None] = "absent-library"
    module: ClassVar[str | None] = "absent_library"


def test_a_library_that_is_not_installed_is_named_with_the_fix() -> None:
    metric = Absent()
    with pytest.raises(MissingExtra, match="the metric absent needs absent-library") as caught:
        metric.check()
    assert "batchtrial[metrics]" in str(caught.value)
    assert metric.version is None


@pytest.mark.parametrize("name", sorted(NAMED_METRICS))
def test_each_says_what_it_is(name: str) -> None:
    metric = NAMED_METRICS[name]
    assert metric.kind in ("share", "grade", "count", "corpus")
    assert metric.better_when in ("higher", "lower")
    assert metric.needs
    assert metric.undefined
    assert (metric.__doc__ or "").strip()
    assert all(field.description for key, field in metric.model_fields.items()), name
