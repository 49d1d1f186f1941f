"""The run's parts as the queue sees them: one job each, and what is true of it by the ledger and the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from batchtrial.config.expand import Arm, arms_of
from batchtrial.errors import ProviderError, RunStateMissing
from batchtrial.keys import OUT
from batchtrial.phases.base import Work
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.backoff import Backoff, Wait
from batchtrial.phases.batches.verdicts import asks_once_more, verdict_reader
from batchtrial.providers.base import Provider
from batchtrial.records import RawResult
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt, PartRecord
from batchtrial.state.machine import PartState


@dataclass(slots=True)
class Job:
    """One part in the queue. place: where it stands in the order of sending, from 0."""

    place: int
    shard: Shard
    arm: Arm
    doubt: Backoff = field(default_factory=Backoff)  # listings without our token so far
    sending: Backoff = field(default_factory=Backoff)
    looking: Backoff = field(default_factory=Backoff)
    fetching: Backoff = field(default_factory=Backoff)
    unsure: Wait = field(default_factory=Wait)  # for a yes or no to its doubt
    held: Wait = field(default_factory=Wait)  # for a batch that may be its own, sent from elsewhere
    absent: int = 0  # 404s in a row for a known batch
    refusal: ProviderError | None = None  # what brought the doubt
    kept: tuple[int, str] | None = None  # attempt whose create was refused for now, and its input, which the provider has


class Parts:
    """Every part of a lane, in the order of sending. Raises RunStateMissing when no requests are built."""

    def __init__(self, work: Work, provider: Provider) -> None:
        if work.view.build is None:
            raise RunStateMissing("no requests are built", where="batch_inputs/build_manifest.json", hint="run with --from_step build")
        arms = {arm.name: arm for arm in arms_of(work.view.trials)}
        self._work, self._provider = work, provider
        shards = [shard for shard in work.view.build.shards.values() if shard.arm in arms and work.view.is_open(shard)]
        mine = [shard for shard in shards if work.lane is None or arms[shard.arm].backend == work.lane]
        self.jobs = [Job(place, shard, arms[shard.arm]) for place, shard in enumerate(mine)]
        elsewhere = [Job(len(mine), shard, arms[shard.arm]) for shard in shards if shard not in mine] if len(mine) < len(shards) else []
        self._is_alone = not elsewhere
        self._by_slice: dict[int, list[Job]] = {}
        for job in (*self.jobs, *elsewhere):
            self._by_slice.setdefault(job.shard.part_index, []).append(job)

    def label(self, job: Job) -> str:
        """What people see of the part at the provider: its name, and what compares it in which role, as `m1-t0-59ff22f7934d_p01 mine control`."""
        roles = [f"{trial.prompt_set} {arm.condition}" for trial in self._work.view.trials for arm in trial.arms if arm.name == job.arm.name]
        more = f" and {len(roles) - 1} more" if len(roles) > 1 else ""
        return f"{job.shard.part} {roles[0]}{more}" if roles else job.shard.part

    def record(self, job: Job) -> PartRecord:
        return self._work.ledger.part(job.shard.part)

    def state(self, job: Job) -> PartState:
        return self.record(job).state

    def current(self, job: Job) -> Attempt:
        """The attempt under way. Raises RunStateMissing when the ledger has none."""
        current = self.record(job).current
        if current is None:
            raise RunStateMissing(f"the ledger has no attempt at {job.shard.part}", where="ledger.jsonl", hint="run `batchtrial repair`")
        return current

    @property
    def takes_nothing(self) -> bool:
        """Whether the provider takes no batches now, so that rows which failed cannot be sent again."""
        return self._provider.limits.takes_nothing

    def has_batches(self) -> bool:
        """Whether any batch of the lane is under way."""
        return any(self.state(job) is PartState.SUBMITTED and not self.is_out(job) for job in self.jobs)

    def tokens_sent(self, job: Job) -> int:
        """Estimated prompt tokens of the attempt under way."""
        return self._share(job, self.current(job).n_requests)

    def tokens_to_send(self, job: Job) -> int:
        """The same of the attempt that comes, at most: an attempt asks no row that the one before did not."""
        current = self.record(job).current
        return job.shard.input_tokens if current is None else self._share(job, current.n_requests)

    @staticmethod
    def _share(job: Job, n_requests: int) -> int:
        return -(-job.shard.input_tokens * n_requests // max(1, job.shard.lines))

    def was_sent(self, job: Job) -> bool:
        """The part has had a batch, and nothing about it is in doubt."""
        record = self.record(job)
        return record.state is not PartState.SUBMITTING and any(a.batch_id for a in record.attempts)

    def unsent_beside(self, job: Job) -> list[Job]:
        """Parts about the same items in other arms that have never been sent; where another lane lags behind, those about earlier items too."""
        indices = [job.shard.part_index] if self._is_alone else [index for index in self._by_slice if index <= job.shard.part_index]
        beside = [other for index in indices for other in self._by_slice[index] if other is not job]
        return [other for other in beside if all(attempt.is_lost for attempt in self.record(other).attempts)]

    def is_out(self, job: Job) -> bool:
        """The part left as a file, and its answers have not been brought."""
        current = self.record(job).current
        return self.state(job) is PartState.SUBMITTED and current is not None and (current.batch_id or "").startswith(OUT)

    def folder_file(self, job: Job) -> Callable[[int], Path]:
        """Attempt number -> result file of this part."""
        folder = self._work.layout.root / job.arm.part_folder(job.shard.part_index)
        return lambda attempt: result_file(folder, attempt)

    def rows_again(self, job: Job) -> tuple[str, ...]:
        """The custom_ids that the part's next attempt, which is not its first, asks."""
        fate = self.fate(job)
        return fate.not_understood if self.record(job).is_asked_again else fate.again

    def fate(self, job: Job) -> answers.Fate:
        """Where every request of the part stands, by the files."""
        whole = self._work.layout.part_input(job.shard.part)
        once_more = asks_once_more(self._work.config, job.arm.task)
        return answers.fate(whole, self.record(job).attempts, self._work.layout.root, self.folder_file(job), self.decode(job), once_more=once_more)

    def decode(self, job: Job) -> Callable[[bytes], RawResult]:
        """The reader of the part's result lines."""
        return verdict_reader(self._provider.decode, self._work.config, job.arm.task)
