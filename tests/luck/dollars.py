"""What a run says that it has cost, held against what the provider bills for its batches.

The prices stand here once more: taken from the run's own table they would agree with it whatever it says.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from pathlib import Path

from tests.luck.books import Books, Paid, is_out, last_segment
from tests.luck.provider import Provider
from tests.luck.tools import ENGINE_TOKENS

from batchtrial.state.ledger import money

RATES: Mapping[str, tuple[Decimal, Decimal]] = {
    "fireworks": (Decimal("0.035"), Decimal("0.15")),
    "openai": (Decimal(1), Decimal(4)),
    "anthropic": (Decimal("0.5"), Decimal("2.5")),
}
"""Dollars for a million tokens in and out of the lab's models, in batches."""
CENT_OF_A_MILLIONTH = Decimal("0.00000001")
"""What costs.json rounds to."""


def price(provider: str, rows: Sequence[Paid]) -> Decimal:
    """What the provider bills for these rows."""
    per_input, per_output = RATES[provider]
    return sum((per_input * row.input_tokens + per_output * row.output_tokens for row in rows), Decimal(0)) / 1_000_000


def delivered(provider: Provider) -> dict[str, set[str]]:
    """By batch, the custom_ids of the result lines that can be read, as they lie at the provider."""
    found: dict[str, set[str]] = defaultdict(set)
    for batch in provider.service.batches.all():
        first = provider.world.blob(f"results-{batch.seq:08d}-")
        for path in first.parent.glob(f"{first.name}*"):
            found[last_segment(batch.id)] |= set(_ids(path))
    return found


def _ids(path: Path) -> Iterator[str]:
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("custom_id"), str):
            yield row["custom_id"]


def money_problems(provider: str, paid: Sequence[Paid], books: Books, unknown: Set[str]) -> list[str]:
    """What the run says against the bill of the account it asked with. unknown: second batches whose answers may have been brought and counted.

    A wire with batch ids of our choosing gives a run that was begun anew with another account the same ids there: it must agree with one of the two.
    """
    of_account: dict[str, set[str]] = defaultdict(set)
    for row in paid:
        if row.batch in books.known():
            of_account[row.account].add(row.batch)
    bills = [[row for row in paid if row.account == account or row.batch not in batches] for account, batches in sorted(of_account.items())]
    return min((_bill_problems(provider, bill, books, unknown) for bill in bills or [list(paid)]), key=len)


def _bill_problems(provider: str, paid: Sequence[Paid], books: Books, unknown: Set[str]) -> list[str]:
    """Each attempt's tokens and dollars against the bill of its batch; the run's sum, and each trial's, against all of them."""
    bills: dict[str, list[Paid]] = defaultdict(list)
    for row in paid:
        bills[row.batch].append(row)
    found = []
    for _, attempt in books.attempts():
        if is_out(attempt) and attempt.counts is not None:
            n, n_input = attempt.counts.succeeded, attempt.usage.get("input_tokens", 0)
            if n_input != n * ENGINE_TOKENS[0]:
                return []  # a copy of the run bought what left as a file here, and it was its results that were brought
            bills[attempt.batch_id or ""] = [Paid("engine", "", "", 0, *ENGINE_TOKENS)] * n
    for part, attempt in books.attempts():
        if not attempt.is_saved:
            continue
        bill = bills[attempt.batch_id or ""]
        brought = [row for one in part.duplicates if one.batch_id in unknown for row in bills[one.batch_id]]
        least, most = _tokens(bill), _tokens([*bill, *brought])
        ours = (attempt.usage.get("input_tokens", 0), attempt.usage.get("output_tokens", 0))
        cost, more = attempt.cost_usd or Decimal(0), attempt.unknown_usd or Decimal(0)
        if ours > most or (ours < least and not more):
            found.append(f"{part.part} attempt {attempt.number}: {ours} tokens in the ledger, {least} to {most} on the bill")
        if not cost <= price(provider, [*bill, *brought]) or not price(provider, bill) <= cost + more:
            found.append(f"{part.part} attempt {attempt.number}: ${cost} and up to ${more} more in the ledger, ${price(provider, bill)} on the bill")
    told = money(books.parts.values())
    whole = price(provider, [row for batch in books.known() for row in bills[batch]])
    if unknown:
        return found  # what was brought of a second batch stands in the sum as well as beside it
    if not told.spent_usd <= whole <= told.spent_usd + told.unknown_usd or (told.is_exact and told.spent_usd != whole):
        found.append(f"the ledger says {told.sentence()}, the provider bills ${whole} for its batches")
    second = {one.batch_id: one.reserved_usd for part in books.parts.values() for one in part.duplicates}
    found += [
        f"second batch {batch} is said to cost up to ${most}, and ${price(provider, bills[batch])} is billed for it"
        for batch, most in second.items()
        if price(provider, bills[batch]) > most
    ]
    return found + [line for path in books.place.folder.glob("*/results/costs.json") for line in _file_problems(path, books, whole, second)]


def _tokens(rows: Sequence[Paid]) -> tuple[int, int]:
    """In and out."""
    return sum(row.input_tokens for row in rows), sum(row.output_tokens for row in rows)


def _file_problems(path: Path, books: Books, whole: Decimal, second: Mapping[str, Decimal]) -> Iterator[str]:
    """costs.json, and the report beside it: the lab's run has one trial, whose costs are the run's."""
    told = json.loads(path.read_bytes())
    least = Decimal(str(told["usd_at_least"]))
    most = Decimal("Infinity") if told["unknown_usd"] is None else least + Decimal(str(told["unknown_usd"]))
    if told["usd"] is not None and abs(Decimal(str(told["usd"])) - whole) > CENT_OF_A_MILLIONTH:
        yield f"costs.json says ${told['usd']}, the provider bills ${whole}"
    if not least - CENT_OF_A_MILLIONTH <= whole <= most + CENT_OF_A_MILLIONTH:
        yield f"costs.json says ${least} to ${most}, the provider bills ${whole}"
    arms = sum((Decimal(str(arm["usd_at_least"])) for arm in told["arms"].values()), Decimal(0))
    if abs(arms - least) > 4 * CENT_OF_A_MILLIONTH:
        yield f"the arms of costs.json add up to ${arms}, their sum is ${least}"
    report = path.parent.parent / "reports" / "report.md"
    if report.exists():
        text = " ".join(report.read_text().split())
        n = sum(one.n_requests for part in books.parts.values() for one in part.duplicates)
        if second and f"Sent twice, by two copies of this run: {n:,} requests in {len(second)} batch" not in text:
            yield f"{len(second)} second batches are not named in the report"
        if told["cost"] not in text:
            yield f"the report does not say what costs.json says: {told['cost']}"
