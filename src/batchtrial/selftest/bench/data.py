"""Data of any size for the bench: questions in three sets, and answers of about 200 tokens that are right, wrong, verbose or none.

Everything follows from the seed and from numbers, so that two benches measure the same bytes. Texts are built from a list of common words: their
letters, lengths, line ends and quotes are what answers have, though not their meaning.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_WORDS: Final = """
    river stone the old house near a small lake and people of that time were not sure about their harvest when winter came early so they built
    roads bridges mills schools from timber which was brought down by boat each spring before heavy rain began to fall over valleys where
    farmers kept sheep goats cattle while others worked in mines for copper tin or silver until prices fell after war had ended
"""
WORDS: Final = tuple(_WORDS.split())
PASSAGES_PER_QUESTION: Final = 6
ANSWER_CHARS: Final = 790
"""About 200 tokens."""
SHARE_RIGHT: Final = {"control": 0.55, "treatment": 0.60}


@dataclass(frozen=True, slots=True)
class Texts:
    """Stretches of words, made once; texts are cut from them."""

    seed: int
    long: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int) -> Texts:
        """The same stretches for the same seed."""
        draw = random.Random(seed)
        return cls(seed, [" ".join(draw.choices(WORDS, k=190)) for _ in range(499)])

    def cut(self, number: int, chars: int) -> str:
        """A text of about so many characters."""
        source = self.long[number % len(self.long)]
        begin = number * 7 % 97
        return source[begin : begin + chars]


_NAMES: Final = "bar del fin gor hal ker lan mor nev ost pel quin ras sor tam ul ven wil yar zan"
_SYLLABLES: Final = tuple(_NAMES.split())


def answer_word(number: int) -> str:
    """The right answer of item `number`: a name of two words that no text holds by chance."""
    size = len(_SYLLABLES)
    first, second, third = number % size, number // size % size, number // size**2 % size
    return f"{_SYLLABLES[first]}{_SYLLABLES[second]}o {_SYLLABLES[third]}{number // size**3}a".title()


def questions(n_items: int, seed: int) -> dict[str, Iterator[dict[str, Any]]]:
    """Rows of three question sets: half of the items open book, a quarter each in two closed-book sets."""
    texts = Texts.of(seed)
    n_open = n_items // 2
    n_trivia = (n_items - n_open) // 2
    return {
        "bench_open": (_open(number, texts) for number in range(n_open)),
        "bench_trivia": (_closed(number) for number in range(n_open, n_open + n_trivia)),
        "bench_nq": (_closed(number) for number in range(n_open + n_trivia, n_items)),
    }


def _open(number: int, texts: Texts) -> dict[str, Any]:
    passage = number // PASSAGES_PER_QUESTION
    first = passage * PASSAGES_PER_QUESTION
    facts = ". ".join(f"Number {one} stands for {answer_word(one)}" for one in range(first, first + PASSAGES_PER_QUESTION) if one % 3 != 2)
    is_out = number % 3 == 2
    return {
        "id": f"{number:07d}",
        "question": f"What does the number {number} stand for?",
        "context": f"{texts.cut(passage, 480).capitalize()}. {facts}.",
        "answers": [] if is_out else [answer_word(number), answer_word(number).lower()],
        "is_unanswerable": is_out,
        "cluster": f"passage {passage}",
    }


def _closed(number: int) -> dict[str, Any]:
    name = answer_word(number)
    return {
        "id": f"{number:07d}",
        "question": f"Which word belongs to the number {number}?",
        "answers": [name, f"the {name}", name.upper(), ", ".join(reversed(name.split())), f"{name[0]}. {name.split()[1]}"],
    }


def write_questions(folder: Path, n_items: int, seed: int, further: Callable[[int, str], dict[str, Any]] | None = None) -> dict[str, Path]:
    """One JSONL file per set. further: columns of an item by its number and right answer, beside those that every item has."""
    paths = {}
    for name, rows in questions(n_items, seed).items():
        paths[name] = folder / f"{name}.jsonl"
        with paths[name].open("w", encoding="utf-8") as file:
            for row in rows:
                more = {} if further is None else further(int(row["id"]), answer_word(int(row["id"])))
                file.write(json.dumps({**row, **more}) + "\n")
    return paths


def answer(number: int, condition: str, draw: random.Random, texts: Texts) -> str:
    """An answer to item `number`: one in ten abstains, the others are right at first or not at all; nearly all talk for about 200 tokens."""
    luck = draw.random()
    if luck < 0.1:
        return "I don't know." if luck < 0.05 else "The passage does not say who or what this was."
    is_right = draw.random() < SHARE_RIGHT[condition]
    if luck < 0.13:
        return answer_word(number if is_right else number + 1)
    told = texts.cut(draw.randrange(1 << 20), ANSWER_CHARS)
    middle = len(told) // 2
    begin = f"{answer_word(number)}. " if is_right else ""
    if luck < 0.4:
        return f"{begin}{told[:middle]}.\n\n{told[middle:]}."
    if luck < 0.5:
        return f'{begin}{told[:middle]} – "{told[middle : middle + 12]}" – {told[middle + 12 :]}'
    return begin + told


def result_line(custom_id: str, text: str, serial: int) -> bytes:
    """A result line as Fireworks writes it."""
    n_in, n_out = 180 + serial % 60, len(text) // 4 + 1
    body = {
        "id": f"{serial:08x}-3f0c-4f6e-9d1b-{serial * 2654435761 % (1 << 48):012x}",
        "object": "chat.completion",
        "created": 1764000000 + serial % 3600,
        "model": "accounts/fireworks/models/gpt-oss-20b",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    return json.dumps({"custom_id": custom_id, "response": body}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
