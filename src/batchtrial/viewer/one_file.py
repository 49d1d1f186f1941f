"""A run's answers as one page of HTML that needs no server and no network."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable
from pathlib import Path
from typing import Final

from batchtrial.config.report import has_answers_page
from batchtrial.errors import RunnerError
from batchtrial.modes import MODES
from batchtrial.phases.base import View, digest_of
from batchtrial.reading.in_one_file import MOST_BYTES, Carrier
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes
from batchtrial.viewer.modules import STYLE, WORKER, csp_hash, one_script, text_of

HEAD_BYTES: Final = 4096


def answers_page(tables: RunTables, *, most_bytes: int = MOST_BYTES, is_redacted: bool = False, made_from: str = "") -> str:
    """The page; of a run that is too large, as much as fits. made_from: what is kept in it to tell whether it is still current.

    Raises RunStateMissing when a prepared file is gone.
    """
    script, style = one_script(), text_of(STYLE)
    data = Carrier(tables, most_bytes, is_redacted).data()
    policy = (
        f"default-src 'none'; script-src {csp_hash(script)}; worker-src blob:; style-src {csp_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    banner = html.escape(MODES[tables.config.mode].banner or "")
    blocks = "\n".join(f'<script type="text/plain" id="{name}">{content}</script>' for name, content in data.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"{_mark(made_from)}<title>Answers</title><style>{style}</style></head><body>\n"
        f'<div id="page"><main><p class="banner">{banner}</p><h1>Answers</h1><p>This page needs JavaScript, and nothing else.</p></main></div>\n'
        f'{blocks}\n<script type="text/worker" id="worker">{one_script(WORKER)}</script>\n<script type="module">{script}</script>\n</body></html>\n'
    )


def write_answers_page(view: View, tables_of: Callable[[RunLayout], RunTables]) -> str:
    """Write the page beside the reports of a finished run, where its config wants it and it is not there yet; "", or what kept it from that.

    The run is finished without it, so that this is no failure.
    """
    if not has_answers_page(view.config.report):
        return ""
    path = view.layout.answers_page
    try:
        with tables_of(view.layout) as tables:
            page = page_beside(tables, path, digest_of([view.stage_artifacts_digest(trial, "report") for trial in view.trials]))
        if page is not None:
            write_bytes(path, page)
    except (RunnerError, OSError) as error:
        return f"answers.html is not written: {error}"
    return ""


def page_beside(tables: RunTables, path: Path, results: str) -> bytes | None:
    """The page that is to lie at `path`; None where it lies there already. results: digest of the results that it shows."""
    made_from = hashlib.sha256("\n".join((results, one_script(), one_script(WORKER), text_of(STYLE))).encode()).hexdigest()
    try:
        with path.open("rb") as file:
            if _mark(made_from).encode() in file.read(HEAD_BYTES) and path.stat().st_size > HEAD_BYTES:
                return None
    except FileNotFoundError:
        pass
    return answers_page(tables, made_from=made_from).encode()


def _mark(made_from: str) -> str:
    return f'<meta name="made-from" content="{html.escape(made_from)}">' if made_from else ""
