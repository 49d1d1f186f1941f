"""litellm: its SDK's files and batches. It keeps no state, so the id is written down after the create returned; going on is asking for that id."""

from __future__ import annotations

import json
import time

import litellm
from rows import case, native_lines, number_of, text_in

now = case()
source, kept = now.state / "in.jsonl", now.state / "batch-id"
at = {"custom_llm_provider": "openai", "api_base": f"{now.url}/v1", "api_key": "any"}
if not kept.exists():
    source.write_text(native_lines(now.wire))
    with source.open("rb") as file:
        uploaded = litellm.create_file(file=file, purpose="batch", **at)
    made = litellm.create_batch(completion_window="24h", endpoint="/v1/chat/completions", input_file_id=uploaded.id, **at)
    kept.write_text(made.id)
while (batch := litellm.retrieve_batch(batch_id=kept.read_text(), **at)).status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(0.5)
raw = [litellm.file_content(file_id=one, **at).content for one in (batch.output_file_id, batch.error_file_id) if one]
lines = [json.loads(line) for content in raw for line in content.split(b"\n") if line]
now.hand_back({number_of(line["custom_id"]): text_in(line) for line in lines})
