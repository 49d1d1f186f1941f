"""docs/metrics.md: every metric that a config can name, from the metrics themselves."""

from __future__ import annotations

from collections.abc import Iterator

from model_tables import cell, default_of, type_name
from pydantic.fields import FieldInfo

from batchtrial.scoring.metrics.base import NamedMetric
from batchtrial.scoring.metrics.named import NAMED_METRICS

OPENING = """\
Metrics under `metrics` in a config add numbers to every answer, beside the metric of its question set
([scoring.md](scoring.md)). An entry is a name, or a name with parameters; several of one kind need names of their own:

```yaml config
metrics:
  - exact
  - contains: {any: [refund, money back], case: false, name: mentions_refund}
  - regex: {pattern: '(?i)as an ai', not: true, name: no_boilerplate}
  - choice: {labels: [billing, refund, other]}
  - numeric: {tolerance: 0.01, relative: true}
  - json_schema: {schema: {type: object, required: [id]}}
  - json_fields: {fields: [name, total], name: extracted}
  - similarity: {reference: reply}
  - words
```

Each can be an endpoint of `stats` by its name (its column in `per_item_scores.csv`). An unknown name or parameter is an error that names the nearest.
Metrics with a library need the extra `metrics`: `pip install 'batchtrial[metrics]'`. Before anything is sent each metric is
tried on an item of every set. `scoring.json` records what each is: parameters, sha256 of what decides its numbers (which the plan freezes), library
and version.

`bleu` and `chrf` are no means over answers: the scores table holds counts of each answer (`bleu#0` and so on), and `significance.json` under `corpus`
and the report compare the scores of all answers together, by a paired bootstrap over items or clusters, with the signature that computes the same.
They are exploratory and no endpoints.

Where metrics by name are asked for and no endpoint is about what is right (`em`, `f1` and their like), rows need no accepted answer: such an item is
neither right nor wrong, and has its other numbers.

A share lies between 0 and 1 and is compared in percentage points, a grade and a count in their own unit. Lost answers are not scored, where the
table does not say otherwise. An answer that is declared to count as wrong (`stats.cut_answers: wrong`) is at the worst end of a share, and has no
grade and no count.
"""


def rows() -> Iterator[str]:
    """One row a metric."""
    for name, metric in sorted(NAMED_METRICS.items()):
        library = f"`{metric.library}`" if metric.library else ""
        yield (
            f"| `{name}` | {cell(' '.join((metric.__doc__ or '').split()))} | {metric.kind} | {metric.better_when} "
            f"| {metric.needs} | {metric.undefined} | {library} |"
        )


def parameters(metric: type[NamedMetric]) -> Iterator[str]:
    """The table of a metric's own parameters."""
    own = {key: field for key, field in metric.model_fields.items() if key not in NamedMetric.model_fields}
    if own:
        yield from (f"## {metric.id}", "", *header())
        yield from lines_of(own)
        yield ""


def header() -> tuple[str, str]:
    """Of a table of parameters."""
    return "| parameter | type | default | meaning |", "| --- | --- | --- | --- |"


def lines_of(fields: dict[str, FieldInfo]) -> Iterator[str]:
    """A row a parameter."""
    for key, field in fields.items():
        yield f"| `{field.alias or key}` | {type_name(field.annotation)} | {default_of(field)} | {cell(field.description or '')} |"


def page(notice: str) -> list[str]:
    """The page's lines."""
    lines = ["# Metrics by name", "", notice, *OPENING.splitlines(), ""]
    lines += ["| metric | is | kind | better | needs | undefined | library |", "| --- | --- | --- | --- | --- | --- | --- |", *rows(), ""]
    lines += ["## Parameters of every metric", "", *header(), *lines_of(dict(NamedMetric.model_fields)), ""]
    for _, metric in sorted(NAMED_METRICS.items()):
        lines += parameters(metric)
    return lines
