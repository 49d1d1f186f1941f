"""Metrics that are added to a table of scores give the bytes of scoring all of it, and only they are computed."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.rig import Rig

from batchtrial.config.model import Config
from batchtrial.run.options import Options
from batchtrial.state.store import decode_json, encode_json, fingerprint

MORE: list[Any] = ["words", {"contains": {"name": "holds"}}, "output_tokens", "refusal"]


def answer(custom_id: str, batch: int) -> str:
    luck = zlib.crc32(custom_id.encode()) % 5
    return ("succeeded=answer 1", "succeeded=answer 2 or so", "succeeded=I don't know", "errored!", "")[luck]


def config_of(rig: Rig, metrics: list[Any], samples: int = 1) -> Config:
    return Config.model_validate(rig.config().model_dump(mode="json") | {"metrics": metrics, "samples_per_item": samples})


@pytest.mark.parametrize("samples", [1, 3])
def test_the_bytes_are_those_of_scoring_all_of_it(tmp_path: Path, samples: int) -> None:
    found = []
    for begin in (["words"], MORE):
        rig = Rig(tmp_path / str(len(begin)), n_items=6)
        rig.memory.answer = answer
        for metrics in (begin, MORE):
            rig.run("score", given=config_of(rig, metrics, samples), options=Options(to_step="score", accept_drift=True))
        found.append([path.read_bytes() for path in sorted(rig.layout.arms.glob("*/scores.parquet"))])
    assert found[0] == found[1]


@pytest.mark.parametrize(("metrics", "is_taken"), [(["words", "output_tokens"], True), (["output_tokens", "words"], False), ([], False)])
def test_columns_that_there_are_stand_when_metrics_by_name_come_behind_the_others(tmp_path: Path, metrics: list[Any], is_taken: bool) -> None:
    rig = Rig(tmp_path, n_items=4)
    rig.run("score", given=config_of(rig, ["words"]))
    for path in rig.layout.arms.glob("*/scores.parquet"):  # another table, and a record that says it was made so
        pl.read_parquet(path).with_columns(pl.lit(0.25).alias("em")).write_parquet(path)
        record = path.with_name("scores.json")
        record.write_bytes(encode_json(decode_json(record.read_bytes()) | {"table": fingerprint(path).model_dump()}))
    rig.run("score", given=config_of(rig, metrics), options=Options(to_step="score", accept_drift=True))
    tables = [pl.read_parquet(path) for path in rig.layout.arms.glob("*/scores.parquet")]
    assert [set(table["em"]) == {0.25} for table in tables] == [is_taken] * 2
    assert all(set(metrics) <= set(table.columns) for table in tables)
