"""What two copies of a run bought twice, in words and at its price."""

from __future__ import annotations

from collections.abc import Iterable

from batchtrial.state.ledger import PartRecord


def bought_twice(parts: Iterable[PartRecord]) -> str | None:
    """A sentence with requests, batches and the most that it can have cost; None when nothing was."""
    found = [one for record in parts for one in record.duplicates]
    if not found:
        return None
    n, rows = len(found), sum(one.n_requests for one in found)
    cancelled = sum(one.is_cancelled for one in found)
    is_priced = all(one.reserved_usd for one in found)
    most = f"up to ${sum(one.reserved_usd for one in found):.4f}" if is_priced else "an unknown sum"
    return (
        f"Sent twice, by two copies of this run: {rows:,} requests in {n} batch{'es' * (n != 1)}. "
        f"{cancelled} of them {'were' if cancelled != 1 else 'was'} cancelled while running, {n - cancelled} had ended. "
        f"What the provider bills for them, {most}, is not in the cost above."
    )
