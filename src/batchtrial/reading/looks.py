"""How far a run under a sequential plan has come, in lines that show no p-value: whoever looks at those in between is wrong too often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from batchtrial.phases.batches.gates import has_stopped, look_of
from batchtrial.state.entries import run_lines
from batchtrial.state.files import BuildManifest, load
from batchtrial.state.layout import RunLayout
from batchtrial.state.looks import LOOK, looks_in

BETWEEN: Final = "between two planned looks: a number that is read now would be wrong too often"


def is_between_looks(layout: RunLayout, *slugs: str) -> bool:
    """Whether one of these trials of a run under a sequential plan is not decided yet. Raises ManifestCorrupt."""
    build = load(BuildManifest, layout.build_manifest)
    if build is None or build.looks is None:
        return False
    taken = looks_in(run_lines(layout.ledger, (LOOK,)))
    return not all(has_stopped(map(look_of, taken.get(slug, ()))) for slug in slugs)


def looks_told(layout: RunLayout) -> Iterator[str]:
    """A line for each trial that was looked at, and one before the first look; none where no looks are planned. Raises ManifestCorrupt."""
    build = load(BuildManifest, layout.build_manifest)
    if build is None or build.looks is None:
        return
    ends, taken = build.looks, looks_in(run_lines(layout.ledger, (LOOK,)))
    if not taken:
        yield f"0 of {len(ends)} taken, the first at {ends[0]:,} of {ends[-1]:,} items"
    for slug, seen in taken.items():
        looks = tuple(map(look_of, seen))
        last = looks[-1]
        line = f"{slug}: {len(looks)} of {len(ends)} taken"
        if has_stopped(looks):
            yield f"{line}, stopped at {last.n_items:,} of {ends[-1]:,} items ({last.decision}), {ends[-1] - last.n_items:,} items not bought"
        else:
            yield f"{line}, the next at {next((end for end in ends if end > last.n_items), ends[-1]):,} of {ends[-1]:,} items"
