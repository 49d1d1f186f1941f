"""A run's answers as one page of HTML that needs no server and no network."""

from __future__ import annotations

import html

from batchtrial.reading.in_one_file import MOST_BYTES, Carrier
from batchtrial.reading.run_tables import RunTables
from batchtrial.viewer.modules import STYLE, csp_hash, one_script, text_of


def answers_page(tables: RunTables, *, most_bytes: int = MOST_BYTES, is_redacted: bool = False) -> str:
    """The page; of a run that is too large, as much as fits. Raises RunStateMissing when a prepared file is gone."""
    script, style = one_script(), text_of(STYLE)
    data = Carrier(tables, most_bytes, is_redacted).data()
    policy = f"default-src 'none'; script-src {csp_hash(script)}; style-src {csp_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    blocks = "\n".join(f'<script type="text/plain" id="{name}">{content}</script>' for name, content in data.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>Answers</title><style>{style}</style></head><body>\n"
        '<div id="page"><main><h1>Answers</h1><p>This page needs JavaScript, and nothing else.</p></main></div>\n'
        f'{blocks}\n<script type="module">{script}</script>\n</body></html>\n'
    )
