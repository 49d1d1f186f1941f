"""The full public sets load whole; skipped where they are not at hand, for their licences keep them out of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtrial.sources import SourceSpec, load_items

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    ("name", "file", "n_items", "n_unanswerable", "n_clusters"),
    [
        ("squad_v2", "squad_v2_dev_full.json", 11_873, 5_945, 1_204),
        ("triviaqa", "triviaqa_unfiltered_dev_full.jsonl", 11_313, 0, 0),
        ("nq_open", "nq_open_dev_full.jsonl", 3_610, 0, 0),
    ],
)
def test_a_full_set_loads_whole(name: str, file: str, n_items: int, n_unanswerable: int, n_clusters: int) -> None:
    path = SHARED / file
    if not path.is_file():
        pytest.skip("the shared question sets are not here")
    report = load_items(SourceSpec(name=name, source="file", path=str(path)), skip_bad_rows=False)
    assert report.metric == name
    assert len(report.items) == report.n_read == n_items
    assert sum(item.is_unanswerable for item in report.items) == n_unanswerable
    assert len({item.cluster for item in report.items} - {None}) == n_clusters
    assert len({item.key for item in report.items}) == n_items
