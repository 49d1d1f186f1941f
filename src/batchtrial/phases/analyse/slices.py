"""The effect on the primary metric by the values of a column, with a test that it differs between them. Exploratory, and never a claim."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.config.model import Config
from batchtrial.phases.analyse.comparison import estimate_json, seed_of, test_json
from batchtrial.phases.analyse.numbers import levels_of, p_text, percent, points, score, signed_score
from batchtrial.phases.analyse.tables import COLUMNS, Cell, Table
from batchtrial.phases.prepare.items import prepared_items
from batchtrial.state.layout import RunLayout
from batchtrial.stats import subgroup_table
from batchtrial.stats.differ import REACHES_OVER

_MOST: Final = 40
"""Values of a column that are shown; the rarer ones are one slice together."""
_OTHERS: Final = "(all others)"


def slices(config: Config, layout: RunLayout, tables: Mapping[float, Table]) -> list[dict[str, Any]]:
    """A record for each column of `slices`, at the first temperature; empty without any."""
    if not config.slices or not tables:
        return []
    columns = {item.key: item.columns for item in prepared_items(layout)}
    temp, table = next(iter(tables.items()))
    return [_of_column(config, table, temp, name, [columns.get(key, {}).get(name) for key in table.keys]) for name in config.slices]


def _of_column(config: Config, table: Table, temp: float, name: str, values: Sequence[Any]) -> dict[str, Any]:
    metric = config.stats.primary.metric
    labels = np.array([_told(value) for value in values], dtype=object)
    counts = Counter(label for label in labels.tolist() if label)
    often = sorted(counts, key=lambda label: (-counts[label], label))[:_MOST]
    if len(counts) > _MOST:
        labels = np.array([label if not label or label in often else _OTHERS for label in labels.tolist()], dtype=object)
    members = table.members_of(Cell(metric=metric, kind=config.stats.primary.kind, temp=temp))
    mine: NDArray[np.bool_] = (labels != "") & (True if members is None else members)
    record: dict[str, Any] = {"column": name, "metric": metric, "is_share": table.is_share(metric), "without": int((labels == "").sum()), "rows": []}
    column = COLUMNS.get(metric, metric)
    if column not in table.scores or not mine.any():
        return record | {"heterogeneity": None, "reason": f"no item has a value of {name} and a score"}
    control, treatment = (arm[mine] for arm in table.scores[column])
    units = None if table.clusters is None else table.clusters[mine]
    seed, level = seed_of(config.stats.random_seed, f"slices/{name}"), 1 - config.stats.alpha
    found = subgroup_table(treatment, control, labels[mine].astype(str), seed=seed, clusters=units, level=level)
    record["rows"] = [
        {"value": row.label, "n": row.n, "control": row.control, "treatment": row.treatment, "estimate": estimate_json(row.difference)}
        | {"p_value": row.test.p_value, "q_value": row.q_value, "lost": row.dropped}
        | ({"reason": row.test.reason} if row.test.reason else {})
        for row in found.rows
    ]
    if found.heterogeneity.reason == REACHES_OVER:
        return record | {"heterogeneity": None, "reason": REACHES_OVER}
    return record | {"heterogeneity": test_json(found.heterogeneity), "reason": None}


def _told(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def slice_rows(record: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows of a column's table as texts: value, control, treatment, difference, interval, q, pairs, lost."""
    plain, signed = (percent, points) if record["is_share"] else (score, signed_score)
    for row in record["rows"]:
        one = row["estimate"]
        bounds = "-" if one["ci_low"] is None else f"{signed(one['ci_low'])} to {signed(one['ci_high'])}"
        arms, q = (plain(row["control"]), plain(row["treatment"])), p_text(row["q_value"], *levels_of(row))
        yield row["value"], *arms, signed(one["value"]), bounds, q, f"{row['n']:,}", f"{row.get('lost', 0):,}"
