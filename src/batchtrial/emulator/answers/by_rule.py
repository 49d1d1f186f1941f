"""Answers by a rule, for whoever tests a client and cares for no model: an echo of what was said, or a text with places to fill."""

from __future__ import annotations

import json

from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.answers.request import ChatRequest
from batchtrial.emulator.answers.shaped import json_of, object_of
from batchtrial.emulator.world.draws import digest


def told_by_rule(file: ModelFile, chat: ChatRequest, item: str, sample: str) -> str | None:
    """What the rule makes of a request, in the form that it wants; None where no rule says what is told."""
    if file.template is not None:
        text = _filled(file.template, chat, item, sample)
    elif file.answer == "echo":
        text = chat.user
    else:
        return None
    if chat.form.schema and object_of(text) != text:  # an object is told as the rule writes it, whether it fits or not
        return json_of(json.loads(chat.form.schema), text, True, digest("rule", item, sample))
    return object_of(text) if chat.form.is_json else text


def _filled(template: str, chat: ChatRequest, item: str, sample: str) -> str:
    """The template with its places filled; braces that name no place stay, so that JSON can be written plainly."""
    places = {"user": chat.user, "system": chat.system, "model": chat.model, "custom_id": chat.custom_id, "item": item, "sample": sample}
    found, rest = [], template
    while rest:
        before, brace, behind = rest.partition("{")
        name, end, after = behind.partition("}")
        is_place = bool(brace and end) and name in places
        found.append(before + (places[name] if is_place else brace))
        rest = after if is_place else behind
    return "".join(found)
