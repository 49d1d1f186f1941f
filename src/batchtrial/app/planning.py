"""The plan of a run, for whoever shows it. Reads, never writes or sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from batchtrial.app.hosts import check_same_host, proxy_for
from batchtrial.app.invocation import Invocation
from batchtrial.app.session import layout_of, loaded
from batchtrial.app.wiring import Place, Wiring
from batchtrial.run.planned import Plan, planned
from batchtrial.state.form import refuse_earlier


def plan_of(ask: Invocation, env: Mapping[str, str], complain: Callable[[str], None]) -> Plan:
    """What the invocation would do and cost. complain: is told of a metric that takes long, at once. Raises ConfigError, DataError, StateError."""
    layout = layout_of(ask, ask.run_id or "NEW")
    if ask.is_resume:
        layout.check_there()
        refuse_earlier(layout)
    got = loaded(ask, layout, env)
    if ask.is_resume:
        check_same_host(got.config, env)
    wiring = Wiring(got.config, Place(layout=layout, trials=lambda: (), replay_dir=ask.replay_dir), env)
    return planned(got, ask.options, layout, wiring.codecs, proxy=proxy_for(got.config), complain=complain)
