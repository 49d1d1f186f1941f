"""What was asked for on the command line, as one frozen record; nothing below `cli` sees argparse."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchtrial.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to go about a run, as against what the run is (its config).

    skip: phases switched off by --skip_*. accept_drift: record a changed config. remake: finished artifacts anew, nothing that costs.
    retry_not_understood: ask rows again whose answers nobody can read. without_unsent: settle what waits to be sent, as it is.
    give_up_unknown: declare batches lost that the provider does not know. is_confirmed: --yes was given, so that nobody is asked about that.
    workers: processes that parse, score and analyse; None: as many as there are cores. executor: who works on parts, as the flag says it.
    merge: take the parts that shares have made.
    is_partial: a budget below the whole plan is spent on as much of it as it covers.
    """

    only_step: str | None = None
    from_step: str | None = None
    to_step: str | None = None
    skip: frozenset[str] = field(default_factory=frozenset)
    accept_drift: bool = False
    remake: bool = False
    workers: int | None = None
    executor: str = "process"
    merge: bool = False
    retry_not_understood: bool = False
    without_unsent: bool = False
    give_up_unknown: bool = False
    is_confirmed: bool = False
    is_partial: bool = False
    ignore_stop: bool = False
    stop_stale_minutes: float = 60.0


def window(options: Options, names: tuple[str, ...]) -> tuple[str, ...]:
    """The phases that the three step flags leave, in order. Raises ConfigError for an unknown name or a contradiction."""
    for flag in ("only_step", "from_step", "to_step"):
        given = getattr(options, flag)
        if given is not None and given not in names:
            raise ConfigError(f"there is no step {given!r}", where=f"--{flag}", hint=f"steps are: {', '.join(names)}")
    if options.only_step is not None:
        if options.from_step is not None or options.to_step is not None:
            raise ConfigError("--only_step cannot be combined with --from_step or --to_step", hint="use --from_step X --to_step X")
        return (options.only_step,)
    first = names.index(options.from_step) if options.from_step is not None else 0
    last = names.index(options.to_step) if options.to_step is not None else len(names) - 1
    if first > last:
        raise ConfigError(f"--from_step {options.from_step} comes after --to_step {options.to_step}", hint=f"the order is: {', '.join(names)}")
    return names[first : last + 1]
