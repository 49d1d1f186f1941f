"""Runs in the form of the earlier system, read as they lie there: manifests v1 and v2, request rows, result lines, prediction tables.

Nothing here writes but `keep`, which gives a file a second life as *.backup.<time>.<ext>. What is read is always the original: the backup when there
is one, so that taking a run over can be repeated after a crash.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batchtrial.records import CONDITIONS, Condition, Item, Kind
from batchtrial.state.form import original, read_json
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import decode_json, fsync_folder

FINAL = frozenset({"completed", "failed", "expired", "cancelled"})
CONTEXT, QUESTION = "\n\nCONTEXT:\n", "\n\nQUESTION:\n"


def keep(path: Path, now: datetime) -> Path | None:
    """Rename the file to its backup name; None when there is nothing to keep or its original is kept already."""
    if not path.exists() or original(path) != path:
        return None
    backup = path.with_name(f"{path.name}.backup.{now:%Y%m%dT%H%M%S%f}{path.suffix}")
    path.rename(backup)
    fsync_folder(path.parent)
    return backup


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTrial:
    """A trial as its manifest told it.

    samples: by temperature. shared: keys of the shared controls that it used. done: stages that were completed. is_guessed: the manifest could not
    be read.
    """

    slug: str
    model_id: str
    prompt_set: str
    temps: tuple[float, ...]
    samples: Mapping[float, int]
    top_p: float | None = None
    top_k: int | None = None
    max_open: int | None = None
    max_closed: int | None = None
    prompt_sha: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    job_status: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    is_guessed: bool = False

    @property
    def unfinished_jobs(self) -> tuple[str, ...]:
        """Jobs whose last known status leaves open what became of them."""
        return tuple(sorted(key for key, status in self.job_status.items() if status not in FINAL))


def read_trial(path: Path, config: Mapping[str, Any]) -> OldTrial:
    """The trial of a manifest v1 or v2; what the manifest does not say, or when it cannot be read, comes from the run's old config."""
    slug, tree = path.parent.parent.name, read_json(path)
    is_guessed = not isinstance(tree, dict)
    tree = {} if is_guessed else tree
    trial = _mapping(tree.get("trial"))
    temps = tuple(float(t) for t in tree.get("temps") or config.get("temps") or (0.0,))
    samples = _mapping(tree.get("samples_per_item")) or _mapping(config.get("samples_per_item"))
    longest = _mapping(trial.get("max_new_tokens")) or _mapping(config.get("max_new_tokens"))
    jobs = {key: tuple(map(str, names if isinstance(names, list) else [names])) for key, names in _mapping(tree.get("jobs")).items() if names}
    stages = {name: _mapping(record).get("status") for name, record in _mapping(tree.get("stage_status")).items()}
    return OldTrial(
        slug=slug,
        model_id=str(trial.get("model_id") or config.get("model_id") or "unknown"),
        prompt_set=str(trial.get("prompt_set") or config.get("default_prompt_set") or "default"),
        temps=temps,
        samples={float(temp): int(n) for temp, n in samples.items()},
        top_p=_number(trial.get("top_p", config.get("top_p"))),
        top_k=None if (k := _number(trial.get("top_k", config.get("top_k")))) is None else int(k),
        max_open=None if (n := _number(longest.get("open_book"))) is None else int(n),
        max_closed=None if (n := _number(longest.get("closed_book"))) is None else int(n),
        prompt_sha={c: str(_mapping(p).get("sha256")) for c, p in _mapping(tree.get("prompts")).items() if _mapping(p).get("sha256")},
        jobs=jobs,
        job_status={str(key): str(status) for key, status in _mapping(tree.get("job_status")).items()},
        shared=tuple(sorted({str(_mapping(one).get("key")) for one in _mapping(tree.get("control_registry")).values() if _mapping(one).get("key")})),
        done=tuple(sorted(name for name, status in stages.items() if status == "completed")),
        is_guessed=is_guessed,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# Ids and rows


@dataclass(frozen=True, slots=True)
class OldId:
    """`dataset|item_id|condition|temp|sample_index|type` taken apart; an item_id may hold the separator."""

    dataset: str
    item_id: str
    condition: Condition
    temp: float
    sample: int
    kind: Kind


def split_old_id(text: str) -> OldId | None:
    """The id taken apart; None when it is none of the earlier system's."""
    head, *tail = text.rsplit("|", 4)
    dataset, bar, item_id = head.partition("|")
    if len(tail) != 4 or not bar or tail[0] not in CONDITIONS or tail[3] not in ("open", "closed"):
        return None
    try:
        return OldId(dataset, item_id, "control" if tail[0] == "control" else "treatment", float(tail[1]), int(tail[2]), _kind(tail[3]))
    except ValueError:
        return None


def _kind(text: str) -> Kind:
    return "open" if text == "open" else "closed"


def id_map(layout: RunLayout) -> dict[str, str]:
    """Ids that were shortened for a provider, back to the full ones."""
    found: dict[str, str] = {}
    for path in layout.batch_inputs.rglob("*_id_map.json"):
        found |= {str(key): str(value) for key, value in _mapping(read_json(path)).items()}
    return found


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every line that is a JSON object; others are passed over."""
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    value = decode_json(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    yield value
    except OSError:
        return


def result_lines(results: Path, names: Mapping[str, str]) -> Iterator[tuple[OldId, dict[str, Any]]]:
    """Every result line under a trial's results or a shared control's folder, the downloads of single jobs first."""
    paths = sorted(results.rglob("*.jsonl"), key=lambda path: (path.parent == results, path.as_posix()))
    for path in paths:
        for line in json_lines(path):
            custom_id = line.get("custom_id")
            old = split_old_id(names.get(custom_id, custom_id)) if isinstance(custom_id, str) else None
            if old is not None:
                yield old, line


def prediction_lines(path: Path) -> Iterator[tuple[OldId, dict[str, Any]]]:
    """The same from predictions.csv, for answers whose result lines are gone. A row without text, tokens and finish reason was an error."""
    csv.field_size_limit(sys.maxsize)
    try:
        with original(path).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, escapechar="\\"):
                old = split_old_id(row.get("custom_id") or "")
                if old is not None:
                    yield old, _line_of(row)
    except (OSError, UnicodeDecodeError, csv.Error):
        return


def _line_of(row: Mapping[str, str | None]) -> dict[str, Any]:
    tokens = {name: int(value) for name in ("prompt_tokens", "completion_tokens", "total_tokens") if (value := row.get(name) or "").isdigit()}
    if not row.get("response_text") and not row.get("finish_reason") and not any(tokens.values()):
        return {"custom_id": row["custom_id"], "error": {"code": "no_answer", "message": "predictions.csv has no answer for this request"}}
    choice = {"message": {"content": row.get("response_text") or ""}, "finish_reason": row.get("finish_reason") or None}
    return {"custom_id": row["custom_id"], "response": {"id": row.get("request_id") or None, "choices": [choice], "usage": tokens}}


def is_success(line: Mapping[str, Any]) -> bool:
    """Whether the line has an answer, in any of the forms that were written."""
    response = line.get("response") if isinstance(line.get("response"), dict) else line
    body = response.get("body") if isinstance(response, dict) and isinstance(response.get("body"), dict) else response
    return not line.get("error") and isinstance(body, dict) and bool(body.get("choices") or body.get("output"))


# Requests and items


@dataclass(frozen=True, slots=True)
class OldRequest:
    """One request row: whose it is and what was asked. source: name of its file."""

    id: OldId
    system: str
    user: str
    source: str


def requests(layout: RunLayout, names: Mapping[str, str]) -> Iterator[OldRequest]:
    """Every request row that was written, of any provider's form."""
    for path in sorted(layout.batch_inputs.rglob("*.jsonl")):
        for row in json_lines(path):
            custom_id = row.get("orig_custom_id") or row.get("custom_id")
            old = split_old_id(names.get(custom_id, custom_id)) if isinstance(custom_id, str) else None
            if old is not None:
                system, user = _asked(_mapping(row.get("body")) or _mapping(row.get("params")))
                yield OldRequest(old, system, user, path.relative_to(layout.batch_inputs).as_posix())


def _asked(body: Mapping[str, Any]) -> tuple[str, str]:
    messages = body.get("messages") or body.get("input") or []
    texts = {m.get("role"): _text(m.get("content")) for m in messages if isinstance(m, dict)} if isinstance(messages, list) else {}
    system = _text(body.get("system")) or _text(body.get("instructions")) or texts.get("system") or texts.get("developer") or ""
    return system, texts.get("user") or (messages if isinstance(messages, str) else "")


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def instruction(user: str, kind: Kind) -> str:
    """The task instruction at the head of a user turn."""
    return user.partition(CONTEXT if kind == "open" else QUESTION)[0]


def items(folder: Path, wanted: Iterable[tuple[str, str, Kind]] | None) -> Iterator[Item]:
    """Prepared items of the earlier system, those that were asked about. wanted: (dataset, item_id, kind); None takes all."""
    chosen = None if wanted is None else set(wanted)
    for book, kind in (("open_book", _kind("open")), ("closed_book", _kind("closed"))):
        for row in json_lines(original(folder / f"{book}.jsonl")):
            dataset, item_id = str(row.get("dataset")), str(row.get("id"))
            if chosen is None or (dataset, item_id, kind) in chosen:
                yield Item(
                    dataset=dataset,
                    item_id=item_id,
                    kind=kind,
                    question=str(row.get("question")),
                    answers=tuple(str(answer) for answer in row.get("answers") or ()),
                    context=str(row["context"]) if kind == "open" and row.get("context") is not None else None,
                    is_unanswerable=bool(row.get("is_unanswerable", False)) or not row.get("answers"),
                )
