"""docs/peers.md, made of what was seen; nothing in it depends on the machine or the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.peers.cells import FAULTS, Attempt, Seen
from tests.peers.clients import CLIENTS, OURS, Client

Key = tuple[str, str, str]
"""Client, wire, fault."""
HEAD = """\
# Batch clients of others, and this one, through the same faults

<!-- Made by `nox -s peers`; do not edit. -->

Each client is asked for the same ten rows, against the [emulator](emulator.md), in a world of its own. A fault strikes; a run that does not end with
code 0 and all its rows is started once more, as its user would. Then the emulator's bill is read. A cell is

`rows paid for -> rows handed back by the first run, then by the second`

with the rows accepted behind a stroke where they are more (those of an expired batch that nobody answered are not paid for), `(code N)` for a run
that ended with an error, `+N twice` for rows that were handed back more than once. `two` is a race and is run three times: the cell has the dearest
of them, and the rows of whichever process had more.
"""
TAIL = """\
## How to run it again

```bash
nox -s peers            # the small clients and batchlane; writes this page
nox -s peers -- --all   # all of them
```

Each client has an environment of its own with the versions above and its own recommended settings; the drivers are under
[tests/peers/drivers](../tests/peers/drivers). Time is real, a batch takes two seconds, and intervals between looks at a batch are shortened where a
client has a setting for it.

## How to read it

- Clients without a state of their own cannot know after a kill that a batch was accepted: 20 is the price of having none, and no defect in a narrow
  sense. Their drivers write the id down as soon as they have it; two processes have no state to share, so that race is not run.
- `lost` is decided by who sends a create again: an SDK's usual retries do, unless the client switches them off.
- An answer that cannot be looked up (Anthropic has no place for a label) can be found by content and time, or not at all. A client that then stops
  and says so pays 10 and hands back 0 until somebody looks; the code of the run tells that apart.
- OpenAI's result files are ASCII, as that service is recorded with, so that U+2028 is harmless there. Fireworks' and Anthropic's are raw here; what
  the services do with that one sign is not known.
- This project's row is measured by its authors. Its ten rows are two batches of five, so that a fault of the first batch strikes five rows.
"""


def page(seen: Mapping[Key, Sequence[Seen]], clients: Sequence[Client], missing: Mapping[str, str]) -> str:
    """The whole text. missing: clients that could not be installed, with the reason."""
    parts = [HEAD, _table(seen, clients), "## Faults\n", *_faults(), "\n## Clients\n", _clients(clients)]
    if missing:
        parts += ["Not run, since it could not be installed: " + "; ".join(f"{name} ({why})" for name, why in sorted(missing.items())) + ".\n"]
    large = [client.name for client in CLIENTS if client not in clients]
    if large:
        parts += [f"Not played here, since their environments are large (`nox -s peers -- --all` plays them): {', '.join(large)}.\n"]
    return "\n".join([*parts, _once(seen, clients), TAIL])


def _table(seen: Mapping[Key, Sequence[Seen]], clients: Sequence[Client]) -> str:
    names = [fault.name for fault in FAULTS]
    lines = [f"| client | API | {' | '.join(names)} |", "| --- | --- |" + " --- |" * len(names)]
    for client in clients:
        for wire in client.wires:
            if (client.name, wire, "none") in seen:
                cells = " | ".join(_cell(seen.get((client.name, wire, name), ()), name) for name in names)
                lines.append(f"| {_shown(client)} | {wire} | {cells} |")
    return "\n".join(lines) + "\n"


def _shown(client: Client) -> str:
    name = f"**{client.name}**" if client.name == OURS else client.name
    return name if client.has_state else f"{name} (no state)"


def _cell(seen: Sequence[Seen], fault: str) -> str:
    """One cell. Of a race that was run several times: the dearest play, and the rows of whichever process had more."""
    if not seen:
        return "-"
    if fault == "two":
        return f"{max(one.paid for one in seen)} -> {_rows(seen)}"
    return "; or ".join(sorted({_played(one) for one in seen}))


def _rows(seen: Sequence[Seen]) -> str:
    """Rows that somebody had in every play."""
    twice = max(each.twice for one in seen for each in one.attempts)
    return f"{min(max(each.right for each in one.attempts) for one in seen)}" + (f" +{twice} twice" if twice else "")


def _played(one: Seen) -> str:
    paid = str(one.paid) if one.accepted == one.paid else f"{one.paid}/{one.accepted}"
    return f"{paid} -> {', then '.join(map(_attempt, one.attempts))}"


def _attempt(one: Attempt) -> str:
    if one.code is None:
        return "killed"
    twice = f" +{one.twice} twice" if one.twice else ""
    return f"{one.right}{twice}" + ("" if one.code == 0 else " (hangs)" if one.code == "hangs" else f" (code {one.code})")


def _faults() -> list[str]:
    return ["| fault | what happens |", "| --- | --- |", *(f"| {fault.name} | {fault.words} |" for fault in FAULTS)]


def _clients(clients: Sequence[Client]) -> str:
    lines = ["| client | versions | settings | going on after a stop | driver |", "| --- | --- | --- | --- | --- |"]
    for client in clients:
        driver = f"[{client.driver.name}](../tests/peers/drivers/{client.driver.name})"
        lines.append(f"| {client.name} | {client.versions} | {client.settings} | {client.going_on} | {driver} |")
    return "\n".join(lines) + "\n"


HARD = ("lost", "killed", "two")


def _once(seen: Mapping[Key, Sequence[Seen]], clients: Sequence[Client]) -> str:
    """Who paid for ten rows at most where an answer was lost, where it was killed, and where two began at once; and what they handed back."""
    lines = ["## Who paid once, and had the rows\n", "| client | API | lost | killed | two |", "| --- | --- | --- | --- | --- |"]
    for client in clients:
        for wire in client.wires:
            plays = [seen.get((client.name, wire, name), ()) for name in HARD]
            if plays[0]:
                lines.append(f"| {_shown(client)} | {wire} | {' | '.join(map(_verdict, plays))} |")
    return "\n".join(lines) + "\n"


def _verdict(plays: Sequence[Seen]) -> str:
    if not plays:
        return "-"
    paid = max(one.paid for one in plays)
    rows = min(max(each.right for each in one.attempts) for one in plays)
    return "yes" if paid == rows == 10 else f"paid {paid}, has {rows}"
