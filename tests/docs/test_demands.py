"""What the tickets ask the documentation to tell is told."""

from __future__ import annotations

import pytest
from tests.docs.pages import ROOT, text_of

STEPS = ("--resume", "--from_step", "--to_step", "--only_step", "--plan_only")
DEMANDS: dict[str, tuple[str, ...]] = {
    "README.md": (*STEPS, "--dry_run", "docs/files.md", "EXPERIMENT_WORKFLOW.md"),
    "EXPERIMENT_WORKFLOW.md": (
        *STEPS,
        "STOP_REQUESTED",
        "STOP_NOW",
        "run_state.json",
        "ledger.jsonl",
        "trial_manifest.json",
        "docs/files.md",
        "docs/migration.md",
        "seed",
    ),
    "docs/troubleshooting.md": ("## Config drift", "## A corrupted manifest", "firectl", "repair --run_id", "--check"),
    "docs/files.md": ("## run_state.json", "## TRIAL/results/trial_manifest.json", "## ledger.jsonl", "### Entry"),
    "docs/guides/gpt5-prompting-best-practices-guide.md": (
        "## Determinism",
        "## Structured outputs",
        "## Explicit acceptance checks",
        "## Plan, execute, verify",
    ),
    "docs/guides/alt_backend_smoke_workflows.md": (
        "make alt-smoke",
        "scripts.alt_smoke",
        "control_registry.json",
        "## ZIP",
        "## Troubleshooting",
        "replay",
    ),
    "docs/planning/stop_resume_design.md": ("### 3.7 Testing and validation", "BATCHTRIAL_LIVE=1"),
}


@pytest.mark.parametrize(("page", "wanted"), DEMANDS.items(), ids=list(DEMANDS))
def test_the_page_tells_what_was_asked(page: str, wanted: tuple[str, ...]) -> None:
    text = text_of(ROOT / page)
    assert [one for one in wanted if one not in text] == []
