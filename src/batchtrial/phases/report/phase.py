"""report: everything that was found, for people.

Writes report.md, report.html and forest.svg of each trial, the files that `exports` of the config asks for, and the run's aggregate report and
index.html. What they say is in `lines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchtrial import __version__
from batchtrial.config.expand import Trial
from batchtrial.config.load import config_hash
from batchtrial.modes import MODES
from batchtrial.phases.base import View, Work, digest_of, over_trials, publishing
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.phases.report.aggregate import aggregate, aggregate_problem, index, sealed
from batchtrial.phases.report.forest import forest_alone
from batchtrial.phases.report.lines import blocks, forests, recorded, server
from batchtrial.phases.report.render import markdown, page
from batchtrial.records import Verdict
from batchtrial.state.store import read_json, write_bytes

FORM: Final = 4
STAGE: Final = "report"


@dataclass(frozen=True, slots=True)
class Report:
    """The phase."""

    name: str = "report"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of everything shown; None while a step before is not done."""
        stages = ["parsed", "scored", "stats", "costs", *(["optional"] if view.config.optional.switched_on else [])]
        parts = [view.stage_artifacts_digest(trial, stage) for stage in stages]
        parsed = view.stages.get((trial.slug, "parsed"))
        if None in parts or parsed is None:
            return None
        # What parse was made from is what results_combined.jsonl is made from.
        twice = bought_twice(view)
        slugs = [one.slug for one in view.trials]
        return digest_of(
            [FORM, __version__, parts, parsed.inputs, config_hash(view.config), slugs, recorded(view), server(view), *([twice] if twice else [])]
        )

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="optional" if view.config.optional.switched_on else "costs")

    def verdict(self, view: View) -> Verdict:
        found = over_trials(self, view)
        problem = aggregate_problem(view) if found.is_done else None
        return found if problem is None else Verdict(status="stale", reason=f"aggregate_report.md {problem}")

    def run(self, work: Work) -> None:
        from batchtrial.phases.report.across_trials import aggregate_file
        from batchtrial.phases.report.all_results import write_combined  # these three here, since a verdict needs no numbers
        from batchtrial.phases.report.exports import write_exports

        is_combined = "results_combined.jsonl" in work.config.exports

        view = work.view
        banner = MODES[view.config.mode].banner or None
        for trial, inputs in work.due(self):
            layout, content = view.trial_layout(trial), blocks(view, trial)
            write_bytes(layout.report_md, markdown(content, banner).encode(), hook=work.hook)
            write_bytes(layout.report_html, page(content, f"batchtrial: {trial.slug}", banner).encode(), hook=work.hook)
            write_bytes(layout.forest_svg, forest_alone(list(forests(read_json(layout.significance)))).encode(), hook=work.hook)
            paths = [layout.report_md, layout.report_html, layout.forest_svg, *write_exports(work, trial)]
            if is_combined:
                with publishing(work, layout.combined) as lines:
                    write_combined(work, trial, lines)
                paths.append(layout.combined)
            work.publish(trial, STAGE, inputs, paths)
        write_bytes(view.layout.aggregate_json, sealed(aggregate_file(view)), hook=work.hook)
        write_bytes(view.layout.aggregate_report, aggregate(view).encode(), hook=work.hook)
        write_bytes(view.layout.index_page, index(view).encode(), hook=work.hook)


phase = Report()
