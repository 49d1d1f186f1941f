"""The CSV files of a trial are the same bytes, whoever makes their rows and however many at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.phases.batches.test_frozen_plan import analysed, answer
from tests.unit.phases.world import Stop, closed_items, open_items, world

from batchtrial.errors import Stopped
from batchtrial.phases.report.exports import write_predictions, write_scores
from batchtrial.state.store import Sink


def test_the_rows_are_the_same_made_by_several_and_a_few_at_a_time(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(7), closed=closed_items(6), samples_per_item=2) as made:
        made.answer_all(answer)
        analysed(made)
        trial = made.trial
        for path, write in ((made.layout.trial(trial.slug).predictions, write_predictions), (made.layout.trial(trial.slug).scores, write_scores)):
            at_once = "rows_at_once" if write is write_predictions else "items_at_once"
            whole = Sink(None)
            write(made.work(), trial, whole)
            for workers in (1, 2, 5):
                few = Sink(None)
                write(made.work(workers=workers), trial, few, **{at_once: 4})
                assert few.fingerprint == whole.fingerprint, path.name


def test_a_stop_ends_the_writing_between_two_blocks(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(9)) as made:
        made.answer_all(answer)
        analysed(made)
        out = Sink(None)
        with pytest.raises(Stopped):
            write_predictions(made.work(stop=Stop(after=4), workers=2), made.trial, out, rows_at_once=2)
        assert out.size > 0
