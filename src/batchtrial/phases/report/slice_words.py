"""The effect by slice, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchtrial.phases.analyse.slices import slice_rows
from batchtrial.phases.report.render import Block, Grid, Heading, Paragraph
from batchtrial.stats.rounding import p_phrase


def slice_blocks(tests: Mapping[str, Any]) -> list[Block]:
    """A table for each column; empty where none was named. tests: the content of significance.json."""
    found: list[Block] = []
    for one in tests.get("slices", ()):
        unit = " (pp)" if one["is_share"] else ""
        header = (one["column"], "control", "treatment", f"difference{unit}", f"interval{unit}", "q", "pairs", "lost")
        rows = tuple(slice_rows(one))
        found += [Heading(3, f"By {one['column']}: {one['metric']} (exploratory)")]
        found += [Grid(header, rows)] if rows else []
        p = None if one["heterogeneity"] is None else one["heterogeneity"]["p_value"]
        why = one["reason"] or (one["heterogeneity"] or {}).get("reason") or "too few slices"
        differ = f"cannot be tested: {why}" if p is None else f"has p {p_phrase(p)}"
        lacking = f" {one['without']} items have no value." if one["without"] else ""
        few = [row["value"] for row in one["rows"] if "decidable" in row.get("reason", "")]
        lacking += f" Not decidable, on too few documents: {', '.join(few)}." if few else ""
        how = "permutation test, without slices of fewer than ten"
        found.append(Paragraph(f"That the effects differ {differ} ({how}). q: Benjamini-Hochberg over the slices. Never a claim.{lacking}"))
    return found
