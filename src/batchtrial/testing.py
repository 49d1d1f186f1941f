"""What every provider's adapter owes the run above it, as tests for whoever writes one: a batch is bought once, found again, and read to its end.

    class TestMine(ProviderContract):
        wire = "openai"                     # what the emulator is to speak
        def adapter(self, url, key): ...    # yours, pointed at it

`assert_not_worse(run, "em", 0.02)` is about the answers instead: a test of a prompt.

pytest finds the `test_` methods. The server is the emulator, a process of its own with a clock that only tests move; a wire that it does not speak
needs a server of yours with the same few calls (`Server`), given as `server`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from batchtrial.errors import Ambiguous, AuthFailed, ProviderError, Unsure
from batchtrial.providers.base import BatchState, Intent, Provider
from batchtrial.records import Outcome, Request

if TYPE_CHECKING:
    from batchtrial.api.run import Run

KEY = "contract-key-0123456789"
LIFE_SECONDS = 40.0
HOURS_APART = 6 * 3600.0
START_SECONDS = 30.0


def assert_not_worse(run: Run, metric: str, margin: float, *, trial: str | None = None, is_simulation_meant: bool = False) -> None:
    """Passes when every trial's interval of the difference says that the treatment is worse by less than the margin. Raises AssertionError.

    metric: by its name in the reports, on all questions. margin: in the metric's own unit, 0.02 is 2 percentage points. trial: this one alone.
    Never passes on what is not there: an unfinished run, no interval, or lost pairs that could turn it, each counted at the worst that a share can
    be; for a metric that is no share any lost pair fails. Nor on what a judge says and no labels correct. Simulated answers fail unless
    `is_simulation_meant`.
    """
    status = run.status
    if status.is_simulated and not is_simulation_meant:
        raise AssertionError(f"the answers of run {run.run_id} are simulated: they prove nothing about a prompt")
    if status.standing != "finished":
        raise AssertionError(f"run {run.run_id} is {status.standing}, not finished")
    rows = [one for one in run.tests.iter_rows(named=True) if one["metric"] == metric and one["kind"] == "all" and one["dataset"] is None]
    found = [one for one in rows if one["family"] != "temperatures" and trial in (None, one["trial"])]
    missing = set(run.trials["trial"] if trial is None else [trial]) - {one["trial"] for one in found}
    if missing:
        raise AssertionError(f"{metric} is not compared on all questions in {', '.join(sorted(missing))}")
    if margin >= 1.0 and any(one["is_share"] for one in found):
        raise AssertionError(f"no two shares differ by more than a margin of {margin:g}: 3 percentage points are 0.03")
    failed = [f"{one['trial']}: {why}" for one in found if (why := _why_worse(one, margin))]
    if failed:
        raise AssertionError(f"{metric} may be worse by {margin:g} or more:\n" + "\n".join(failed))


def _why_worse(one: Mapping[str, Any], margin: float) -> str:
    """Why a comparison does not show that the treatment is worse by less than the margin; empty when it does."""
    sign = 1.0 if one["higher_is_better"] else -1.0
    bound = one["low"] if one["higher_is_better"] else one["high"]
    if bound is None or one["pairs"] == 0:
        return f"there is no interval ({one['not_decidable'] or one['verdict']})"
    if one["is_judges_word"]:
        return f"it is {one['not_decidable']}"
    if one["lost"] and not one["is_share"]:
        return f"{one['lost']} pairs are lost, and nobody knows what their scores would have been"
    worst = (one["pairs"] * sign * bound - one["lost"]) / (one["pairs"] + one["lost"])
    if worst > -margin:
        return ""
    lost = f", {one['lost']} lost pairs counted at the worst" if one["lost"] else ""
    return f"difference {one['difference']:+.4f}, interval {one['low']:+.4f} to {one['high']:+.4f}, {one['pairs']} pairs{lost}"


class Server:
    """A running emulator, or what stands in for one: where it is, its clock, its faults and what it has accepted."""

    def __init__(self, url: str) -> None:
        self.url = url

    def now(self) -> datetime:
        """Its time."""
        return datetime.fromtimestamp(self.call("GET", "/_emulator/clock")["now"], UTC)

    def advance(self, seconds: float) -> None:
        """Let its time pass."""
        self.call("POST", "/_emulator/clock", {"advance_seconds": seconds})

    def fault(self, wire: str, op: str, do: Mapping[str, Any], on: Any = "every") -> None:
        """Misbehave from now on, as docs/emulator.md says."""
        self.call("POST", "/_emulator/faults", [{"match": {"provider": wire, "op": op}, "on": on, "do": dict(do)}])

    def clear(self) -> None:
        """Behave again."""
        self.call("DELETE", "/_emulator/faults")

    def batches(self, wire: str) -> list[dict[str, Any]]:
        """What it has accepted, oldest first."""
        return [batch for batch in self.call("GET", "/_emulator/batches")["batches"] if batch["provider"] == wire]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; the JSON of its answer."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data, method=method), timeout=60) as answer:
            return json.load(answer)


@contextmanager
def emulator(folder: Path, *, seed: int = 5) -> Iterator[Server]:
    """An emulator that lives in this folder, ended at the end. Raises AssertionError when it does not start."""
    ready = folder / "ready.json"
    flags = ["--state", str(folder / "world"), "--seed", str(seed), "--clock", "manual", "--port", "0", "--ready_file", str(ready), "--quiet"]
    command = [sys.executable, "-m", "batchtrial.emulator", *flags, "--parent_pid", str(os.getpid())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the emulator did not start")
            time.sleep(0.01)
        yield Server(json.loads(ready.read_text())["url"])
    finally:
        process.terminate()
        process.wait()


class ProviderContract:
    """Subclass it in a test file. wire: the emulator's name for it. model: one that the wire knows."""

    wire: ClassVar[str] = "openai"
    model: ClassVar[str] = "gpt-4.1"
    _tokens: ClassVar[Iterator[int]] = itertools.count(1)

    def adapter(self, url: str, key: str) -> Provider:
        """The adapter under test, for a server at this address."""
        raise NotImplementedError

    @contextmanager
    def server(self) -> Iterator[Server]:
        """What it talks to."""
        with tempfile.TemporaryDirectory() as folder, emulator(Path(folder)) as found:
            yield found

    def test_the_same_request_gives_the_same_bytes(self) -> None:
        one = self.adapter("http://127.0.0.1:9", KEY)
        lines = [one.encode(request) for request in self.requests(3)]
        assert lines == [self.adapter("http://127.0.0.1:9", KEY).encode(request) for request in self.requests(3)]
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)

    def test_a_batch_from_submit_to_answers(self) -> None:
        with self.world() as (server, provider, folder):
            intent, payload = self.attempt(folder, server, provider)
            batch_id = provider.submit(intent, payload, lambda file_id: None)
            assert provider.check(batch_id).state is BatchState.RUNNING
            server.advance(LIFE_SECONDS)
            assert provider.check(batch_id).state is BatchState.COMPLETED
            found = [provider.decode(line) for line in provider.fetch(batch_id)]
            assert sorted(one.custom_id for one in found) == sorted(request.custom_id for request in self.requests(intent.n_requests))
            assert {one.outcome for one in found} == {Outcome.SUCCEEDED}
            assert all(one.text and one.usage is not None for one in found)

    def test_rows_that_failed_are_told_from_those_that_did_not(self) -> None:
        with self.world() as (server, provider, folder):
            server.fault(self.wire, "create", {"rows": {"errored": {"count": 2, "status": 500}}})
            intent, payload = self.attempt(folder, server, provider)
            batch_id = provider.submit(intent, payload, lambda file_id: None)
            server.advance(LIFE_SECONDS)
            outcomes = sorted(provider.decode(line).outcome for line in provider.fetch(batch_id))
            assert outcomes == [Outcome.ERRORED] * 2 + [Outcome.SUCCEEDED] * (intent.n_requests - 2)

    def test_a_create_whose_answer_is_lost_is_found_and_not_bought_again(self) -> None:
        with self.world() as (server, provider, folder):
            losses: tuple[dict[str, Any], ...] = ({"close_after_commit": True}, {"status": 503, "after_commit": True})
            for number, lost in enumerate(losses, 1):
                server.fault(self.wire, "create", lost, on=[1])
                intent, payload = self.attempt(folder, server, provider)
                intent, error = self.submitted(provider, intent, payload)
                assert isinstance(error, Ambiguous), f"a lost answer must be Ambiguous, and is {error!r}"
                assert len(server.batches(self.wire)) == number, "the create call is sent once, however it fails"
                found = self.settled(server, provider, intent)
                assert [found] == [tuple(batch["id"].rsplit("/", 1)[-1] for batch in server.batches(self.wire)[number - 1 :])]
                server.clear()
                server.advance(HOURS_APART)

    def test_a_create_that_never_arrived_is_not_found(self) -> None:
        with self.world() as (server, provider, folder):
            server.fault(self.wire, "create", {"close_before_commit": True})
            intent, payload = self.attempt(folder, server, provider)
            intent, error = self.submitted(provider, intent, payload)
            assert isinstance(error, ProviderError)
            assert self.settled(server, provider, intent) == ()

    def test_another_attempt_is_not_taken_for_it(self) -> None:
        with self.world() as (server, provider, folder):
            first, payload = self.attempt(folder, server, provider)
            first, error = self.submitted(provider, first, payload)
            second, _ = self.attempt(folder, server, provider)
            assert error is None
            assert self.settled(server, provider, second) == ()

    def test_a_provider_that_is_down_proves_nothing(self) -> None:
        with self.world() as (server, provider, folder):
            intent, payload = self.attempt(folder, server, provider)
            intent, _ = self.submitted(provider, intent, payload)
            server.fault(self.wire, "any", {"status": 503})
            try:
                found = provider.find(intent, frozenset())
            except ProviderError as error:
                if error.retryable:
                    return
                raise
            raise AssertionError(f"find answered {found!r} although every call failed")

    def test_a_wrong_key_is_told_and_not_shown(self) -> None:
        with self.world("invalid-key-000111222") as (server, provider, folder):
            intent, payload = self.attempt(folder, server, provider)
            _, error = self.submitted(provider, intent, payload)
            assert isinstance(error, AuthFailed)
            assert "invalid-key-000111222" not in str(error)

    # What the tests are made of

    @contextmanager
    def world(self, key: str = KEY) -> Iterator[tuple[Server, Provider, Path]]:
        """A server without a past, the adapter at it, and a folder."""
        with tempfile.TemporaryDirectory() as folder, self.server() as server:
            provider = self.adapter(server.url, key)
            try:
                yield server, provider, Path(folder)
            finally:
                provider.close()

    def requests(self, n: int) -> Sequence[Request]:
        """Requests as a run makes them."""
        common = {"model": self.model, "system": "Answer in one word.", "max_tokens": 64, "temperature": 0.7}
        return [Request(custom_id=f"row-{number}", user=f"What is number {number}?", **common) for number in range(n)]  # type: ignore[arg-type]

    def attempt(self, folder: Path, server: Server, provider: Provider, n: int = 4) -> tuple[Intent, Path]:
        """A new attempt at n requests, and the file of them."""
        payload, token = folder / "part.jsonl", f"{next(self._tokens):016x}"
        payload.write_bytes(b"".join(map(provider.encode, self.requests(n))))
        sha256 = hashlib.sha256(payload.read_bytes()).hexdigest()
        intent = Intent(part="p01", attempt=1, token=token, payload_sha256=sha256, n_requests=n, created_at=server.now(), model=self.model)
        return intent, payload

    def submitted(self, provider: Provider, intent: Intent, payload: Path) -> tuple[Intent, ProviderError | None]:
        """The attempt as the ledger knows it afterwards, and how it failed."""
        files: list[str] = []
        error: ProviderError | None = None
        try:
            provider.submit(intent, payload, files.append)
        except ProviderError as caught:
            error = caught
        return replace(intent, file_id=files[0] if files else None), error

    def settled(self, server: Server, provider: Provider, intent: Intent) -> tuple[str, ...]:
        """What `find` says once it can: while it is Unsure, time goes by."""
        for _ in range(5):
            try:
                return provider.find(intent, frozenset())
            except Unsure:
                server.advance(LIFE_SECONDS)
        raise AssertionError("find stays Unsure although every batch has ended")
