"""What `--executor` names, and what a process elsewhere must have in common with the run's own before it is given a part."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.runs.rundir import config

from batchtrial.cli.args import executor
from batchtrial.errors import ConfigError, MissingExtra, Stopped
from batchtrial.phases.tables.child import InChild, answer, greeting
from batchtrial.phases.tables.executor import Executor, executor_of
from batchtrial.phases.tables.facts import differences, facts_of, shared_fault
from batchtrial.phases.tables.on_worker import Session

DATA = b"so many bytes"


def test_an_executor_is_named_or_refused_with_what_there_is() -> None:
    assert executor_of("serial") == Executor("serial")
    assert executor_of("dask://head.cluster:8786") == Executor("dask", "tcp://head.cluster:8786")
    assert executor_of("dask://[::1]:8786").address == "tcp://[::1]:8786"
    for text in ("", "dask", "dask://", "dask://host", "dask://host:x", "dask://host:99999", "dask://me:secret@host:1", "dask://h:1/x", "ray://h:1"):
        with pytest.raises(ConfigError, match="there is no executor"):
            executor_of(text)


def test_a_cluster_without_its_extra_is_refused_before_anything_is_paid() -> None:
    told = contextlib.nullcontext() if find_spec("distributed") else pytest.raises(MissingExtra, match="is not installed")
    with told:
        assert executor("dask://head:8786") == "dask://head:8786"


def session(folder: Path, known: bytes = DATA) -> Session:
    (folder / ".probe").write_bytes(DATA)
    (folder / "index.csv").write_bytes(known)
    digest = hashlib.sha256(DATA).hexdigest()
    known_file = (folder / "index.csv", digest)
    return Session(name="s", cwd=str(folder), config=b"", probe=folder / ".probe", probe_sha256=digest, known=known_file, facts={})


def test_a_folder_that_is_not_shared_is_told_by_its_hashes(tmp_path: Path) -> None:
    assert shared_fault(session(tmp_path)) == ""
    assert "has other bytes there" in shared_fault(session(tmp_path, b"an older copy"))
    here = session(tmp_path)
    here.probe.unlink()
    assert "cannot be read there" in shared_fault(here)


def test_what_differs_on_a_worker_is_said_by_name() -> None:
    here = facts_of(config())
    assert differences(here, here) == []
    there = {**here, "Python": "2.7", "the library polars": "0.1"}
    found = differences(here, there)
    assert [one.partition(" is ")[0] for one in found] == ["Python", "the library polars"]
    assert differences(here | {"the metric m:f": "a" * 64}, here) == [f"the metric m:f is missing there and sha256 {'a' * 12} here"]


def test_a_process_elsewhere_ends_when_nobody_waits_for_its_parts(tmp_path: Path) -> None:
    (probe := tmp_path / ".probe").write_bytes(DATA)
    times = iter([0.0, 0.1, 9.0])
    worker = InChild(lambda kind, value: None, probe, clock=lambda: next(times))
    worker.check()
    probe.unlink()
    worker.check()  # not each call looks at the disk
    with pytest.raises(Stopped):
        worker.check()


def test_a_session_travels_without_this_package(tmp_path: Path) -> None:
    """A scheduler reads it too, and needs no more of us than its own module."""
    assert pickle.loads(pickle.dumps(session(tmp_path))).name == "s"


def test_a_worker_with_other_code_is_told_by_that_even_where_it_cannot_read_the_config(tmp_path: Path) -> None:
    here = facts_of(config())
    there = replace(session(tmp_path), config=b"of another version", facts={**here, "batchtrial": "0.0.1", "the metric mine:f": "9" * 64})
    assert [one.partition(" is ")[0] for one in differences(there.facts, greeting(there))] == ["batchtrial"]
    assert "UnpicklingError" in greeting(replace(there, facts=here))["error"]


class Unlike(Exception):
    """Of a user's own: it travels, and cannot be made again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


def _raises(worker: object) -> None:
    raise Unlike(1, 2)


def test_what_a_job_raises_reaches_the_run_whatever_it_is(tmp_path: Path) -> None:
    kind, packed = answer(pickle.dumps(_raises), InChild(lambda kind, value: None, tmp_path))
    assert (kind, str(pickle.loads(packed))) == ("failed", "Unlike: 3")
