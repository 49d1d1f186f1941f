"""Logs of evaluations that ran elsewhere, read as scores by item: logs of inspect_ai, and the samples that lm-evaluation-harness writes.

A log is somebody else's file: what it must have is looked at, and what has another form is named with its line.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from batchtrial.errors import ConfigError, DataError, MissingExtra

GRADES: Final = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""What inspect_ai's scorers write for correct, incorrect, partly correct and no answer, and the words that it reads as such."""
OF_TASKS: Final = ("acc", "acc_norm", "exact_match", "f1", "em", "mc1", "mc2")
"""Metrics of lines that do not name theirs, as earlier versions of lm-evaluation-harness wrote them."""
INSPECT: Final = (".eval", ".json")
SAMPLES: Final = re.compile(r"samples_(?P<task>.+?)_(?P<at>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
MOST_BYTES: Final = 4 << 30


@dataclass(slots=True)
class Sample:
    """An item of a log. question: digest of what was asked. scores: metric -> one number an epoch; none where no answer came."""

    question: str
    scores: dict[str, list[float]] = field(default_factory=dict)
    epochs: int = 0

    def mean(self, metric: str) -> float:
        """Over the epochs that have it; NaN where none has."""
        values = self.scores.get(metric, [])
        return math.fsum(values) / len(values) if values else math.nan

    def n_missing(self, metric: str) -> int:
        """Epochs without it, of an item that has it from others."""
        values = self.scores.get(metric, [])
        return self.epochs - len(values) if values else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log. name: of the model, as it says. samples: by task and id."""

    name: str
    path: Path
    samples: Mapping[str, Sample]

    def metrics(self) -> list[str]:
        """Every metric that some item has, by name."""
        return sorted({name for one in self.samples.values() for name in one.scores})

    @property
    def epochs(self) -> int:
        """Answers to an item, at most."""
        return max((one.epochs for one in self.samples.values()), default=1)


def read_log(path: Path) -> Log:
    """The log in a file or a folder. Raises ConfigError for what is no log, DataError for a damaged one, MissingExtra without inspect_ai."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise ConfigError(f"there is no log {path}", hint="name a log of inspect_ai (.eval, .json) or samples of lm-evaluation-harness (.jsonl)")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"the log has {path.stat().st_size:,} bytes", where=str(path), hint=f"at most {MOST_BYTES:,}")
    return _harness(path, [path]) if path.suffix == ".jsonl" else _inspect(path)


def _folder(path: Path) -> Log:
    """The one log of inspect_ai in it, or every task that lm-evaluation-harness wrote of one model."""
    found = sorted(path.rglob("samples_*.jsonl"))
    if found:
        tasks = [match["task"] if (match := SAMPLES.fullmatch(one.name)) else one.stem for one in found]
        twice = next((task for task in tasks if tasks.count(task) > 1), None)
        if twice is not None or len({one.parent for one in found}) > 1:
            told = f"the task {twice} several times" if twice else "samples of several models"
            raise ConfigError(f"the folder has {told}", where=str(path), hint="name one folder of one model, or one file")
        return _harness(path, found)
    logs = [one for one in sorted(path.iterdir()) if one.suffix in INSPECT]
    if len(logs) != 1:
        raise ConfigError(f"the folder has {len(logs)} logs", where=str(path), hint="name one log")
    return _inspect(logs[0])


def _harness(path: Path, files: list[Path]) -> Log:
    samples: dict[str, Sample] = {}
    for file in files:
        match = SAMPLES.fullmatch(file.name)
        task = match["task"] if match else file.stem if len(files) > 1 else ""  # one file that somebody renamed has one task
        seen: set[tuple[str, str]] = set()
        for where, row in _rows(file):
            key, told = f"{task}|{row['doc_id']}", str(row.get("filter") or "none")
            if (key, told) in seen:
                raise DataError(f"the sample {row['doc_id']} is there already", where=where, hint="name the log of one task and one model")
            seen.add((key, told))
            one = samples.setdefault(key, Sample(question=str(row.get("doc_hash") or _digest(row.get("doc"))), epochs=1))
            for name in _metrics(row, where):
                value = _number(row.get(name))
                if value is not None:
                    one.scores[name if told == "none" else f"{name},{told}"] = [value]
    return Log(name=files[0].parent.name or path.stem, path=path, samples=samples)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                raise DataError(f"the line is no JSON: {error}", where=where) from None
            if not isinstance(row, dict) or not isinstance(row.get("doc_id"), int | str):
                hint = "lm_eval writes such files with --log_samples, as samples_TASK_TIME.jsonl"
                raise DataError("the line is no sample of lm-evaluation-harness: it has no doc_id", where=where, hint=hint)
            yield where, row


def _metrics(row: Mapping[str, Any], where: str) -> list[str]:
    """Names of the row's metrics. Raises DataError for what is no list of names."""
    names = row.get("metrics") or [name for name in row if name in OF_TASKS]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError("`metrics` is no list of names", where=where)
    return names


def _inspect(path: Path) -> Log:
    try:
        module = importlib.import_module("inspect_ai.log")
    except ImportError:
        raise MissingExtra("a log of inspect_ai is read by its own library", where=str(path), hint="pip install 'batchtrial[inspect]'") from None
    try:
        read: Any = module.read_eval_log(str(path))
    except Exception as error:  # noqa: BLE001 - of a file that is no log its library raises anything; nothing was begun
        told = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DataError(f"inspect_ai cannot read it: {told}", where=str(path)) from None
    samples: dict[str, Sample] = {}
    seen: set[tuple[str, int]] = set()
    for row in read.samples or ():
        key = str(row.id)
        if (key, row.epoch) in seen:
            raise DataError(f"the sample {key!r} is there twice", where=str(path), hint="its log must have an answer once for each id and epoch")
        seen.add((key, row.epoch))
        one = samples.setdefault(key, Sample(question=_digest(_asked(row))))
        one.epochs += 1
        for name, score in (row.scores or {}).items() if row.error is None else ():
            for metric, value in _values(name, score.value):
                one.scores.setdefault(metric, []).append(value)
    if not samples:
        raise DataError("the log has no samples", where=str(path), hint="it may have been written without them")
    return Log(name=str(read.eval.model), path=path, samples=samples)


def _asked(row: Any) -> list[Any]:
    """What a sample asked and what counts as right, however they are written: one turn of the user as a text, one target as a list."""
    turns = [["user", row.input]] if isinstance(row.input, str) else [[turn.role, turn.text] for turn in row.input if turn.role != "system"]
    return [turns, [row.target] if isinstance(row.target, str) else list(row.target)]


def _values(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """(metric, number) of a score; none of one that is a text or a list."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(f"{name}/{key}", inner)
    elif (number := _grade(value) if isinstance(value, str) else _number(value)) is not None:
        yield name, number


def _grade(value: str) -> float | None:
    """What a text says of an answer, read as inspect_ai reads it."""
    known = GRADES.get(value, GRADES.get(value.lower()))
    if known is not None:
        return known
    try:
        return _number(float(value))
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:  # a whole number that no float holds
        return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8", "backslashreplace")).hexdigest()
