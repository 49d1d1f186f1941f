"""labels.jsonl: people's judgements of answers, one line each, only ever appended, durable before anybody is told that they are kept.

A process that was killed while writing leaves half a line. It is ended by the next writer and left out by every reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
from filelock import FileLock

from batchtrial.errors import StateError
from batchtrial.state.store import Hook, no_hook

VERDICTS: Final = ("better", "worse", "same", "both_bad", "cannot")
MOST_LINE: Final = 20_000
LOCK_SECONDS: Final = 20.0


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One judgement, or with `undo` the taking back of one. verdict: of the treatment's answer against the control's.

    about: mark of the two answers that were shown; "" where none was written down.
    """

    id: str
    who: str
    item_key: str = ""
    trial: str = ""
    temp: float = 0.0
    verdict: Literal["", "better", "worse", "same", "both_bad", "cannot"] = ""
    sample: int = 0
    is_blind: bool = False
    is_repeat: bool = False
    order: Literal["", "control_first", "treatment_first"] = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    undo: str = ""
    about: str = ""
    at: datetime | None = None

    def is_about(self, mark: str) -> bool:
        """Whether it can be of the answers with this mark."""
        return self.about in ("", mark)


_READ: Final = msgspec.json.Decoder(Label)


def checked(label: Label) -> Label:
    """The label. Raises StateError for one that says nothing, or too much."""
    if not label.id or not label.who.strip() or not (label.undo or (label.verdict and label.item_key and label.trial)):
        raise StateError("a label needs an id, a name, an item, a trial and a verdict", where="label")
    if len(msgspec.json.encode(label)) > MOST_LINE:
        raise StateError(f"a label is at most {MOST_LINE:,} bytes", where="label", hint="shorten the note")
    return label


def append_label(path: Path, label: Label, hook: Hook = no_hook) -> None:
    """Durably append one; when this returns it is kept. Raises StateError for one that may not be kept, OSError from the disk."""
    line = msgspec.json.encode(checked(label)) + b"\n"
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS), path.open("a+b") as file:
        hook("label")
        end = file.seek(0, os.SEEK_END)
        torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
        file.write(b"\n" + line if torn else line)
        file.flush()
        os.fsync(file.fileno())
        hook("labelled")


def read_labels(path: Path) -> Iterator[Label]:
    """Every whole line, each id once, in the order in which they were kept; none where there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    seen: set[str] = set()
    for line in data.split(b"\n")[:-1]:
        try:
            label = _READ.decode(line)
        except msgspec.MsgspecError:
            continue  # torn by a kill
        if label.id not in seen:
            seen.add(label.id)
            yield label
