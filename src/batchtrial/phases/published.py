"""Large artifacts written once and fingerprinted on the way, so that publishing them does not read them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchtrial.phases.base import Work
from batchtrial.state.store import Mark as Mark
from batchtrial.state.store import Sink as Sink
from batchtrial.state.store import decode_json, replacing


@contextmanager
def publishing(work: Work, path: Path) -> Iterator[Sink]:
    """A sink whose content durably becomes `path` on a clean exit, with its fingerprint known from then on."""
    with replacing(path, hook=work.hook) as file:
        sink = Sink(file)
        yield sink
    work.view.stamps.learn(path, sink.fingerprint)


def read_json(path: Path) -> dict[str, Any]:
    """One of the trial's own artifacts."""
    return dict(decode_json(path.read_bytes()))
