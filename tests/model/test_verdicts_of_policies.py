"""Verdicts with an action: each output format, the headers, the judge, the metrics."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import FakeMessage
from policy_sets import policy, raw, rule

from textmod_model.formats import catalog
from textmod_model.formats.encoders import avro, json_schema
from textmod_model.formats.encoders.verdict import verdict_objects
from textmod_model.formats.message import Decoded, Reading, RegistryUnavailable, Verdicts, Writing
from textmod_model.formats.ruled import RulingTails
from textmod_model.formats.verdict_headers import VerdictHeaders
from textmod_model.metrics import Metrics
from textmod_model.policies.evaluate import Evaluator
from textmod_model.policies.solved import parse
from textmod_model.stream.judge import Judge
from textmod_model.stream.letters import DeadLetters
from textmod_model.stream.observer import Observer

ONE = Verdicts(("kept", "removed"), 0.5, "science:1")
TWO = Verdicts(("not to%xic", "to%xic"), 0.5, "100%:1", ("to%xic", "insult"))
POLICIES = parse(raw())


def ruling(score, found=POLICIES, labels=("removed",)):
    [one] = Evaluator(found, labels).rule(np.array([score]))
    return one


def test_a_verdict_says_the_action_and_who_asked_for_it():
    encode = catalog.encoder("Verdict", Writing(ONE))
    value = encode(Decoded(("x",), id="a"), [0.75], "t/0/1", [ruling(0.75)])
    assert json.loads(value) == {
        "id": "a",
        "label": "removed",
        "score": 0.75,
        "flagged": True,
        "threshold": 0.5,
        "model": "science:1",
        "action": "Review",
        "hold": True,
        "policies": [
            {
                "name": "off-topic",
                "action": "Review",
                "label": "removed",
                "score": 0.75,
                "mode": "Enforce",
            }
        ],
        "policyVersion": POLICIES.version,
        "scores": {"removed": 0.75},
    }


def test_a_spent_budget_is_named():
    found = parse(raw(policy(rule("Review", 0.5, budgetPerDay=1))))
    [one] = Evaluator(found, ("removed",)).rule(np.array([0.7]), [0], lambda *_: False)
    [verdict] = verdict_objects(Decoded(("x",)), [0.7], "t/0/1", ONE, rulings=[one])
    assert verdict["action"] == "Allow"
    assert verdict["policies"][0]["overBudget"] == [0]


many = st.lists(st.sampled_from(["to%xic", "insult", None, "absent"]), min_size=0, max_size=3).map(
    lambda labels: parse(
        raw(*[policy(name=f"p{at}", label=label) for at, label in enumerate(labels)])
    )
)


@given(
    st.one_of(st.text(), st.integers(), st.none()),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3),
    many,
    st.booleans(),
    st.lists(st.none() | st.fixed_dictionaries({"total": st.floats(-9, 9)}), max_size=3),
)
def test_the_quick_way_writes_what_the_plain_one_says(name, rows, found, several, some):
    says = TWO if several else ONE
    rulings = Evaluator(found, says.columns).rule(
        np.array(rows) if several else np.array(rows)[:, 0]
    )
    scores = [list(row) if several else row[0] for row in rows]
    encode = catalog.encoder("Verdict", Writing(says))
    decoded = Decoded(("x",) * len(rows), id=name)
    explained = [*some, *[None] * len(rows)][: len(rows)] if some else ()
    plain = verdict_objects(decoded, scores, "t/0/1", says, rulings=rulings, explanations=explained)
    value = json.loads(encode(decoded, scores, "t/0/1", rulings, explained))
    assert value == (plain[0] if len(plain) == 1 else plain)


def test_verdicts_of_other_policies_are_not_mixed_up():
    encode = catalog.encoder("Verdict", Writing(ONE))
    other = parse(raw(policy(name="other")))
    for found in (POLICIES, other, POLICIES):
        verdict = json.loads(encode(Decoded(("x",)), [0.75], "t/0/1", [ruling(0.75, found)]))
        assert verdict["policyVersion"] == found.version
        assert verdict["policies"][0]["name"] == found.policies[0].name


def test_what_was_made_for_earlier_policies_is_forgotten():
    tails = RulingTails(ONE.columns)
    for at in range(20):
        found = parse(raw(policy(name=f"p{at}")))
        for score in (0.1, 0.6, 0.95):
            tails.tail(ruling(score, found), [b"0.5"])
    assert len(tails._tails) == 3


def test_an_explanation_stands_in_its_own_texts_verdict():
    encode = catalog.encoder("Verdict", Writing(ONE))
    rulings = [ruling(0.1), ruling(0.95)]
    explained = {"spans": [], "base": -1.0, "total": 3.0}
    allowed, removed = json.loads(
        encode(Decoded(("x", "y")), [0.1, 0.95], "t/0/1", rulings, [None, explained])
    )
    assert "explanation" not in allowed
    assert removed["explanation"] == explained
    one = json.loads(encode(Decoded(("y",)), [0.95], "t/0/1", rulings[1:], [explained]))
    assert one["explanation"] == explained


def test_seldons_answers_say_it_in_their_tags():
    encode = catalog.encoder("Seldon", Writing(ONE))
    rulings = [ruling(0.1), ruling(0.95), ruling(0.6)]
    one = json.loads(encode(Decoded(("x",)), [0.95], "", rulings[1:2]))
    tags = {"action": "Remove", "hold": False, "policyVersion": POLICIES.version}
    assert one["meta"] == {"tags": tags}
    own = Decoded(("x",), {"tags": {"sent": "along"}, "puid": "p"})
    assert json.loads(encode(own, [0.95], "", rulings[1:2]))["meta"] == {
        "tags": {"sent": "along", **tags},
        "puid": "p",
    }
    several = json.loads(encode(Decoded(("x", "y", "z")), [0.1, 0.95, 0.6], "", rulings))
    assert several["meta"]["tags"] == {
        **tags,
        "actions": ["Allow", "Remove", "Review"],
        "holds": [False, False, True],
    }


class Schemas:
    """Takes the documents that a registry would frame."""

    def __init__(self):
        self.schemas = []

    def read(self, raw, headers):
        raise NotImplementedError

    def writer(self, kind, schema):
        self.schemas.append(json.loads(schema))
        return lambda document: json.dumps(document).encode()


@pytest.mark.parametrize("output", [avro, json_schema])
def test_an_output_with_a_schema_has_the_new_fields_only_with_policies(output):
    schemas = Schemas()
    before = output.FORMAT.encoder(Writing(TWO, schemas))
    value = json.loads(before(Decoded(("x",)), [[0.75, 0.5]], "t/0/1"))
    assert list(value) == ["id", "label", "score", "flagged", "threshold", "model"]
    after = output.FORMAT.encoder(Writing(TWO, schemas, decided=True))
    rulings = [ruling([0.75, 0.5], labels=TWO.names)]
    value = json.loads(after(Decoded(("x",)), [[0.75, 0.5]], "t/0/1", rulings))
    assert (value["action"], value["policyVersion"]) == ("Review", POLICIES.version)
    assert value["scores"] == {"to%xic": 0.75, "insult": 0.5}
    first, second = schemas.schemas
    assert (first != second) == (output is avro)


def test_readers_of_either_avro_schema_read_both():
    import io

    import fastavro

    new = fastavro.parse_schema(json.loads(avro.DECIDED_SCHEMA))
    old = fastavro.parse_schema(json.loads(avro.SCHEMA))
    [full] = verdict_objects(Decoded(("x",)), [0.75], "t/0/1", ONE, rulings=[ruling(0.75)])
    plain = {name: full[name] for name in ("id", "label", "score", "flagged", "threshold", "model")}

    def passed(document, writer, reader):
        file = io.BytesIO()
        fastavro.schemaless_writer(file, writer, document)
        file.seek(0)
        return fastavro.schemaless_reader(file, writer, reader)

    assert passed(full, new, old) == plain
    read = passed(plain, old, new)
    assert (read["action"], read["policies"], read["scores"]) == (None, [], {})
    read = passed(full, new, new)
    assert (read["action"], read["hold"]) == ("Review", True)
    assert read["policies"] == [full["policies"][0] | {"overBudget": []}]


# --- the judge ------------------------------------------------------------------------------------


def judge(policies, score=lambda texts: np.array([len(text) / 100 for text in texts]), **options):
    return Judge(
        decode=catalog.decoder("Auto", Reading(("body",))),
        score=score,
        encode=catalog.encoder("Verdict", Writing(ONE)),
        headers=VerdictHeaders("/textmoderation/group", "1", "sha256:00"),
        letters=DeadLetters("science:1"),
        clock=lambda: 0.0,
        policies=policies,
        **options,
    )


def of_length(*lengths):
    return [FakeMessage(b"x" * length, offset) for offset, length in enumerate(lengths)]


def test_every_text_has_its_action_and_the_event_a_type_of_its_own():
    evaluator = Evaluator(POLICIES, ("removed",))
    batch = judge(lambda: evaluator).judge([*of_length(10, 60), FakeMessage(b"\xff", 2)])
    verdicts = [json.loads(record.value) for record in batch.records[:2]]
    assert [one["action"] for one in verdicts] == ["Allow", "Review"]
    assert dict(batch.records[0].headers)["ce_type"] == b"dev.textmoderation.verdict.v2"
    assert batch.records[2].refused.reason == "NotUtf8"
    several = FakeMessage(json.dumps({"data": {"ndarray": ["x" * 95, "x"]}}).encode())
    [record] = judge(lambda: evaluator).judge([several]).records
    assert [one["action"] for one in json.loads(record.value)] == ["Remove", "Allow"]


def test_without_policies_verdicts_are_as_they_were():
    with_policies = judge(lambda: None).judge(of_length(10, 60)).records
    assert [(r.value, r.headers) for r in with_policies] == [
        (r.value, r.headers)
        for r in Judge(
            decode=catalog.decoder("Auto", Reading(("body",))),
            score=lambda texts: np.array([len(text) / 100 for text in texts]),
            encode=catalog.encoder("Verdict", Writing(ONE)),
            headers=VerdictHeaders("/textmoderation/group", "1", "sha256:00"),
            letters=DeadLetters("science:1"),
            clock=lambda: 0.0,
        )
        .judge(of_length(10, 60))
        .records
    ]
    assert with_policies[0].value == (
        b'{"id":"in/0/0","label":"kept","score":0.1,"flagged":false,"threshold":0.5,'
        b'"model":"science:1"}'
    )
    assert dict(with_policies[0].headers)["ce_type"] == b"dev.textmoderation.verdict.v1"


def test_a_batch_of_dead_letters_alone_is_no_trouble():
    evaluator = Evaluator(POLICIES, ("removed",))
    [letter] = judge(lambda: evaluator).judge([FakeMessage(b"\xff")]).records
    assert letter.refused.reason == "NotUtf8"


def test_one_batch_has_one_version_however_fast_the_policies_change():
    versions = iter([Evaluator(POLICIES, ("removed",))] + [None] * 9)
    batch = judge(lambda: next(versions)).judge(of_length(10, 60, 99))
    assert {json.loads(r.value)["policyVersion"] for r in batch.records} == {POLICIES.version}


class Purse:
    """Budgets that say yes so many times."""

    def __init__(self, left):
        self.left = left
        self.asked = []
        self.undone = 0

    def for_batch(self, policies):
        def take(policy, rule, partition):
            self.asked.append(partition)
            self.left -= 1
            return self.left >= 0

        return take

    def undo(self):
        self.undone += 1


REVIEWS = Evaluator(parse(raw(policy(rule("Review", 0.5, budgetPerDay=9)))), ("removed",))


def test_budgets_are_spent_on_the_partition_of_each_text():
    several = json.dumps({"data": {"ndarray": ["x" * 95, "x", "x" * 95]}}).encode()
    messages = [
        FakeMessage(b"\xff", partition=7),
        FakeMessage(b"x" * 60, partition=1),
        FakeMessage(several, partition=2),
    ]
    purse = Purse(2)
    batch = judge(lambda: REVIEWS, budgets=purse).judge(messages)
    assert purse.asked == [1, 2, 2]
    assert json.loads(batch.records[1].value)["action"] == "Review"
    verdicts = json.loads(batch.records[2].value)
    assert [one["action"] for one in verdicts] == ["Review", "Allow", "Allow"]
    assert [one["policies"][0].get("overBudget") for one in verdicts] == [None, None, [0]]
    metrics = Metrics()
    Observer(metrics).done([batch])
    line = 'textmod_policy_over_budget_total{policy="off-topic"} 1.0'
    assert line in metrics.text().decode()
    assert purse.undone == 0


def test_a_batch_that_could_not_be_answered_has_its_budgets_back():
    def no_registry(*_):
        raise RegistryUnavailable("away")

    purse = Purse(9)
    waiting = judge(lambda: REVIEWS, budgets=purse)
    waiting._encode = no_registry
    with pytest.raises(RegistryUnavailable):
        waiting.judge(of_length(60))
    assert purse.undone == 1


def test_what_was_acknowledged_is_counted_by_policy_and_by_decision():
    watching = policy(rule("Remove", 0.5), name="new", mode="Observe")
    evaluator = Evaluator(parse(raw(policy(), watching)), ("removed",))
    batch = judge(lambda: evaluator).judge([*of_length(10, 60, 99), FakeMessage(b"\xff", 3)])
    metrics = Metrics()
    Observer(metrics).done([batch])
    text = metrics.text().decode()
    for line in (
        'textmod_actions_total{action="Remove",mode="Enforce",policy="off-topic"} 1.0',
        'textmod_actions_total{action="Allow",mode="Enforce",policy="off-topic"} 1.0',
        'textmod_actions_total{action="Remove",mode="Observe",policy="new"} 2.0',
        'textmod_decisions_total{action="Review",hold="true"} 1.0',
        'textmod_decisions_total{action="Remove",hold="false"} 1.0',
    ):
        assert line in text
    assert "textmod_policy_info{" not in text


def test_partitions_that_were_lost_are_not_counted():
    evaluator = Evaluator(POLICIES, ("removed",))
    batch = judge(lambda: evaluator).judge([FakeMessage(b"x"), FakeMessage(b"x", partition=1)])
    batch.lost.add(1)
    metrics = Metrics()
    Observer(metrics).done([batch])
    assert 'textmod_decisions_total{action="Allow",hold="false"} 1.0' in metrics.text().decode()
