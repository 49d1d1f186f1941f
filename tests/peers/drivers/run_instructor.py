"""instructor: its BatchProcessor. It keeps no state, so the id is written down after the submit returned; going on is asking for that id."""

from __future__ import annotations

import time

from instructor.batch import BatchProcessor
from pydantic import BaseModel
from rows import MAX_TOKENS, QUESTIONS, case, number_of, said

ENDS = ("completed", "failed", "expired", "cancelled", "ended")


class Told(BaseModel):
    answer: str


now = case()
processor = BatchProcessor(f"{now.wire}/{now.model}", Told)
kept = now.state / "batch-id"
if not kept.exists():
    # Anthropic's newer models and versions refuse a temperature, which is its default.
    temperature = 0.1 if now.wire == "openai" else None
    asked = processor.create_batch_from_messages(
        [said(question) for question in QUESTIONS], file_path=str(now.state / "in.jsonl"), max_tokens=MAX_TOKENS, temperature=temperature
    )
    kept.write_text(processor.submit_batch(asked))
while processor.get_batch_status(kept.read_text())["status"] not in ENDS:
    time.sleep(0.5)


def results() -> list:
    """Fetched up to five times: on Anthropic it lets go of its own connection while it still reads, and now and then that is too early."""
    for _ in range(4):
        try:
            return processor.retrieve_results(kept.read_text())
        except Exception as err:
            if "Bad file descriptor" not in str(err):
                raise
    return processor.retrieve_results(kept.read_text())


found = results()
now.hand_back({number_of(one.custom_id): one.result.answer if hasattr(one, "result") else None for one in found})
