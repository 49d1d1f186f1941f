"""steadybatch: a Runner with a checkpoint and a schema, as its quick start has it. Going on is the same call again."""

from __future__ import annotations

from rows import QUESTIONS, case, number_of, said
from steadybatch import Request, Runner

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}
now = case()
if now.wire == "openai":
    from steadybatch.providers.openai_batch import OpenAIBatch as Provider
else:
    from steadybatch.providers.anthropic_batch import AnthropicBatch as Provider
runner = Runner(Provider(), now.model, response_schema=SCHEMA, checkpoint=now.state / "job.sqlite", poll_every=0.3)
report = runner.run([Request(key=f"row-{number}", messages=said(question)) for number, question in enumerate(QUESTIONS)])
now.hand_back({number_of(one.key): one.data["answer"] if one.data else None for one in report.results})
