"""Planned looks at a run while it is bought: declared with the plan, and cut into it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from batchtrial.config.settings import Model


class Sequential(Model):
    """Stop buying when the answer is known. Part of the plan: hashed before the first request is sent."""

    looks: int = Field(5, ge=2, le=50, description="Equally spaced looks, the last one at the end; parts are cut at them.")
    futility: float | None = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Stop too when the chance that a later look shows a difference falls below this; unset (`null`): never. Going on all the same "
        "costs no alpha.",
    )
    min_changed: int = Field(10, ge=0, description="No look before so many items differ between the arms.")
    n_max: int | None = Field(None, ge=2, description="Items that the looks are planned for, when the run may grow to them; unset: the run's items.")

    def planned(self, n_items: int) -> int:
        """Items at full information."""
        return max(self.n_max or n_items, n_items)


def look_ends(sequential: Sequential, clusters: Sequence[str], *, keeps_clusters: bool) -> tuple[int, ...]:
    """Items of the prefix that each look sees, rising and ending with all of them. clusters: of every item in the run's order, "" for none.

    keeps_clusters: a look that would fall into the middle of a cluster comes after it.
    """
    n, n_max = len(clusters), sequential.planned(len(clusters))
    ends = set[int]()
    for look in range(1, sequential.looks + 1):
        end = min(n, -(-n_max * look // sequential.looks))
        while keeps_clusters and 0 < end < n and clusters[end] and clusters[end] == clusters[end - 1]:
            end += 1
        ends.add(end)
    return tuple(sorted(ends | {n}))
