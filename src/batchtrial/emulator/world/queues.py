"""The queue of an account: how much it takes, and how fast it works. Without rules it takes everything and batches do not wait for each other."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from batchtrial.emulator.world.effects import Strict
from batchtrial.emulator.world.world import World

HOUR = 3_600.0
Tokens = Annotated[int, Field(ge=1)]
CHARS_A_TOKEN = 4


class QueueRules(Strict):
    """Limits and speed. A batch ends when its tokens are worked off behind those of its model that came before, and not before `batch_seconds`."""

    enqueued_tokens: Tokens | dict[str, Tokens] | None = Field(None, description="Prompt tokens of one model in batches under way, at most.")
    creates_per_hour: int | None = Field(None, ge=1, description="Batches made within an hour, at most; then 429.")
    batch_seconds: float | None = Field(None, gt=0, description="Shortest life of a batch; unset: the model file's.")
    tokens_per_hour: Tokens | dict[str, Tokens] | None = Field(None, description="Prompt tokens of one model worked off in an hour.")


def prompt_tokens(body: dict[str, Any]) -> int:
    """Tokens of a request's prompt by the length of its texts."""
    n_chars = sum(_chars(body.get(name)) for name in ("messages", "input", "instructions", "prompt", "system", "contents"))
    return -(-n_chars // CHARS_A_TOKEN)


def _chars(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_chars(one) for name, one in value.items() if name not in ("role", "type", "detail"))
    return sum(map(_chars, value)) if isinstance(value, list) else 0


class Queues:
    """The queues of a world, one a model and account."""

    def __init__(self, world: World, rules: QueueRules | None, usual_seconds: float) -> None:
        self._world, self._rules, self.has_rules = world, rules or QueueRules(), rules is not None
        self._usual = self._rules.batch_seconds or usual_seconds

    def limit(self, model: str) -> int | None:
        """The most prompt tokens of this model under way; None for no limit."""
        return _of(self._rules.enqueued_tokens, model)

    def is_over(self, provider: str, account: str, model: str, tokens: int) -> bool:
        """Whether the queue does not take so many tokens more."""
        limit = self.limit(model)
        return limit is not None and self._under_way(provider, account, model) + tokens > limit

    def is_too_often(self, provider: str, account: str) -> bool:
        """Whether the hour's batches have been made."""
        most = self._rules.creates_per_hour
        if most is None:
            return False
        sql = "SELECT count(*) AS n FROM batches WHERE provider = ? AND account = ? AND created_at > ?"
        found = self._world.row(sql, (provider, account, self._world.clock.now() - HOUR))
        return found is not None and found["n"] >= most

    def life(self, provider: str, model: str, tokens: int, *, is_taken: bool) -> float:
        """Seconds that a batch made now takes. Taken batches are worked off one behind the other."""
        speed = _of(self._rules.tokens_per_hour, model)
        if speed is None or not is_taken:
            return self._usual
        now, key = self._world.clock.now(), f"worked_off:{json.dumps([provider, model])}"
        end = max(now, float(self._world.meta(key) or 0.0)) + tokens / speed * HOUR
        self._world.set_meta(key, repr(end))
        return max(self._usual, end - now)

    def _under_way(self, provider: str, account: str, model: str) -> int:
        sql = (
            "SELECT coalesce(sum(tokens), 0) AS n FROM batches WHERE provider = ? AND account = ? AND model = ? AND problems = '[]' "
            "AND cancelled_at IS NULL AND created_at + usual_seconds > ?"
        )
        found = self._world.row(sql, (provider, account, model, self._world.clock.now()))
        return 0 if found is None else int(found["n"])


def _of(told: int | dict[str, int] | None, model: str) -> int | None:
    return told.get(model) if isinstance(told, dict) else told
