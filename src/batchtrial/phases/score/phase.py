"""score: answers in, scores per item out.

Each arm is scored once, part by part, into arms/<arm>/scores.parquet, however many trials compare it. Only answers are scored: a request that never
succeeded, or whose answer was cut off, refused or is none, is counted as lost and is no wrong answer unless the plan says so. The samples of an item
are averaged inside the item and arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchtrial.config.expand import Arm, Trial
from batchtrial.config.metric_sources import own_paths, versions
from batchtrial.config.model import Config
from batchtrial.phases.base import View, Work, arms_in_order, digest_of, over_trials
from batchtrial.phases.parse.phase import WITH_CSV
from batchtrial.phases.prepare.metrics import answer_rules, metric_names
from batchtrial.phases.score.record import changed, code_of, remarks, scoring_record
from batchtrial.phases.tables.arm_table import ROWS_PER_GROUP, ArmTable, make_tables
from batchtrial.records import Verdict
from batchtrial.state.store import Fingerprint, decode_json, encode_json, write_bytes

if TYPE_CHECKING:
    from batchtrial.phases.score.names import Names
    from batchtrial.phases.score.part import Scored

FORM: Final = 3
STAGE: Final = "scored"
ANSWERS_AT_ONCE: Final = 100_000
"""Answers of all arms to some items that one process scores in one go."""
SLOW_ANSWERS_AT_ONCE: Final = 2_000
"""The same where a metric is the user's own, which may be slow: in longer stretches one process waits for another, and most shares are empty."""


@dataclass(frozen=True, slots=True)
class Score:
    """The phase."""

    name: str = "score"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the answers, the items and the settings of scoring; None while nothing is parsed."""
        parsed = view.stage_artifacts_digest(trial, "parsed")
        if parsed is None or view.prepared is None or view.build is None:
            return None
        return digest_of([parsed, _settings(view, trial), WITH_CSV])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        found = view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="parse")
        edited = changed(view.config, view.trial_layout(trial)) if found.status == "stale" else ""
        return replace(found, reason=f"{trial.slug}: {edited}") if edited else found

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        """Score every arm of the trials that are due. Raises Stopped, ConfigError, RunStateMissing."""
        due = list(work.due(self))
        if not due:
            return
        from batchtrial.phases.score.names import Names  # these two here, since a verdict needs no tables
        from batchtrial.phases.score.part import Scored

        names = Names.found(work, [arm for trial, _ in due for arm in arms_in_order(trial)])
        n_items = stretch(work.view)
        tables: dict[str, ArmTable[Scored]] = {}
        for trial, _ in due:
            if edited := changed(work.config, work.view.trial_layout(trial)):
                work.progress.note(f"note: {edited}; {trial.slug} is scored again")
            tables |= {arm.name: _table(work, trial, arm, names, n_items) for arm in arms_in_order(trial) if arm.name not in tables}
        scored = make_tables(work, tables, Scored)
        for trial, inputs in due:
            _publish(work, trial, inputs, scored, names)


def _settings(view: View, trial: Trial) -> list[Any]:
    """What decides how answers are scored."""
    config = view.config
    given = [FORM, metric_names(config, view.prepared), config.metrics, config.unsupported.model_dump(), asdict(answer_rules(config))]
    own = code_of(config, view.trial_layout(trial))
    failing = [config.metric_errors, *(["items whole"] if config.metric_errors == "lost" else [])]
    given += [config.answers.abstention_phrases, [own, *failing] if own else None, *versions(config)]
    return [*given, view.prepared and view.prepared.sha256, view.build and view.build.index.sha256]


def stretch(view: View) -> int:
    """Items whose answers are scored in one go: the same for every process and share of the run."""
    answers = sum({arm.name: arm.samples for trial in view.trials for arm in arms_in_order(trial)}.values())
    return max(1, min(ROWS_PER_GROUP, (SLOW_ANSWERS_AT_ONCE if own_paths(view.config) else ANSWERS_AT_ONCE) // max(1, answers)))


def _table(work: Work, trial: Trial, arm: Arm, names: Names, n_items: int) -> ArmTable[Scored]:
    """The arm's scores. Its jobs are stretches of parts, of so many items, so that several processes end at about the same time."""
    from batchtrial.phases.score.further import FurtherPart, further_parts
    from batchtrial.phases.score.part import Scored, ScorePart, score_parts

    layout, view = work.layout.arm(arm.name), work.view
    answers = view.stamps.of(layout.answers)
    before = _before(work, trial, arm, names)
    pieces = [
        (first, min(n_items, shard.first_item + shard.n_items - first))
        for shard in view.shards(arm)
        if not shard.first_sample
        for first in range(shard.first_item, shard.first_item + shard.n_items, n_items)
    ]

    def about(place: int, target: Path) -> dict[str, Any]:
        first, n = pieces[place]
        part = {"layout": work.layout, "prepared": view.prepared, "answers": layout.answers, "samples": arm.samples, "user": names.columns}
        return part | {"first_item": first, "n_items": n, "target": target}

    def job(place: int, target: Path) -> ScorePart | FurtherPart:
        if before is None:
            return ScorePart(**about(place, target), config=work.config, names=names.by_metric)
        return FurtherPart(**about(place, target), config=before[0], scores=layout.scores, before=Scored() if place else before[1])

    return ArmTable(
        path=layout.scores,
        record=layout.scores_record,
        inputs=_made_from(view, trial, arm, names),
        rows=[n for _, n in pieces],
        n_steps=sum(n for _, n in pieces) * arm.samples,
        label=f"{', '.join(own_paths(work.config)) or 'score'} on {arm.name}",
        job=job,
        together=score_parts if before is None else further_parts,
        is_slow=bool(own_paths(work.config)),
        is_cut_alike=True,
        told={"answers_table": answers and answers.model_dump()},
    )


def _made_from(view: View, trial: Trial, arm: Arm, names: Names) -> str:
    """Digest of what the arm's scores are made from."""
    answers = view.stamps.of(view.layout.arm(arm.name).answers)
    return digest_of([answers and answers.sha256, _settings(view, trial), {path: sorted(one) for path, one in names.by_metric.items()}])


def _before(work: Work, trial: Trial, arm: Arm, names: Names) -> tuple[Config, Scored] | None:
    """Where only metrics by name were added to a table that is there: the config with those alone, and what was found when it was made."""
    from batchtrial.phases.score.further import with_fewer
    from batchtrial.phases.score.part import Scored

    layout, config = work.layout.arm(arm.name), work.config
    try:
        known = decode_json(layout.scores_record.read_bytes())
        if work.is_remaking or work.view.stamps.of(layout.scores) != Fingerprint.model_validate(known["table"]):
            return None
        for less in with_fewer(config):
            if known["inputs"] == _made_from(replace(work.view, config=less), trial, arm, names):
                return config.model_copy(update={"metrics": config.metrics[len(less.metrics) :]}), Scored.from_json(known)
    except (OSError, ValueError, TypeError, KeyError):  # lost or damaged: then all of it is scored
        return None
    return None


def _publish(work: Work, trial: Trial, inputs: str, scored: Mapping[str, Scored], names: Names) -> None:
    """Write what the trial has of its own, and record the stage."""
    layout, arms = work.view.trial_layout(trial), arms_in_order(trial)
    record = scoring_record(work.config, layout, names.by_set, {arm.stem: scored[arm.name] for arm in arms})
    write_bytes(layout.scoring, encode_json(record), hook=work.hook)
    for line in remarks(record):
        work.progress.note(f"note: {trial.slug}: {line}")
    paths = [*(work.layout.arm(arm.name).scores for arm in arms), layout.scoring]
    work.publish(trial, STAGE, inputs, paths)


phase = Score()
