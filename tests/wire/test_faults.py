"""Every fault does what docs/emulator.md says it does, on every wire it exists for."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import PROVIDERS, Plain, rows

LOST = (http.client.HTTPException, OSError)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("faults"), seed=2) as emulator:
        yield emulator


@pytest.fixture
def emu(shared: Emulator) -> Emulator:
    """One emulator for all tests here; each starts without faults."""
    shared.remove_faults()
    return shared


@pytest.fixture(params=PROVIDERS)
def client(emu: Emulator, request: pytest.FixtureRequest) -> Plain:
    return Plain(emu, request.param)


LABELS = iter(range(10_000))


def label() -> str:
    return f"job-{next(LABELS)}"


def n_accepted(emu: Emulator) -> int:
    return int(emu.ledger()["accepted_requests"])


def create_fault(client: Plain, **do: Any) -> None:
    client.emu.add_faults([{"match": {"provider": client.provider, "op": "create"}, "on": [1], "do": do}])


@pytest.mark.parametrize("status", [401, 403, 413, 429, 500, 503, 529])
def test_status_in_the_wires_own_envelope_and_nothing_done(client: Plain, status: int) -> None:
    uploaded, before = client.upload(rows(2)), n_accepted(client.emu)
    create_fault(client, status=status, message="told so")
    reply = client.create(uploaded, label())
    assert reply.status == status
    shown = reply.json()
    text = {"fireworks": lambda: shown["message"], "openai": lambda: shown["error"]["message"], "anthropic": lambda: shown["error"]["message"]}
    assert text[client.provider]() == "told so"
    assert n_accepted(client.emu) == before
    assert client.create(uploaded, label()).status == 200  # only the first occurrence


def test_retry_headers(client: Plain) -> None:
    create_fault(client, status=429, retry_after=7, retry_after_ms=1500, x_should_retry=False)
    reply = client.create(client.upload(rows(1)), label())
    assert (reply.headers["retry-after"], reply.headers["retry-after-ms"], reply.headers["x-should-retry"]) == ("7", "1500", "false")


def test_connection_closed_before_anything_is_done(client: Plain) -> None:
    uploaded, before = client.upload(rows(2)), n_accepted(client.emu)
    create_fault(client, close_before_commit=True)
    with pytest.raises(LOST):
        client.create(uploaded, label())
    assert n_accepted(client.emu) == before


@pytest.mark.parametrize("do", [{"close_after_commit": True}, {"status": 503, "after_commit": True}])
def test_the_orphan_the_answer_is_lost_but_the_batch_is_there(client: Plain, do: dict[str, Any]) -> None:
    uploaded, before = client.upload(rows(2)), n_accepted(client.emu)
    create_fault(client, **do)
    if "status" in do:
        assert client.create(uploaded, label()).status == 503
    else:
        with pytest.raises(LOST):
            client.create(uploaded, label())
    assert n_accepted(client.emu) == before + 2
    n_creates = client.emu.ledger()["creates"]
    client.create(uploaded, label())
    assert client.emu.ledger()["creates"] == n_creates + 1


def test_delay_and_hang_are_bounded(client: Plain) -> None:
    client.emu.add_faults([{"match": {"op": "list"}, "on": [1], "do": {"delay": 0.3}}, {"match": {"op": "list"}, "on": [2], "do": {"hang": 0.3}}])
    start = time.monotonic()
    client.listed()
    assert time.monotonic() - start >= 0.3
    with pytest.raises(LOST):
        client.listed()
    assert time.monotonic() - start < 20


def test_a_hung_server_still_stops_at_once(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"match": {"op": "list"}, "on": "every", "do": {"hang": 600}}]) as emu:
        with pytest.raises(LOST):
            Plain(emu, "openai").call("GET", "/v1/batches", timeout=0.5)
        start = time.monotonic()
        assert emu.stop() == 0
        assert time.monotonic() - start < 60, "long before the call would have ended"
        assert "Traceback" not in emu.log()


def ended(client: Plain, n: int, do: dict[str, Any] | None = None) -> str:
    """A batch of n rows that has ended, with effects."""
    if do:
        create_fault(client, **do)
    batch_id = client.submit(rows(n), label())
    client.emu.advance(31)
    return batch_id


def download_fault(client: Plain, **do: Any) -> None:
    client.emu.add_faults([{"match": {"provider": client.provider, "op": "download"}, "do": do}])


def test_truncated_body(client: Plain) -> None:
    batch_id = ended(client, 5)
    url = client.result_urls(batch_id)["output"]
    whole = client.fetch(url).body
    download_fault(client, truncate_body=100)
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.fetch(url)
    assert cut.value.partial == whole[:100]
    download_fault(client, truncate_body={"bytes": 100, "clean": True})
    assert client.fetch(url).body == whole[:100]
    assert client.fetch(url).body == whole


def test_slow_body_arrives_whole(client: Plain) -> None:
    url = client.result_urls(ended(client, 3))["output"]
    whole = client.fetch(url).body
    download_fault(client, slow_body={"bytes_per_second": len(whole) * 2, "cap_seconds": 5})
    start = time.monotonic()
    assert client.fetch(url).body == whole
    assert time.monotonic() - start > 0.3


def test_file_gone(client: Plain) -> None:
    url = client.result_urls(ended(client, 2))["output"]
    client.emu.add_faults([{"match": {"provider": client.provider}, "on": "every", "do": {"file_gone": True}}])
    assert client.fetch(url).status == 404
    assert client.fetch(url).status == 404


def test_list_lags_by_calls(client: Plain) -> None:
    create_fault(client, list_lag=2)
    batch_id = client.submit(rows(1), label())
    pages = {"fireworks": "?orderBy=createTime%20desc", "openai": "", "anthropic": ""}[client.provider]
    path = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches", "fireworks": "/v1/accounts/t/batchInferenceJobs"}[client.provider]

    def is_listed() -> bool:
        shown = client.ok("GET", path + pages)
        return batch_id in [client.id_of(each) for each in shown["batchInferenceJobs" if client.provider == "fireworks" else "data"]]

    assert client.get(batch_id)
    assert [is_listed() for _ in range(4)] == [False, False, True, True]


def test_list_lags_by_time(client: Plain) -> None:
    create_fault(client, list_lag={"seconds": 5})
    batch_id = client.submit(rows(1), label())
    assert batch_id not in client.listed()
    client.emu.advance(5)
    client.emu.remove_faults()
    path = "/v1/accounts/t/batchInferenceJobs?orderBy=createTime%20desc"
    listed = client.listed() if client.provider != "fireworks" else [each["name"] for each in client.ok("GET", path)["batchInferenceJobs"]]
    assert batch_id in listed


def test_validation_failure(client: Plain) -> None:
    batch_id = ended(client, 3, {"validation_failure": "the planets are wrong"})
    shown = client.get(batch_id)
    if client.provider == "anthropic":  # this wire has no failed batches
        assert [kind for _, kind in client.outcomes(batch_id)] == ["errored"] * 3
        return
    assert client.state(batch_id) in ("failed", "JOB_STATE_FAILED")
    assert "the planets are wrong" in json.dumps(shown)


def test_token_limit_exceeded(client: Plain) -> None:
    uploaded = client.upload(rows(2))
    create_fault(client, token_limit_exceeded=True)
    reply = client.create(uploaded, label())
    if client.provider == "anthropic":
        assert reply.status == 429
        return
    client.emu.advance(31)
    shown = client.get(client.id_of(reply.json()))
    assert "token_limit_exceeded" in json.dumps(shown) or shown["status"]["code"] == "RESOURCE_EXHAUSTED"


def bill_of(client: Plain, batch_id: str) -> Any:
    return next(each for each in client.emu.ledger()["batches"] if each["id"] == batch_id)


@pytest.mark.parametrize(("fraction", "n"), [(0.0, 0), (0.5, 5), (0.99, 9)])
def test_expiry_saves_and_bills_what_was_done(client: Plain, fraction: float, n: int) -> None:
    batch_id = ended(client, 10, {"expire_after": {"fraction": fraction, "seconds": 20}})
    found = Counter(kind for _, kind in client.outcomes(batch_id))
    assert found["succeeded"] == n
    assert found["expired"] == (0 if client.provider == "fireworks" else 10 - n)
    assert (bill_of(client, batch_id)["outcome"], bill_of(client, batch_id)["n_answered"]) == ("expired", n)


def test_cancelled_half_way_by_somebody_else(client: Plain) -> None:
    batch_id = ended(client, 10, {"cancelled_half_way": True})
    found = Counter(kind for _, kind in client.outcomes(batch_id))
    assert found["succeeded"] == 5
    assert found["cancelled"] == (0 if client.provider == "fireworks" else 5)
    assert bill_of(client, batch_id)["n_answered"] == 5


def test_all_failed_leaves_no_output_file(client: Plain) -> None:
    batch_id = ended(client, 4, {"all_failed": True})
    files = client.lines(batch_id)
    assert [kind for lines in files.values() for kind in (client.outcome(line)[1] for line in lines)] == ["errored"] * 4
    assert list(files) == (["output"] if client.provider == "anthropic" else ["error"])
    assert bill_of(client, batch_id)["n_answered"] == 0


def test_unknown_state_for_some_polls(client: Plain) -> None:
    create_fault(client, unknown_state={"state": "SOMETHING_NEW", "polls": 2})
    batch_id = client.submit(rows(1), label())
    assert [client.state(batch_id) for _ in range(3)][:2] == ["SOMETHING_NEW"] * 2
    assert client.state(batch_id) != "SOMETHING_NEW"


def test_stuck_batch_never_moves(client: Plain) -> None:
    create_fault(client, stuck="JOB_STATE_PENDING" if client.provider == "fireworks" else "in_progress")
    batch_id = client.submit(rows(2), label())
    client.emu.advance(3600)
    state = client.state(batch_id)
    client.emu.advance(3600)
    assert client.state(batch_id) == state
    client.cancel(batch_id)
    client.emu.advance(10)
    assert bill_of(client, batch_id)["outcome"] == "cancelled"


def test_spend_cap_has_no_retry_after(client: Plain) -> None:
    uploaded = client.upload(rows(1))
    create_fault(client, spend_cap=True)
    reply = client.create(uploaded, label())
    assert reply.status == {"fireworks": 412, "openai": 429, "anthropic": 429}[client.provider]
    assert "retry-after" not in reply.headers


# Faults of single rows

ALL = {f"r{i}" for i in range(10)}


def test_rows_missing(client: Plain) -> None:
    batch_id = ended(client, 10, {"rows": {"missing": 3}})
    ids = {custom_id for custom_id, _ in client.outcomes(batch_id)}
    assert len(ids) == 7
    assert ids < ALL
    assert bill_of(client, batch_id)["n_answered"] == 7


def test_missing_rows_may_be_billed(client: Plain) -> None:
    batch_id = ended(client, 10, {"rows": {"missing": {"ids": ["r4"], "billed": True}}})
    assert "r4" not in dict(client.outcomes(batch_id))
    assert bill_of(client, batch_id)["n_answered"] == 10


def test_rows_duplicated_are_paid_once(client: Plain) -> None:
    batch_id = ended(client, 10, {"rows": {"duplicated": ["r1", "r2"]}})
    found = Counter(custom_id for custom_id, _ in client.outcomes(batch_id))
    assert {custom_id for custom_id, n in found.items() if n == 2} == {"r1", "r2"}
    assert bill_of(client, batch_id)["n_answered"] == 10


def test_rows_malformed_and_invalid_utf8(client: Plain) -> None:
    batch_id = ended(client, 10, {"rows": {"malformed": ["r1"], "invalid_utf8": "^r2$"}})
    broken = {"json": 0, "utf8": 0}
    for line in client.lines(batch_id)["output"]:
        try:
            json.loads(line)
        except UnicodeDecodeError:
            broken["utf8"] += 1
        except json.JSONDecodeError:
            broken["json"] += 1
    assert broken == {"json": 1, "utf8": 1}


def test_huge_row(client: Plain) -> None:
    batch_id = ended(client, 3, {"rows": {"huge": {"rows": [0], "bytes": 2_000_000}}})
    lengths = sorted(len(client.text(line)) for line in client.lines(batch_id)["output"])
    assert lengths[-1] == 2_000_000
    assert lengths[-2] < 1000


@pytest.mark.parametrize("status", [400, 429, 500])
def test_rows_errored(client: Plain, status: int) -> None:
    batch_id = ended(client, 10, {"rows": {"errored": {"count": 4, "status": status, "message": "no luck"}}})
    found = Counter(kind for _, kind in client.outcomes(batch_id))
    assert (found["succeeded"], found["errored"]) == (6, 4)
    assert bill_of(client, batch_id)["n_answered"] == 6


def test_rows_with_ids_that_nobody_sent(client: Plain) -> None:
    batch_id = ended(client, 3, {"rows": {"unknown_id": 2}})
    ids = [custom_id for custom_id, _ in client.outcomes(batch_id)]
    assert len(ids) == 5
    assert len(set(ids) - {"r0", "r1", "r2"}) == 2
    assert bill_of(client, batch_id)["n_answered"] == 3


def test_order_of_rows(client: Plain) -> None:
    def order(do: dict[str, Any]) -> list[str]:
        return [custom_id for custom_id, _ in client.outcomes(ended(client, 10, do))]

    in_order = [f"r{i}" for i in range(10)]
    assert order({"rows": {"reordered": "input"}}) == in_order
    assert order({"rows": {"reordered": True}}) == in_order[::-1]
    shuffled = order({})
    assert sorted(shuffled) == in_order
    assert shuffled not in (in_order, in_order[::-1])


# Rules


def test_rules_match_by_part_and_path(client: Plain) -> None:
    special = {"match": {"op": "upload", "part": "special"}, "do": {"status": 500}}
    client.emu.add_faults([special, {"match": {"path": "/nothing"}, "do": {"status": 500}}])
    if client.provider == "anthropic":
        client.emu.add_faults([{"match": {"op": "create", "part": "^special"}, "do": {"status": 500}}])
        assert client.create(client.upload(rows(1))).status == 200
        assert client.create(client.upload([("special-1", rows(1)[0][1])])).status == 500
        return
    client.upload(rows(1), name=f"plain-{label()}")
    with pytest.raises(AssertionError, match="500"):
        client.upload(rows(1), name=f"special-{label()}")


def test_a_batch_under_way_can_be_disturbed(client: Plain) -> None:
    batch_id = client.submit(rows(10), label())
    seq = next(each["seq"] for each in client.emu.batches() if each["id"] == batch_id)
    client.emu.call("POST", f"/_emulator/batches/{seq}", {"do": {"rows": {"missing": 2}}})
    client.emu.advance(31)
    assert len(client.outcomes(batch_id)) == 8
    with pytest.raises(HTTPError) as late:
        client.emu.call("POST", f"/_emulator/batches/{seq}", {"do": {"rows": {"missing": 2}}})
    assert late.value.code == 409
    late.value.close()


def test_occurrences_are_counted_over_a_restart(tmp_path: Path) -> None:
    faults = [{"match": {"op": "list"}, "on": [2], "do": {"status": 503}}]
    with running(tmp_path, faults=faults) as emu:
        client = Plain(emu, "openai")
        assert client.call("GET", "/v1/batches").status == 200
        emu.kill()
        emu.restart()
        assert client.call("GET", "/v1/batches").status == 503
        assert client.call("GET", "/v1/batches").status == 200
        rule = emu.call("GET", "/_emulator/faults")["faults"][0]
        assert (rule["seen"], rule["fired"]) == (3, 1)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"do": {"stauts": 500}}, "stauts"),
        ({"match": {"op": "creat"}, "do": {"status": 500}}, "unknown op"),
        ({"match": {"path": "("}, "do": {"status": 500}}, "regular expression"),
        ({"do": {}}, "empty"),
        ({"on": [0], "do": {"status": 500}}, "from 1"),
        ({"do": {"status": 200}}, "status"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(emu: Emulator, rule: dict[str, Any], why: str) -> None:
    with pytest.raises(HTTPError) as refused:
        emu.add_faults([rule])
    with refused.value:
        assert refused.value.code == 400
        assert why in json.load(refused.value)["error"]
