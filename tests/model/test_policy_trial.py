"""What policies would do to labelled texts: the figures, the command, and its report."""

import json
import re

import numpy as np
import pytest
from policy_sets import document, policy, raw, rule

from textmod_model.__main__ import main
from textmod_model.policies.evaluate import decide
from textmod_model.policies.solved import parse
from textmod_model.training import policy_trial
from textmod_model.training.policy_trial import ACTS

SCORES = np.array([[0.95], [0.95], [0.7], [0.6], [0.6], [0.1], [0.1], [0.1]])
HAVING = np.array([1, 0, 1, 1, 0, 1, 0, 0], dtype=bool)


def trial(*policies, labels=("removed",), scores=SCORES, truth=None):
    truth = {"removed": HAVING} if truth is None else truth
    return policy_trial.run(parse(raw(*policies)), labels, scores, truth)


def test_each_rule_has_the_texts_that_it_decides_on():
    [one] = trial(policy(rule(), rule("Review", 0.5, hold=True, budgetPerDay=10))).spoken
    figures = [(r.act, r.share.texts, r.share.precision, r.share.recall) for r in one.rules]
    assert figures == [
        ("Remove", 2, 1 / 2, 1 / 4),
        ("Review, held", 3, 2 / 3, 2 / 4),
        ("Allow", 3, 1 / 3, 1 / 4),
    ]
    assert [r.share.a_day(800) for r in one.rules] == [200, 300, 300]
    assert [r.within(800) for r in one.rules] == [200, 10, 300]
    assert one.rules[1].within(None) is None


def test_what_the_data_does_not_say_is_unknown_and_not_zero():
    [one] = trial(truth={}).spoken
    assert (one.rules[0].share.precision, one.rules[0].share.recall) == (None, None)
    [none] = trial(policy(rule(at_least=0.99))).spoken
    assert (none.rules[0].share.precision, none.rules[0].share.recall) == (None, 0.0)


def test_the_verdict_is_the_strictest_and_policies_that_cannot_speak_are_named():
    found = trial(
        policy(rule("Review", 0.5)),
        policy(rule(at_least=0.9), name="second"),
        policy(rule(at_least=0.0), name="watching", mode="Observe"),
        policy(name="alien", label="threat"),
    )
    assert [found.share(at).texts for at in range(4)] == [3, 3, 0, 2]
    assert [one.name for one in found.silent] == ["alien"]
    assert [one.policy.name for one in found.spoken] == ["off-topic", "second", "watching"]


@pytest.fixture
def files(tmp_path, seed_path, sample_data):
    rows = ["text,label"] + [
        '"{}",{}'.format(text.replace('"', '""'), label)
        for text, label in zip(sample_data.texts[:200], sample_data.labels[:200], strict=True)
    ]
    data = tmp_path / "data.csv"
    data.write_text("\n".join(rows) + "\n", encoding="utf-8")
    policies = tmp_path / "policies.json"
    policies.write_text(
        json.dumps([policy(rule(at_least=0.6), rule("Review", 0.4, budgetPerDay=20))])
    )
    return ["--artifact", str(seed_path), "--data", str(data), "--policies", str(policies)]


def test_the_command_says_what_each_rule_would_do(files, capsys, seed_artifact, sample_data):
    assert main(["policies", *files, "--per-day", "1000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [one] = found["policies"]
    remove, review, allow = one["rules"]
    assert found["texts"] == remove["texts"] + review["texts"] + allow["texts"] == 200
    assert review["perDayWithoutBudget"] == pytest.approx(5 * review["texts"])
    assert review["perDay"] == min(20, 5 * review["texts"])
    from textmod_model.scoring.scorer import Scorer

    policies = parse(raw(policy(rule(at_least=0.6), rule("Review", 0.4))))
    scores = Scorer.from_artifact(seed_artifact).score(sample_data.texts[:200])
    actions = [decide({"removed": score}, policies).action for score in scores]
    assert remove["texts"] == actions.count("Remove")
    assert review["texts"] == actions.count("Review")
    assert main(["policies", *files]) == 0
    out = capsys.readouterr().out
    assert "off-topic" in out
    assert f"Remove {remove['texts']}" in out


def test_the_report_is_whole_and_shows_no_text(files, tmp_path, sample_data):
    report = tmp_path / "report.html"
    assert main(["policies", *files, "--per-day", "1000", "--report", str(report)]) == 0
    html = report.read_text(encoding="utf-8")
    assert html.count("<svg") == 4
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", html), "nothing is loaded"
    shown = " ".join(re.sub(r"<[^>]*>", " ", html).split())
    for text in sample_data.texts[:200]:
        words = text.split()
        if len(words) > 3:
            assert " ".join(words[:4]) not in shown
    assert "Rows to look at" in html
    assert "prefers-color-scheme: dark" in html
    assert "fill: var(--card)" in html, "thresholds stand on the page's own colour"


def test_the_rows_to_look_at_are_those_of_the_file(files, tmp_path):
    data = tmp_path / "data.csv"
    header, *rows = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([header, ",0", "", "NA,1", *rows]) + "\n", encoding="utf-8")
    report = tmp_path / "report.html"
    found = []
    for _ in range(2):
        assert main(["policies", *files, "--report", str(report)]) == 0
        cells = re.findall(r'class="rows">(.*?)</td>', report.read_text(encoding="utf-8"))
        found.append([int(number) for cell in cells for number in re.findall(r"(\d+) <", cell)])
        data.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert found[0] == [number + 2 for number in found[1]]


@pytest.mark.parametrize("label", [0, 1])
def test_texts_of_one_side_are_tried_too(files, tmp_path, capsys, label):
    rows = ["text,label", f"good paper,{label}", f"bad joke,{label}"]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    report = tmp_path / "report.html"
    assert main(["policies", *files, "--json", "--report", str(report)]) == 0
    said = capsys.readouterr()
    assert ("a precision of 100 % says nothing" in said.err) == label
    found = json.loads(said.out)
    shares = [(rule["precision"], rule["recall"]) for rule in found["policies"][0]["rules"]]
    assert {precision for precision, _ in shares} <= {float(label), None}
    assert sum(recall or 0 for _, recall in shares) == label
    assert "svg" in report.read_text()


def test_texts_without_labels_are_counted_and_their_precision_is_unknown(files, tmp_path, capsys):
    rows = ["id,text", "1,good paper", "2,bad joke", "3,bad joke"]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    report = tmp_path / "report.html"
    assert main(["policies", *files, "--json", "--report", str(report)]) == 0
    printed = capsys.readouterr()
    rules = json.loads(printed.out)["policies"][0]["rules"]
    assert sum(rule["texts"] for rule in rules) == 3
    assert {(rule["precision"], rule["recall"]) for rule in rules} == {(None, None)}
    assert "name its column by --label removed" in printed.err
    assert "svg" in report.read_text()
    assert main(["policies", *files, "--label", "spam"]) != 0, "a column that was named"
    assert "no column spam" in capsys.readouterr().err


def test_a_file_without_rows_is_refused(files, tmp_path, capsys):
    (tmp_path / "data.csv").write_text("text,label\n")
    assert main(["policies", *files]) != 0
    assert "has no rows" in capsys.readouterr().err


def test_a_solved_form_is_taken_as_it_stands(files, tmp_path, capsys):
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(document(policy(rule(at_least=0.6)))))
    assert main(["policies", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == document(policy(rule(at_least=0.6)))["version"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("kind: TextModeration", "not JSON"),
        ("kind: TextModeration", "check --artifact --solved"),
        ('[{"name": "a", "rules": [{"action": "Remove", "precision": 0.9}]}]', "operator check"),
        ('[{"name": "a", "name": "b", "rules": []}]', "two values named 'name' in one object."),
        ('[{"name": "a"}]', "policies.0.rules: field required."),
    ],
)
def test_a_fault_is_one_sentence(files, tmp_path, capsys, content, says):
    (tmp_path / "policies.json").write_text(content)
    assert main(["policies", *files]) == 1
    assert says in capsys.readouterr().err
    assert main(["policies", *files[:-1], str(tmp_path / "none.json")]) == 1
    assert "cannot read" in capsys.readouterr().err
    assert main(["policies", *files, "--per-day", "-1"]) == 1


def test_what_makes_the_figures_mean_something_else_is_said(files, tmp_path, capsys):
    found = document(policy(rule(at_least=0.6)), model="sha256:" + "b" * 64)
    (tmp_path / "policies.json").write_text(json.dumps(found))
    assert main(["policies", *files]) == 0
    assert "its thresholds are another model's" in capsys.readouterr().err
    (tmp_path / "policies.json").write_bytes(raw())
    data = tmp_path / "data.csv"
    data.write_text(data.read_text(encoding="utf-8").replace("text,label", "text,rude", 1))
    assert main(["policies", *files, "--label", "rude"]) == 0
    said = capsys.readouterr()
    assert "does not say which texts have the label removed" in said.err
    assert "–" in said.out


def test_texts_that_the_model_was_trained_on_are_no_test(seed_path, tmp_path, capsys, sample_data):
    from textmod_model.training import sample

    data = tmp_path / "sample.csv"
    sample.write_csv(data, len(sample_data), seed=1)
    (tmp_path / "policies.json").write_bytes(raw())
    arguments = ["--artifact", str(seed_path), "--data", str(data)]
    report = tmp_path / "report.html"
    policies = ["--policies", str(tmp_path / "policies.json"), "--report", str(report)]
    assert main(["policies", *arguments, *policies]) == 0
    assert "too good to be true" in capsys.readouterr().err
    assert "too good to be true" in report.read_text(encoding="utf-8")


def test_the_names_of_actions_are_those_of_the_report():
    assert ACTS == ("Allow", "Review", "Review, held", "Remove")
