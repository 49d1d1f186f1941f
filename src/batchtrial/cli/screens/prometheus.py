"""Runs as metrics in Prometheus' text format, for the node exporter's textfile collector: pure, from summaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from batchtrial.reading.inventory import RunSummary
from batchtrial.state.machine import PartState

Sample = tuple[dict[str, str], float]


def metrics(runs: Sequence[RunSummary], cap: Decimal | None, committed: Decimal | None) -> Iterator[tuple[str, str, list[Sample]]]:
    """(name, help, samples). cap: of the folder's budget; None without one. committed: what counts against it; None when that is not known."""
    of = [({"run_id": run.run_id}, run) for run in runs]
    described = [({**one, "standing": run.standing.value, "phase": run.phase, "mode": run.mode, "backend": run.backend}, 1.0) for one, run in of]
    yield "batchtrial_run_info", "How a run stands, as labels.", described
    parts = [({**one, "state": state.value}, float(run.parts.get(state, 0))) for one, run in of for state in PartState]
    yield "batchtrial_run_parts", "Parts by state.", parts
    outcomes = [({**one, "outcome": name}, float(n)) for one, run in of for name, n in run.outcomes.model_dump().items()]
    yield "batchtrial_run_requests", "Requests whose fate is settled, by outcome.", outcomes
    yield "batchtrial_run_requests_planned", "Requests of the whole plan.", [(one, float(run.n_requests)) for one, run in of]
    yield "batchtrial_run_requests_in_flight", "Requests that a provider has, or may have.", [(one, float(run.in_flight_requests)) for one, run in of]
    sums = [({**one, "kind": kind}, usd) for one, run in of for kind, usd in run.money.known().items()]
    yield (
        "batchtrial_run_usd",
        "Dollars: spent at least, held for what is in flight, and the most that may have been billed besides. A sum that nobody knows has no sample.",
        [(labels, float(usd)) for labels, usd in sums if usd is not None],
    )
    unpriced = [(one, float(run.money.unpriced + run.money.in_flight_unpriced)) for one, run in of]
    yield "batchtrial_run_attempts_unpriced", "Attempts of a model without a known price, which no sum holds.", unpriced
    began = [(one, run.started_at.timestamp()) for one, run in of if run.started_at is not None]
    yield "batchtrial_run_started_timestamp_seconds", "When a run began.", began
    active = [(one, run.active_at.timestamp()) for one, run in of if run.active_at is not None]
    yield "batchtrial_run_active_timestamp_seconds", "The last sign of life of a run.", active
    if cap is not None:
        yield "batchtrial_folder_budget_usd", "What all live runs of the folder may cost together.", [({}, float(cap))]
        yield "batchtrial_folder_committed_usd", "What they have spent or hold.", [({}, float(one)) for one in (committed,) if one is not None]


def text(runs: Sequence[RunSummary], cap: Decimal | None, committed: Decimal | None = None) -> str:
    """The whole file."""
    lines = []
    for name, told, samples in metrics(runs, cap, committed):
        lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
        for labels, value in samples:
            named = ",".join(f'{label}="{_escaped(one)}"' for label, one in labels.items())
            lines.append(f"{name}{{{named}}} {value!r}" if named else f"{name} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
