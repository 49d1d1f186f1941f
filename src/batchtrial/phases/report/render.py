"""A report as blocks, and its two forms: Markdown for people in a terminal or a repository, one self-contained page of HTML for everybody else.

Texts may come from a model and are not trusted: in Markdown they stand in fences that they cannot close, in HTML everything is escaped and the page
allows no script at all.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:1rem 0;font-size:.92rem}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}
th{background:#f3f5f7}td{font-variant-numeric:tabular-nums}pre{background:#f6f8fa;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
.banner{background:#fff3cd;border:2px solid #b58900;padding:.5rem 1rem;font-weight:600;position:sticky;top:0}
.verdict{font-size:1.15rem;border-left:4px solid #0969da;padding:.2rem 1rem}.scroll{overflow-x:auto}svg{max-width:100%;height:auto}
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text. strong: the sentence that matters most."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Text that is not ours, shown as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG made by us; HTML only. alt says what it shows."""

    svg: str
    alt: str


Block = Heading | Paragraph | Bullets | Grid | Quote | Picture


def visible(text: str) -> str:
    """Control characters, which could move a terminal's cursor or hide text, as their code points."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", lambda m: f"<U+{ord(m[0]):04X}>", text)


def markdown(blocks: Sequence[Block], banner: str | None) -> str:
    """The report as Markdown; the banner stands before every second-level heading too, so that no page of it goes without."""
    parts: list[str] = []
    ribbon = None if banner is None else f"> **{banner}**"
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2 and ribbon is not None and parts[-1:] != [ribbon]:
            parts.append(ribbon)
        parts.append(_markdown(block))
        if isinstance(block, Heading) and block.level == 1 and ribbon is not None:
            parts.append(ribbon)
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_inline(block.text)}"
    if isinstance(block, Paragraph):
        return f"**{_inline(block.text)}**" if block.strong else _inline(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_inline(item)}" for item in block.items)
    if isinstance(block, Grid):
        rows = (block.header, tuple("---" for _ in block.header), *block.rows)
        return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)
    if isinstance(block, Quote):
        longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}text\n{visible(block.text)}\n{fence}"
    return ""


def _inline(text: str) -> str:
    """Our own sentences may carry names from a config or a dataset: what Markdown or HTML would act on is escaped."""
    flat = visible(text).replace("\n", " ")
    return re.sub(r"([\\`*\[\]|]|<(?=[a-zA-Z/!?])|^[#>])", r"\\\1", flat)


def _cell(text: str) -> str:
    return _inline(text) or " "


def page(blocks: Sequence[Block], title: str, banner: str | None) -> str:
    """The report as one page of HTML without scripts, links or anything loaded from elsewhere."""
    ribbon = f'<div class="banner" role="note">{html.escape(banner)}</div>' if banner else ""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(CSP)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n{ribbon}\n{body}\n</body></html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f'<p class="verdict">{_text(block.text)}</p>' if block.strong else f"<p>{_text(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Grid):
        head = "".join(f"<th>{_text(cell)}</th>" for cell in block.header)
        rows = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    if isinstance(block, Quote):
        return f"<pre>{_text(block.text)}</pre>"
    return f'<figure role="img" aria-label="{html.escape(block.alt)}">{block.svg}</figure>'


def _text(text: str) -> str:
    return html.escape(visible(text))
