"""Numbers as people and models write them, rewritten as the plain numbers that they are."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

HINT: Final = r"[^\x00-\x7f]|10 ?(?:\^|\*\*)|[0-9](?:\{,\}|\\,|['_][0-9]| ?/)|\\[dt]?frac|[-+] ?(?:US)?\\?[$]"
"""Matches wherever something may have to be rewritten, in the syntax that Python's `re` and Rust's `regex` share."""
_CURRENCIES: Final = "$\u20ac\xa3\xa5\u20b9"
_DIGIT: Final = re.compile(r"[^\x00-\x7f\D]")
_SIGNED: Final = re.compile(rf"(?<!\w)([-+\u2212])[ ]?(?:US)?\\?[{_CURRENCIES}](?=[0-9.])")
_PARTED: Final = re.compile(r"([0-9])(?:[\xa0\u2009\u202f'\u2019_\u066c]|\{,\}|\\,)(?=[0-9]{3}(?![0-9]))")
_POWER: Final = re.compile(
    r"(?<=[0-9])[ ]{0,2}(?:\xd7|[x*\xb7]|\\times|\\cdot)[ ]{0,2}10[ ]?(?:\^|\*\*)[ ]?(?:\{([-+\u2212]?[0-9]{1,3})\}|([-+\u2212]?[0-9]{1,3}))"
)
_RAISED: Final = re.compile("(?<=10)([\u207a\u207b]?[\xb2\xb3\xb9\u2070\u2074-\u2079]{1,3})")
_FRAC: Final = re.compile(r"\\[dt]?frac\{([-\u2212]?[0-9]{1,15})\}\{([0-9]{1,15})\}")
_DIVIDED: Final = re.compile(r"(?<![\w.,/])([-+\u2212]?)([0-9]++(?:,[0-9]{3})*+(?:\.[0-9]++)?)[ ]?/[ ]?([0-9]++(?:,[0-9]{3})*+(?:\.[0-9]++)?)(?!/)")
_GLYPH: Final = re.compile(r"([0-9]{0,15}+)[ ]?([\xbc-\xbe\u2150-\u215e])")
_ANY_GLYPH: Final = re.compile(r"[\xbc-\xbe\u2150-\u215e]")
_MINUS: Final = "\u2212"
_OTHER_SIGNS: Final = {"\uff0c": ",", "\uff0e": ".", "\u066b": ".", "\uff0d": "-", "\uff05": "%", "\u2044": "/"}
_OTHER_SIGN: Final = re.compile(f"[{''.join(_OTHER_SIGNS)}]")


def plainly(text: str) -> str:
    """The text with digits of every script, parted thousands, fractions, powers of ten and signs before a currency as `-1234.5` or `3e5`."""
    # What begins with nothing in particular is looked for only where a part of it stands: texts are long, and have few of these.
    if not text.isascii():
        text = _DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), text)
        text = _OTHER_SIGN.sub(lambda found: _OTHER_SIGNS[found[0]], text)
        if "10" in text:
            text = _RAISED.sub(lambda found: "^" + "".join(map(_lowered, found[1])), text)
        if _ANY_GLYPH.search(text):
            text = _GLYPH.sub(lambda found: repr(int(found[1] or 0) + unicodedata.numeric(found[2])), text)
    if any(sign in text for sign in _CURRENCIES):
        text = _SIGNED.sub(r"\1", text)
    text = _PARTED.sub(r"\1,", text)
    if "10" in text:
        text = _POWER.sub(lambda found: f"e{(found[1] or found[2]).replace(_MINUS, '-')}", text)
    if "frac" in text:
        text = _FRAC.sub(r"\1/\2", text)
    return _DIVIDED.sub(_quotient, text) if "/" in text else text


def _lowered(sign: str) -> str:
    return {"\u207a": "+", "\u207b": "-"}.get(sign) or str(unicodedata.digit(sign))


def _quotient(found: re.Match[str]) -> str:
    """What a fraction is; the fraction as it stands where it is none."""
    try:
        value = float(found[2].replace(",", "")) / float(found[3].replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return found[0]
    return f"{found[1]}{value!r}"
