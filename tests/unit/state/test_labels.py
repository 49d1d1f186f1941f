"""Labels: what was said to be kept is there once, whatever killed the writer, and however many write."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from batchtrial.errors import StateError
from batchtrial.reading.labels import Labels
from batchtrial.state.labels import Label, append_label, read_labels

KILLS = int(os.environ.get("BATCHTRIAL_LABEL_KILLS", "8"))
"""200 take two minutes and were seen to hold."""
CHILD = """
import sys
from pathlib import Path
from batchtrial.state.labels import Label, append_label
path, who = Path(sys.argv[1]), sys.argv[2]
for n in range(100000):
    append_label(path, Label(id=f"{who}-{n}", who=who, item_key=f"k{n}", trial="t", verdict="same"))
    sys.stdout.write(f"{who}-{n}\\n")
    sys.stdout.flush()
"""


def label(n: int, who: str = "ana", **how: Any) -> Label:
    given: dict[str, Any] = {"id": f"{who}{n}", "who": who, "item_key": f"k{n}", "trial": "t", "verdict": "better"} | how
    return Label(**given)


def test_kills_between_key_press_and_answer_lose_and_double_nothing(tmp_path: Path) -> None:
    path, kept, rng = tmp_path / "labels.jsonl", [], random.Random(1)
    for number in range(KILLS):
        command = [sys.executable, "-c", CHILD, str(path), f"p{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            shown = [child.stdout.readline().strip() for _ in range(rng.randrange(1, 30))]
            child.send_signal(signal.SIGKILL)
            shown += [line.strip() for line in child.stdout if line.endswith("\n")]
        kept += shown
    ids = [one.id for one in read_labels(path)]
    assert set(kept) <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(ids) - len(kept) <= KILLS


def test_a_torn_line_is_left_out_and_ended_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    append_label(path, label(1))
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole + whole.replace(b"ana1", b"ana2")[:cut])
        append_label(path, label(3))
        assert [one.id for one in read_labels(path)] == ["ana1", "ana3"]


def test_many_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"

    def write(who: str) -> None:
        for n in range(25):
            append_label(path, label(n, who))

    threads = [threading.Thread(target=write, args=(who,)) for who in ("a", "b", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.id for one in read_labels(path)}) == 100
    assert path.read_bytes().count(b"\n") == 100


def test_the_last_word_of_each_holds_unless_it_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    assert list(read_labels(path)) == []
    append_label(path, label(1))
    append_label(path, label(1))  # the same once more
    append_label(path, label(1, "ben", verdict="worse"))
    append_label(path, Label(id="a2", who="ana", item_key="k1", trial="t", verdict="same"))
    assert {(one.who, one.verdict) for one in Labels.of(path).held} == {("ana", "same"), ("ben", "worse")}
    append_label(path, Label(id="u1", who="ben", undo="a2"))  # nobody takes back another's
    append_label(path, Label(id="u2", who="ana", undo="a2"))
    assert {(one.who, one.verdict) for one in Labels.of(path).held} == {("ana", "better"), ("ben", "worse")}


@pytest.mark.parametrize(
    "wrong", [{"verdict": ""}, {"who": " "}, {"item_key": ""}, {"trial": ""}, {"id": ""}, {"note": "x" * 30_000}, {"tags": ("x" * 30_000,)}]
)
def test_what_says_nothing_or_too_much_is_not_kept(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "labels.jsonl"
    with pytest.raises(StateError):
        append_label(path, label(1, **wrong) if "who" not in wrong else Label(id="1", who=" ", item_key="k", trial="t", verdict="same"))
    assert not path.exists()


def test_agreement_of_two_and_with_oneself(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    verdicts = ("better", "worse", "same")
    for n in range(30):
        append_label(path, label(n, "ana", verdict=verdicts[n % 3]))
        append_label(path, label(n, "ben", verdict=verdicts[n % 3] if n % 10 else "cannot"))
        if n % 5 == 0:
            append_label(path, label(n + 100, "ana", item_key=f"k{n}", verdict=verdicts[n % 3], is_repeat=True))
    found = Labels.of(path).agreement("t", 1)
    assert set(found) == {"ana, ben", "ana, again"}
    assert found["ana, ben"].n == 30
    assert found["ana, ben"].observed == pytest.approx(27 / 30)
    value = found["ana, ben"].kappa.value
    assert value is not None
    assert 0.7 < value < 0.95
    assert found["ana, again"].observed == 1.0
