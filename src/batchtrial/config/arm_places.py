"""What an arm is called and where it lies in the run's folder, by its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from batchtrial.keys import arm_folder, arm_name, id_head, temp_label
from batchtrial.records import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How an arm is called and where it lies; the fields are those of `Arm`."""

    name: str
    folder: PurePosixPath
    id_head: str
    folder_head: str


def place_by_recipe(model: str, temp: float, key: str) -> Place:
    """One arm is bought once, whatever role it plays."""
    name = arm_name(model, temp, key)
    return Place(name=name, folder=arm_folder(name), id_head=id_head(key), folder_head="")


def place_by_role(slug: str, condition: Condition, temp: float, key: str) -> Place:
    """As form 1 has it: a control is shared by the trials that have the same, a treatment is its trial's."""
    stem = f"t{temp_label(temp)}_{condition}"
    is_shared = condition == "control"
    return Place(
        name=f"shared-{key}_{stem}" if is_shared else f"{slug}_{stem}",
        folder=PurePosixPath("shared_controls", key) if is_shared else PurePosixPath(slug, "results"),
        id_head=id_head(key, condition, temp),
        folder_head=f"{stem}_",
    )
