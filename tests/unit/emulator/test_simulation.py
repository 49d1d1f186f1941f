"""The simulated model keeps what its file promises: planted rates, paired arms, answers that look like answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest

from batchtrial.emulator.answers.modelfile import Arm, ArmMatch, ArmRates, ModelFile, ModelFileError, Rates, load_items, load_model, sha256_text
from batchtrial.emulator.answers.request import ChatRequest, from_chat
from batchtrial.emulator.answers.simulation import SimulatedModel, plain
from batchtrial.emulator.answers.truth import mean_chance, truth

N = 4000
CONTROL, TREATMENT = "You answer questions.", "You answer questions. If unsure, say so."
PASSAGE = "CONTEXT:\nThe town of Orsk was founded in 1735 by Ivan Kirilov near the Ural River.\n\nQUESTION:\nWho founded Orsk?"


def rates(right: float, verbose: float = 0.1, abstain: float = 0.2) -> ArmRates:
    each = Rates(right=right, verbose=verbose, abstain=abstain)
    return ArmRates(open_answerable=each, open_unanswerable=Rates(right=right), closed=each)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SimulatedModel:
    path = tmp_path_factory.mktemp("key") / "items.jsonl"
    kinds = (("open", False), ("open", True), ("closed", False))
    with path.open("w") as file:
        for kind, is_unanswerable in kinds:
            for i in range(N):
                answers = [] if is_unanswerable else [f"Answer {kind} {i}", f"the answer-{kind} {i}!"]
                row = {"item": f"{kind[0]}{int(is_unanswerable)}{i}", "answers": answers, "is_unanswerable": is_unanswerable, "kind": kind}
                file.write(json.dumps({**row, "dataset": kind}) + "\n")
    arms = (
        Arm(name="control", match=ArmMatch(system_sha256=sha256_text(CONTROL)), rates=rates(0.6)),
        Arm(name="treatment", match=ArmMatch(system_contains="say so"), rates=rates(0.7, verbose=0.3, abstain=0.6)),
    )
    return SimulatedModel(ModelFile(identity_pattern=r"^(?P<item>[oc][01]\d+)-(?P<sample>\d+)", items_file=str(path), sigma=1.2, arms=arms), seed=11)


def chat(custom_id: str, system: str = CONTROL, user: str = PASSAGE, **body: object) -> ChatRequest:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return from_chat(custom_id, {"model": "m", "messages": messages, **body})


def kind_of(model: SimulatedModel, request: ChatRequest) -> str:
    return model.answers(request, model.identity(request))[0].kind


@pytest.mark.parametrize(("prefix", "question"), [("o0", "open_answerable"), ("o1", "open_unanswerable"), ("c0", "closed")])
@pytest.mark.parametrize(("system", "arm"), [(CONTROL, "control"), (TREATMENT, "treatment")])
def test_rates_are_the_planted_ones(model: SimulatedModel, prefix: str, question: str, system: str, arm: str) -> None:
    found = Counter(kind_of(model, chat(f"{prefix}{i}-0", system)) for i in range(N))
    planted = truth(model.file)["rates"][arm][question]
    for kind in ("exact", "verbose", "wrong", "abstain"):
        expected = planted[kind]
        assert abs(found[kind] / N - expected) <= 4 * sqrt(expected * (1 - expected) / N) + 1e-12, kind


@pytest.mark.parametrize("labels", [["yes", "no"], ["yes"]])
def test_labels_are_wrong_as_often_as_planted_also_where_there_is_one_alone(tmp_path: Path, labels: list[str]) -> None:
    key = tmp_path / "items.jsonl"
    rows = ({"item": f"c0{i}", "answers": ["yes"], "is_unanswerable": False, "kind": "closed", "dataset": "d", "labels": labels} for i in range(N))
    key.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = ModelFile(identity_pattern=r"^(?P<item>c0\d+)-(?P<sample>\d+)", items_file=str(key), sigma=0, default_rates=rates(0.6, verbose=0.0))
    asked = SimulatedModel(file, seed=3)
    texts = [asked.answers(request, asked.identity(request))[0].text for request in (chat(f"c0{i}-0") for i in range(N))]
    assert abs(texts.count("yes") / N - 0.6) <= 4 * sqrt(0.6 * 0.4 / N)


def test_truth_integrates_over_difficulty(model: SimulatedModel) -> None:
    integrate = pytest.importorskip("scipy.integrate")
    from math import exp, log, pi

    for right in (0.02, 0.5, 0.9):
        for sigma in (0.1, 1.5, 3.0):
            logit = log(right / (1 - right))

            def density(u: float, logit: float = logit, sigma: float = sigma) -> float:
                return exp(-u * u / (2 * sigma * sigma)) / (sigma * sqrt(2 * pi)) / (1 + exp(-(logit + u)))

            exact = integrate.quad(density, -12 * sigma, 12 * sigma, epsabs=1e-12, limit=500)[0]
            assert mean_chance(Rates(right=right), sigma) == pytest.approx(exact, abs=1e-7)
    assert mean_chance(Rates(right=0.3), 0.0) == pytest.approx(0.3)


def test_truth_adds_up_and_differs_from_the_first_arm(model: SimulatedModel) -> None:
    found = truth(model.file)
    assert found["first_arm"] == "control"
    for by_question in found["rates"].values():
        for each in by_question.values():
            assert each["exact"] + each["verbose"] + each["wrong"] + each["abstain"] == pytest.approx(1.0)
    difference = found["differences"]["treatment"]["closed"]["right"]
    assert difference == pytest.approx(found["rates"]["treatment"]["closed"]["right"] - found["rates"]["control"]["closed"]["right"])
    assert difference > 0.05


def test_difficulty_is_shared_by_the_arms(model: SimulatedModel) -> None:
    """Right in both arms happens more often than it would for independent answers."""
    pairs = [tuple(kind_of(model, chat(f"c0{i}-0", system)) in ("exact", "verbose") for system in (CONTROL, TREATMENT)) for i in range(N)]
    both = sum(a and b for a, b in pairs) / N
    alone = (sum(a for a, _ in pairs) / N) * (sum(b for _, b in pairs) / N)
    assert both - alone > 0.03


def test_samples_of_an_item_differ_and_nonces_do_not_matter(model: SimulatedModel) -> None:
    texts = {model.answers(r, model.identity(r))[0].text for r in (chat(f"c07-{sample}") for sample in range(40))}
    assert len(texts) > 2
    one, other = chat("c07-3-noncea"), chat("c07-3-nonceb")
    assert model.answers(one, model.identity(one)) == model.answers(other, model.identity(other))


def test_right_answers_match_and_wrong_ones_do_not(model: SimulatedModel) -> None:
    for i in range(600):
        request = chat(f"o0{i}-0")
        answer = model.answers(request, model.identity(request))[0]
        golds = {plain(f"Answer open {i}"), plain(f"the answer-open {i}!")}
        if answer.kind == "exact":
            assert plain(answer.text) in golds
        elif answer.kind == "verbose":
            assert plain(answer.text) not in golds
            assert any(gold in plain(answer.text) for gold in golds)
        elif answer.kind == "wrong":
            assert plain(answer.text) not in golds
            assert answer.text
        else:
            assert answer.text in model.file.abstentions


def test_wrong_answers_from_a_passage_are_spans_of_it(model: SimulatedModel) -> None:
    texts = []
    for i in range(400):
        request = chat(f"o1{i}-0")
        answer = model.answers(request, model.identity(request))[0]
        if answer.kind == "wrong":
            texts.append(answer.text)
    assert len(texts) > 50
    assert all(text in PASSAGE for text in texts)
    assert {"1735", "Ivan Kirilov"} <= set(texts)


def test_arm_follows_the_prompt_that_was_really_sent(model: SimulatedModel) -> None:
    for system, arm in ((CONTROL, "control"), (TREATMENT, "treatment"), (CONTROL + " ", "default")):
        assert model.identity(chat("c01-0", system)).arm == arm
    assert model.identity(chat("c01-0", "other a")).condition != model.identity(chat("c01-0", "other b")).condition


def test_without_a_pattern_the_item_is_the_question(model: SimulatedModel) -> None:
    bare = SimulatedModel(ModelFile(), seed=1)
    who = bare.identity(chat("whatever", user="What?"))
    assert (who.item, who.sample) == (sha256_text("What?"), "whatever")


def test_an_item_is_found_by_its_question(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"item": "q7", "answers": ["Kirilov"], "question": "Who founded Orsk?"}) + "\n")
    found = SimulatedModel(ModelFile(items_file=str(tmp_path / "items.jsonl")), seed=1)
    assert found.identity(chat("x", user=PASSAGE)).item == "q7"
    assert found.identity(chat("x", user="Question: Who founded Orsk?")).item == "q7"


def test_limits_of_the_request_cut_the_answer(model: SimulatedModel) -> None:
    request = chat("c01-0", max_tokens=1)
    answer = model.answers(request, model.identity(request))[0]
    assert (len(answer.text) <= 4, answer.is_truncated, answer.output_tokens) == (True, True, 1)
    whole = model.answers(chat("c01-0"), model.identity(request))[0].text
    stopped = chat("c01-0", stop=[whole[3]])
    assert model.answers(stopped, model.identity(request))[0].text == whole.partition(whole[3])[0]


def test_choices_are_samples_of_their_own(model: SimulatedModel) -> None:
    request = chat("o05-0", n=3)
    answers = model.answers(request, model.identity(request))
    assert len(answers) == 3
    assert answers[0] == model.answers(replace(request, n=1), model.identity(request))[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ('{"sgima": 1}', "sgima"),
        ('{"arms": [{"name": "a", "match": {}}]}', "at least one"),
        ('{"identity_pattern": "("}', "regular expression"),
        ('{"items_file": "none.jsonl"}', "does not exist"),
        ('{"wrappers": ["no place"]}', "answer"),
    ],
)
def test_a_model_file_that_means_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelFileError, match=why):
        load_model(tmp_path / "model.json")


def test_a_bad_line_of_the_answer_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"item": "a"}\n{"item": 3}\n')
    with pytest.raises(ModelFileError, match=r"items.jsonl:2: item"):
        load_items(tmp_path / "items.jsonl")
