"""A budget below the whole plan: said at the start in money and in pairs, and spent on whole pairs only."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.phases.batches.test_queue import PRICED
from tests.unit.rig import Rig

from batchtrial.cli.commands.run import main
from batchtrial.errors import ConfigError, PhaseFailed
from batchtrial.phases.batches.coverage import ToBuy, coverage
from batchtrial.phases.batches.money import Purse
from batchtrial.run.options import Options

PARTIAL = Options(to_step="poll", is_partial=True)
PART_USD = 2 * (1024 + 60) / 1e6
"""About what a part of two rows may cost in these tests."""


def parts(*usd: tuple[int, float | None]) -> list[ToBuy]:
    return [ToBuy(slice_index=index, n_items=10, model="m", usd=None if one is None else Decimal(str(one))) for index, one in usd]


def test_pairs_are_bought_slice_by_slice_in_all_arms() -> None:
    plan = parts((1, 1), (2, 1), (1, 1), (2, 1), (3, 1), (3, 1))
    found = coverage(5, Decimal(0), plan, n_pairs=30)
    assert (found.pairs_bought, float(found.whole_usd), found.is_short) == (20, 6.0, True)
    assert found.sentence == "the whole plan may cost up to $6.0000 and the budget is $5.0000: it buys 20 of 30 pairs in each comparison"
    spent = coverage(Decimal("-0.5"), Decimal(0), plan, n_pairs=30)  # what others of the folder have spent beyond its budget
    assert spent.sentence == "the whole plan may cost up to $6.0000 and the budget is $0.0000: it buys 0 of 30 pairs in each comparison"
    assert not coverage(6, Decimal(0), plan, n_pairs=30).is_short
    assert coverage(6, Decimal("0.5"), plan, n_pairs=30).pairs_bought == 20  # what is in flight counts
    assert coverage(1, Decimal(4), plan[2:], n_pairs=40).pairs_bought == 10  # one slice was sent before


def test_a_part_without_a_price_is_named() -> None:
    with pytest.raises(ConfigError, match="'m' has no known price") as caught:
        coverage(5, Decimal(0), parts((1, 1), (1, None)), n_pairs=10)
    assert '"m": {input_per_mtok: USD' in caught.value.hint


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, n_items=6, settings={"max_concurrent_jobs": 1}, changes=PRICED)


@pytest.mark.parametrize("n_parts", [0.5, 1.0, 1.5, 2.2, 2.9, 3.4, 4.3, 5.1])
def test_whatever_the_budget_only_whole_pairs_are_bought(rig: Rig, n_parts: float) -> None:
    rig.settings["budget_usd"] = n_parts * PART_USD
    with pytest.raises(ConfigError, match="of 6 pairs"):
        rig.run()
    assert rig.memory.batches == {}
    with suppress(PhaseFailed):  # the rest waits for more money
        rig.run(options=PARTIAL)
    sent = [name for name, part in rig.parts().items() if part.attempts]
    by_slice = {name.rpartition("_p")[2] for name in sent}
    assert len(sent) == 2 * len(by_slice), "a slice was bought in one arm only"
    assert any("it buys" in note for note in rig.notes)
    assert float(rig.money().committed_usd) <= rig.settings["budget_usd"]


def test_a_raised_budget_needs_no_drift_to_be_accepted_and_buys_the_rest_once(rig: Rig) -> None:
    rig.settings["budget_usd"] = 2.5 * PART_USD
    with pytest.raises(PhaseFailed):
        rig.run(options=PARTIAL)
    rig.settings["budget_usd"] = 3.5 * PART_USD
    with pytest.raises(ConfigError, match="of 6 pairs"):
        rig.run()
    rig.settings["budget_usd"] = 100.0
    rig.run()
    assert rig.is_paid_once()


def test_a_budget_below_what_was_spent_stops_nothing_that_is_sent(rig: Rig) -> None:
    rig.settings["max_concurrent_jobs"] = 10
    rig.run(to_step="submit")
    rig.settings["budget_usd"] = 0.000001
    assert rig.run().counts.succeeded == rig.n_requests


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "many"])
def test_no_budget_is_not_a_budget(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Rig(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    for name in ("open", "closed", "control", "treatment"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text\n")
    place = ["--config", str(tmp_path / "config.yaml"), "--experiments_dir", str(tmp_path / "experiments")]
    assert main([*place, "--plan_only", f"--budget_usd={value}"]) == 2
    assert "budget_usd" in capsys.readouterr().err


CONFIG = """
backend: fireworks
model_id: accounts/fireworks/models/gpt-oss-20b
datasets:
  - {name: reading, source: file, path: questions.jsonl}
task_instructions: {open_book: open.txt, closed_book: closed.txt}
prompt_sets:
  default: {control: control.txt, treatment: treatment.txt}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    Rig(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    for name in ("open", "closed", "control", "treatment"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text\n")
    return ["--config", "config.yaml", "--plan_only"]


def test_a_plan_says_what_a_budget_buys(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*place, "--lines_per_part", "1", "--budget_usd", "0.0005"]) == 0
    said = capsys.readouterr().out
    assert "does NOT cover it" in said
    assert "of 4 pairs in each comparison; a run asks for --partial" in said
    assert main([*place, "--budget_usd", "5"]) == 0
    assert "budget   $5 covers it" in capsys.readouterr().out


def test_a_plan_names_the_model_whose_price_a_budget_needs(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*place, "--model", "accounts/x/models/of-nobody", "--budget_usd", "5"]) == 0
    said = capsys.readouterr().out
    assert "refused: a budget is set, but 'accounts/x/models/of-nobody' has no known price" in said
    assert "overrides" in said


def test_a_price_that_came_later_does_not_make_what_was_sent_before_cost_nothing(tmp_path: Path) -> None:
    model = "a-model-of-our-own"
    rig = Rig(tmp_path, changes={"model_id": model})
    rig.run("submit")
    rig.changes["pricing"] = {"overrides": {model: {"input_per_mtok": 1.0, "output_per_mtok": 2.0}}}
    session = rig.open(accept_drift=True, given=rig.config(budget_usd=1000.0))
    purse = Purse(session.config, session.ledger)
    assert not purse.covers("p02", Decimal("0.01"))
    assert "had no known price" in str(purse.refusal)
    session.close()


def test_a_batch_without_a_price_that_is_still_in_flight_stops_a_budget_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 8}, changes={"model_id": "a-model-of-our-own"})
    rig.memory.life_seconds = 3600.0
    rig.run("submit")
    assert (rig.money().unpriced, rig.money().in_flight_unpriced > 0) == (0, True)
    session = rig.open(accept_drift=True, given=rig.config(budget_usd=1000.0))
    assert not Purse(session.config, session.ledger).covers("p02", Decimal("0.01"))
    session.close()
