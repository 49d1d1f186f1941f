"""Whether items are those that requests were sent about, told by the requests themselves: the ledger has a fingerprint of each part that was sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from batchtrial.config.expand import Arm, arms_of, expand
from batchtrial.config.judge_arms import judge_trials
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.keys import arm_of_part
from batchtrial.phases.base import View
from batchtrial.phases.build.lines import plain_lines
from batchtrial.phases.build.phase import Slice, cut, in_sending_order, inputs, order
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.providers.base import Provider, codec_of
from batchtrial.records import Item
from batchtrial.state.files import BuildManifest
from batchtrial.state.ledger import PartRecord


def fits_what_was_sent(config: Config, codec: Provider, items: Sequence[Item], sha256: str, parts: Mapping[str, PartRecord]) -> bool:
    """Whether the parts that were sent would be made of these items again, byte by byte. sha256: fingerprint of the items.

    Of each slice one part is enough, since all arms ask about the same items. False also where no fingerprint is left to compare with.
    """
    judges = {arm.name for trial in judge_trials(config) for arm in trial.arms}  # what they are asked is made of answers
    ours = {name: part for name, part in parts.items() if arm_of_part(name) not in judges}
    sent = {name: first for name, part in ours.items() if (first := _first_sent(part)) is not None}
    try:
        arms = arms_of(expand(config, sha256))
        in_order = order(items, config)
        slices = cut(in_order, arms, config, codec.limits, codec)
    except ConfigError:
        return False
    places = _places(arms, slices)
    if not sent.keys() <= places.keys():
        return False
    chosen = {places[name][1]: name for name, payload in sent.items() if payload}
    if len(chosen) < len({places[name][1] for name in sent}):
        return False
    return all(_sha256(*places[name][::2], in_order, codec) == sent[name] for name in chosen.values())


def sent_otherwise(view: View, codec: Provider) -> str | None:
    """A part that was sent, and that the config of today would make of other requests; None when there is none. Arms that are new were not sent.

    Raises ConfigError when no parts can be made.
    """
    if view.build is None or view.build.inputs == inputs(view, codec.limits):
        return None
    arms, in_order = arms_of(view.trials), order(load_prepared(view.layout), view.config)
    places = _places(arms, cut(in_order, arms, view.config, codec.limits, codec, view.build.lines_per_part))
    sent = {name: payload for name in places if (part := view.parts.get(name)) is not None and (payload := _first_sent(part))}
    of_slices = {places[name][1]: name for name in sent}  # one is enough: all arms ask about the same items
    return next((name for name in of_slices.values() if _sha256(*places[name][::2], in_order, codec) != sent[name]), None)


def _places(arms: Sequence[Arm], slices: Sequence[Slice]) -> dict[str, tuple[Arm, int, Slice]]:
    return {arm.part(index): (arm, index, piece) for arm, index, piece in in_sending_order(arms, slices)}


def parts_of_answers(build: BuildManifest | None, parts: Mapping[str, PartRecord]) -> Mapping[str, PartRecord]:
    """Those parts that asked about items, by the manifest of what was built: judges that were replaced since have parts in the ledger too.

    All of them where no manifest says so.
    """
    known = {name: part for name, part in parts.items() if build is not None and name in build.shards}
    return known if any(part.attempts for part in known.values()) else parts


def _first_sent(part: PartRecord) -> str | None:
    """Fingerprint of the whole part's requests as they were sent, "" when it is lost; None when nothing was sent."""
    sent = [attempt for attempt in part.attempts if not attempt.is_lost]
    if not sent:
        return None
    return next((attempt.payload_sha256 for attempt in sent if attempt.number == 1), "")


def _sha256(arm: Arm, piece: Slice, items: Sequence[Item], codec: Provider) -> str:
    state = hashlib.sha256()
    for line in plain_lines(arm, items[piece.first : piece.first + piece.n], codec_of(codec, arm.backend), piece.samples(arm)):
        state.update(line)
    return state.hexdigest()
