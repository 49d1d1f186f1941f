"""A report as blocks, and its two forms: Markdown for people in a terminal or a repository, one self-contained page of HTML for everybody else.

Texts may come from a model and are not trusted: in Markdown they stand in fences that they cannot close, in HTML everything is escaped and the page
allows no script at all. Its links lead to files of the same run.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from batchtrial.visible import visible

_TOGETHER = re.compile(r"(?<=\d) (?=(?:%|pp)(?!\w))|(?<=%) (?=CI\b)|(?<=[<=]) (?=\d)|(?<=\d) (?=/ \d)|(?<=\d /) (?=\d)")
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def style() -> str:
    """The style of every page."""
    return (files("batchtrial.phases.report") / "report.css").read_text(encoding="utf-8")


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
    """A table. declared: numbers of the rows that stand out."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    declared: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Links:
    """Ways to other files of the run: text and relative address of each."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """A field in its old and new words: runs of (same, removed or added; text). names: of the two that have them."""

    field: str
    names: tuple[str, str]
    runs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Text that is not ours, shown as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG made by us; HTML only. alt says what it shows."""

    svg: str
    alt: str


Block = Heading | Paragraph | Bullets | Grid | Quote | Picture | Links | Changes


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
    if isinstance(block, Links):
        return " - ".join(f"[{_inline(text)}]({href})" for text, href in block.items)
    if isinstance(block, Changes):
        told = f"{block.field}, words that only {block.names[0]} has as [-...-], that only {block.names[1]} has as {{+...+}}:"
        return f"{_inline(told)}\n\n{_markdown(Quote(''.join(_marked(kind, text) for kind, text in block.runs).strip()))}"
    if isinstance(block, Quote):
        longest = max((len(run) for run in re.findall(r"`+", block.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}text\n{visible(block.text)}\n{fence}"
    return ""


def _marked(kind: str, text: str) -> str:
    inner = text.rstrip()
    mark = {"removed": f"[-{inner}-]", "added": f"{{+{inner}+}}"}.get(kind, inner)
    return mark + text[len(inner) :]


def _inline(text: str) -> str:
    """Our own sentences may carry names from a config or a dataset: what Markdown or HTML would act on is escaped."""
    flat = visible(text).replace("\n", " ")
    return re.sub(r"([\\`*\[\]|]|<(?=[a-zA-Z/!?])|^[#>])", r"\\\1", flat)


def _cell(text: str) -> str:
    return _inline(text) or " "


def page(blocks: Sequence[Block], title: str, banner: str | None) -> str:
    """The report as one page of HTML without scripts or anything loaded from elsewhere."""
    ribbon = f'<div class="banner" role="note">{html.escape(banner)}</div>' if banner else ""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(CSP)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style()}</style></head><body>\n<main>\n{ribbon}\n{body}\n</main></body></html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f'<p class="verdict">{_text(block.text)}</p>' if block.strong else f"<p>{_text(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Grid):
        return _table(block)
    if isinstance(block, Links):
        return f"<p>{' &middot; '.join(f'<a href={chr(34)}{html.escape(href)}{chr(34)}>{_text(text)}</a>' for text, href in block.items)}</p>"
    if isinstance(block, Changes):
        tags = {"removed": ("<del>", "</del>"), "added": ("<ins>", "</ins>")}
        before, after = (f"words that only {_text(name)} has" for name in block.names)
        told = f"<p>{_text(block.field)}: <del>{before}</del>, <ins>{after}</ins></p>"
        return f"{told}\n<pre>{''.join(_text(text).join(tags.get(kind, ('', ''))) for kind, text in block.runs)}</pre>"
    if isinstance(block, Quote):
        return f"<pre>{_text(block.text)}</pre>"
    return f'<div class="scroll" tabindex="0"><figure role="img" aria-label="{html.escape(block.alt)}">{block.svg}</figure></div>'


def _table(block: Grid) -> str:
    """On a narrow page each row stands by itself, every cell with the name of its column."""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in block.header)
    names = [f' data-of="{_text(name)}"' if place else "" for place, name in enumerate(block.header)]
    rows = "".join(
        f"<tr{' class=declared' if place in block.declared else ''}>"
        f"{''.join(f'<td{name}>{_text(cell)}</td>' for name, cell in zip(names, row, strict=True))}</tr>"
        for place, row in enumerate(block.rows)
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _text(text: str) -> str:
    """Escaped; numbers stay beside their units, and beside the sign before them."""
    return html.escape(_TOGETHER.sub("\u00a0", visible(text)))
