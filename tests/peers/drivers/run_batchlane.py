"""batchlane: `run` with a checkpoint; going on is the identical call. It has no setting for the host, so the addresses in its modules are changed.

Its Fireworks lane leaves out `dataset.exampleCount`, which the service demands, and creates the output dataset, which the job creates; both are put
right here, for it answers nothing otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import batchlane
from batchlane.adapters import anthropic, fireworks, openai_shaped
from rows import MAX_TOKENS, QUESTIONS, case, number_of, said

NAMES = {"fireworks": "fireworks_ai"}
now = case()
openai_shaped.ROWS["openai"] = replace(openai_shaped.ROWS["openai"], base_url=f"{now.url}/v1")
anthropic.BASE_URL = f"{now.url}/v1/messages/batches"
fireworks.BASE_URL = f"{now.url}/v1"
plain_request = fireworks.request


class Nothing:
    def json(self) -> dict[str, Any]:
        return {}


def request(method: str, url: str, **more: Any) -> Any:
    body = more.get("json_body")
    if method == "POST" and url.endswith("/datasets"):
        if body["datasetId"].endswith("-out"):
            return Nothing()
        body["dataset"]["exampleCount"] = str(len(QUESTIONS))
    return plain_request(method, url, **more)


fireworks.request = request
model = f"{NAMES.get(now.wire, now.wire)}/{now.model}"
lines = [batchlane.BatchLine(f"row-{n}", model, said(question), params={"max_tokens": MAX_TOKENS}) for n, question in enumerate(QUESTIONS)]
texts = {}
try:
    for line, result in batchlane.run(lines, checkpoint=str(now.state / "job.jsonl"), poll_interval=0.3):
        texts[number_of(line.custom_id)] = batchlane.answer_text(result)
finally:
    now.hand_back(texts)
