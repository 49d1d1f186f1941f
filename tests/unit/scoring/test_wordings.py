"""Abstentions and answers by the hundred, phrases of one's own, and answers in other languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchtrial.records import Item
from batchtrial.scoring import scorer_for
from batchtrial.scoring.abstention import is_abstention
from batchtrial.scoring.language import are_foreign
from batchtrial.scoring.own_phrases import OwnPhrases
from batchtrial.sources import SourceSpec, load_items

WORDINGS = Path(__file__).parent / "wordings"
SHARED = Path(__file__).parents[4] / "shared"


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@pytest.mark.parametrize("text", lines(WORDINGS / "abstentions.txt"))
def test_a_wording_of_an_abstention_is_found(text: str) -> None:
    assert is_abstention(text)


@pytest.mark.parametrize("text", lines(WORDINGS / "answers.txt"))
def test_a_name_a_title_or_a_hedged_answer_is_none(text: str) -> None:
    assert not is_abstention(text)


def test_the_wordings_that_were_missed_are_found() -> None:
    path = SHARED / "cases" / "abstentions_missed.txt"
    if not path.is_file():
        pytest.skip("the shared cases are not here")
    assert [text for text in lines(path) if not is_abstention(text)] == []


@pytest.mark.parametrize(
    ("name", "file", "metric"),
    [
        ("squad_v2", "squad_v2_dev_full.json", "squad_v2"),
        ("triviaqa", "triviaqa_unfiltered_dev_full.jsonl", "triviaqa"),
        ("nq_open", "nq_open_dev_full.jsonl", "nq_open"),
    ],
)
def test_no_accepted_answer_of_a_public_set_is_an_abstention(name: str, file: str, metric: str) -> None:
    path = SHARED / "data" / file
    if not path.is_file():
        pytest.skip("the shared question sets are not here")
    items = load_items(SourceSpec(name=name, source="file", path=str(path)), skip_bad_rows=False).items
    scorer = scorer_for(metric)
    # A question is prepared once, not once for each of its aliases.
    pairs = [(gold, answer) for item, gold in zip(items, scorer.prepare_golds(items), strict=True) for answer in item.answers]
    found = scorer.score_all([gold for gold, _ in pairs], [answer for _, answer in pairs])
    abstained = [answer for (_, answer), is_one in zip(pairs, found.numbers[2], strict=True) if is_one]
    # Accepted answers that are nothing but signs and that the official normalisation takes for nothing match nothing.
    assert [answer for answer in abstained if any(sign.isalnum() for sign in answer)] == []
    assert len(abstained) <= 3


PHRASES = ("Das steht nicht im *", "weiß ich nicht", "k.A.", "no sé", "分かりません", "* keine Angabe")


@pytest.mark.parametrize(
    ("text", "abstains"),
    [
        ("Das steht nicht im Text.", True),
        ("DAS STEHT NICHT IM ABSCHNITT", True),
        ("Weiß ich nicht!", True),
        ("k.A.", True),
        ("No sé.", True),
        ("分かりません。", True),
        ("Hier ist keine Angabe", True),
        ("Das steht nicht im Text. Sorry.", True),
        ("I don't know.", True),
        ("Das steht nicht im Text. Es ist Paris.", False),
        ("no sé, pero creo que París", False),
        ("Paris", False),
        ("Das steht im Text", False),
    ],
)
def test_phrases_of_ones_own_are_found_beside_the_known_ones(text: str, abstains: bool) -> None:
    assert OwnPhrases(PHRASES).abstains(text) == abstains
    item = Item(dataset="d", item_id="1", kind="closed", question="q?", answers=("Lyon",))
    scorer = scorer_for("triviaqa", phrases=PHRASES)
    assert scorer.score(scorer.prepare_gold(item), text).abstained == abstains


def test_without_phrases_only_english_is_known() -> None:
    assert not OwnPhrases().abstains("Das steht nicht im Text.")
    assert OwnPhrases().abstains("The text does not say.")


FOREIGN = [
    "Je ne sais pas.",
    "La réponse n'est pas dans le texte.",
    "Ich weiß es nicht.",
    "Das steht nicht im Text.",
    "No lo sé, el texto no lo dice.",
    "Não sei a resposta para isso.",
    "Non lo so, il testo non è chiaro.",
    "Ik weet het niet.",
    "Jag vet inte.",
    "Nie wiem, tego nie ma.",
    "分かりません。",
    "我不知道",
    "Я не знаю.",
    "لا أعرف",
    "Δεν ξέρω",
]
NOT_FOREIGN = [
    *("I don't know.", "Paris", "Ludwig van Beethoven", "Oscar de la Renta", "Rio de la Plata", "La Dolce Vita", "Les Misérables", "Das Boot"),
    *("Die Zauberflöte", "Cogito ergo sum", "Je t'aime moi non plus", "Côte d'Ivoire", "El Niño", "1923", "", "α", "Il Trovatore", "\ud800"),
    *("The answer is Les Misérables by Victor Hugo", "Charles de Gaulle", "Notre-Dame de Paris", "Così fan tutte", "Tokyo (東京)", "que sera sera"),
]


def test_answers_in_other_languages_are_counted_and_names_are_not() -> None:
    assert [text for text, is_one in zip(FOREIGN, are_foreign(FOREIGN), strict=True) if not is_one] == []
    assert [text for text, is_one in zip(NOT_FOREIGN, are_foreign(NOT_FOREIGN), strict=True) if is_one] == []
    assert are_foreign([]).size == 0


def test_accepted_answers_of_an_english_set_are_hardly_ever_foreign() -> None:
    path = SHARED / "data" / "nq_open_dev_full.jsonl"
    if not path.is_file():
        pytest.skip("the shared question sets are not here")
    answers = [answer for line in lines(path) for answer in json.loads(line)["answer"]]
    assert are_foreign(answers).mean() < 0.002
