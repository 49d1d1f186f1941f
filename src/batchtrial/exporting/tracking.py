"""A run in an MLflow tracking store: settings as parameters, comparisons and costs as metrics, reports as artifacts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from batchtrial.config.load import config_hash, flatten
from batchtrial.errors import StateError
from batchtrial.exporting.extras import needed
from batchtrial.modes import MODES
from batchtrial.reading.inventory import RunReader
from batchtrial.reading.results import comparisons_frame, costs_frame
from batchtrial.reading.run_tables import RunTables

EXPERIMENT: Final = "batchtrial"
MOST_PARAMS: Final = 100
_LONGEST: Final = 500
_NOT_PARAMS: Final = re.compile(r"(^|\.)text$")
_NUMBERS: Final = ("control", "treatment", "difference", "low", "high", "p_adjusted", "pairs", "lost")


def track(tables: RunTables, uri: str) -> str:
    """Log the run and return what the store calls it. Raises MissingExtra, StateError when the store refuses."""
    # Its library reports its use to its makers unless told not to; a run is nobody's business but its owner's.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # whoever names a folder means it
    needed("mlflow", extra="mlflow", what="--mlflow")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    run = RunReader(tables.layout).look()
    at = 0 if run.active_at is None else int(run.active_at.timestamp() * 1000)
    begun = at if run.started_at is None else int(run.started_at.timestamp() * 1000)
    try:
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known is not None else client.create_experiment(EXPERIMENT)
        made = client.create_run(experiment, start_time=begun, run_name=run.run_id).info.run_id
        tags = {"batchtrial.run_id": run.run_id, "batchtrial.mode": run.mode, "batchtrial.config": config_hash(tables.config)}
        tags |= {"batchtrial.banner": banner} if (banner := MODES[tables.config.mode].banner) else {}
        try:
            _log(client, made, tables, at, tags)
        except BaseException:
            with suppress(Exception):  # what kept it from being logged may keep this from being written too
                client.set_terminated(made, status="FAILED")
            raise
        client.set_terminated(made, status="FINISHED", end_time=at)
    except MlflowException as error:
        raise StateError(f"the tracking store refuses: {str(error).splitlines()[0][:300]}", where="--mlflow") from None
    return str(made)


def _log(client: Any, made: str, tables: RunTables, at: int, tags: Mapping[str, str]) -> None:
    """Numbers, settings and reports of the run into the store's run of that name. at: milliseconds since 1970."""
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        made,
        metrics=[Metric(name, value, at, 0) for name, value in _metrics(tables)],
        params=[Param(name, value) for name, value in _params(tables)],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    for trial in tables.trials:
        files = tables.layout.trial(trial.slug)
        for path in (files.report_md, files.report_html, files.forest_svg, files.significance, files.costs):
            if path.exists():
                client.log_artifact(made, str(path), trial.slug)


def _params(tables: RunTables) -> Iterator[tuple[str, str]]:
    """Settings that are no texts of prompts, as many as a call takes."""
    leaves = [(key, value) for key, value in flatten(tables.config.model_dump(mode="json", exclude_defaults=True)) if not _NOT_PARAMS.search(key)]
    yield from ((_name(key), str(value)[:_LONGEST]) for key, value in leaves[:MOST_PARAMS])


def _metrics(tables: RunTables) -> Iterator[tuple[str, float]]:
    for one in comparisons_frame(tables.layout, tables.trials).iter_rows(named=True):
        yield from ((_name(f"{one['trial']}/{one['name']}/{name}"), float(one[name])) for name in _NUMBERS if one[name] is not None)
    for one in costs_frame(tables.layout, tables.trials).iter_rows(named=True):
        told: dict[str, Any] = {name: one[name] for name in ("requests", "input_tokens", "output_tokens", "usd")}
        where = f"{one['trial']}/t{one['temp']:g}_{one['condition']}"
        yield from ((_name(f"{where}/{name}"), float(value)) for name, value in told.items() if value is not None)


def _name(text: str) -> str:
    """A name that every store takes."""
    return re.sub(r"[^A-Za-z0-9_\-. :/]", "_", text)[:250]
