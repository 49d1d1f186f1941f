"""Run ids, trial slugs, arm and part names, custom_ids: the one place that builds or splits them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from batchtrial.errors import ConfigError
from batchtrial.names import MAX_NAME, RULE, name_fault

if TYPE_CHECKING:
    from batchtrial.records import Condition  # not loaded: flags are read before any record is made

CUSTOM_ID = re.compile(r"^(?P<arm>a[0-9a-f]{12}|[ct]-t[0-9]+-[0-9a-f]{8})-(?P<item>[0-9a-f]{16})-s(?P<sample>[0-9]+)$")
"""Ours; at most 45 characters, so that a provider's nonce of 16 still fits into the 64 that all of them accept. An arm of the second kind names its
role, as runs and recordings have it that were begun under form 1."""

OUT = "out-"
"""What the id of a batch begins with whose requests left as a file: no provider has it, somebody carries it."""

ARMS: Final = "arms"
"""Folder of what belongs to an arm rather than to a trial."""

IDENTITY_PATTERN = r"(?P<item>[0-9a-f]{16})-s(?P<sample>[0-9]+)$"
"""What the emulator is told to look for in a custom_id."""


@dataclass(frozen=True, slots=True)
class CustomId:
    """A custom_id taken apart. arm: as `id_head` makes it. item: the hash that the index file maps to (dataset, item_id)."""

    arm: str
    item: str
    sample_index: int


def new_run_id(now: datetime) -> str:
    """`rYYYYMMDDHHMMSS` of `now`."""
    return now.strftime("r%Y%m%d%H%M%S")


def check_run_id(run_id: str) -> str:
    """The same run id, or ConfigError when it could name anything but a plain folder."""
    if name_fault(run_id) is not None:
        raise ConfigError(f"run id {run_id[:80]!r} is not usable as a folder name", where="--run_id", hint=f"use {RULE}, at most {MAX_NAME}")
    return run_id


def temp_label(temp: float) -> str:
    """The temperature without its dot: 0.0 -> '0', 0.7 -> '07', 1.0 -> '10', 0.25 -> '025'."""
    text = f"{temp:.1f}" if round(temp, 1) == temp else f"{temp:g}"
    return "0" if text == "0.0" else text.replace(".", "")


def is_told_by_its_label(temp: float) -> bool:
    """Whether the label names this temperature and no other: true up to six digits."""
    label = temp_label(temp)
    return label.isdigit() and float(f"{label[0]}.{label[1:] or 0}") == temp


def short_model(model_id: str, aliases: dict[str, str] | None = None) -> str:
    """The model's alias, or the last segment of its path with odd characters made hyphens."""
    if aliases and model_id in aliases:
        return aliases[model_id]
    return re.sub(r"[^a-zA-Z0-9_-]", "-", model_id.rsplit("/", 1)[-1]) or "model"


def number_label(value: float) -> str:
    """A decoding value inside a slug: 1.0 -> '1', 0.95 -> '095'."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return text.replace(".", "") or "0"


def digest(parts: Iterable[str], length: int) -> str:
    """Hex sha256 of the parts, each ended by a separator that cannot occur in them, cut to `length`."""
    return hashlib.sha256("\x1f".join((*parts, "")).encode("utf-8", "surrogatepass")).hexdigest()[:length]


def item_hash(dataset: str, item_id: str) -> str:
    """16 hex digits standing for (dataset, item_id) in custom_ids."""
    return digest((dataset, item_id), 16)


def id_head(arm_key: str, condition: Condition | None = None, temp: float = 0.0) -> str:
    """What the custom_ids of an arm begin with. condition, temp: of an arm of form 1, which is bought for its role."""
    return f"a{arm_key[:12]}" if condition is None else f"{condition[0]}-t{temp_label(temp)}-{arm_key[:8]}"


def custom_id(head: str, item: str, sample_index: int) -> str:
    """The request's id: valid for every provider, unique per run. head: of its arm. item: hex digest."""
    return f"{head}-{item}-s{sample_index}"


def split_custom_id(text: str) -> CustomId | None:
    """A custom_id of ours taken apart; None when it is not ours."""
    match = CUSTOM_ID.fullmatch(text)
    return None if match is None else CustomId(match["arm"], match["item"], int(match["sample"]))


def arm_folder(name: str) -> PurePosixPath:
    """Where what belongs to an arm lies, relative to the run."""
    return PurePosixPath(ARMS, name)


def arm_name(model_id: str, temp: float, arm_key: str) -> str:
    """`<model>-t07-<12 hex digits>`: told by the recipe alone, whose key ends it."""
    stem = short_model(model_id)[:40].strip("-_") or "model"
    return f"{stem}-t{temp_label(temp)}-{arm_key[:12]}"


def part_name(arm_name: str, part_index: int) -> str:
    """`<arm>_p01` for part index 1."""
    return f"{arm_name}_p{part_index:02d}"


def arm_of_part(part: str) -> str:
    """The name of the arm that a part is of."""
    return part.rpartition("_p")[0]


def token(run_nonce: str, part: str, attempt: int) -> str:
    """16 hex digits that mark one attempt at one part at the provider; never equal for two runs with different nonces."""
    return digest((run_nonce, part, str(attempt)), 16)
