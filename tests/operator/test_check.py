from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from objects import body

from textmod_operator import check
from textmod_operator.__main__ import main


def written(tmp_path: Path, *documents: object) -> str:
    path = tmp_path / "moderation.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_what_would_be_made_is_yaml_that_kubectl_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "reddit"}}
    assert main(["check", written(tmp_path, other, body())]) == 0
    out = capsys.readouterr().out
    kinds = [document["kind"] for document in yaml.safe_load_all(out) if document]
    assert kinds == ["SeldonDeployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"]
    assert "# topic science-input: 12 partitions" in out


def test_the_review_console_is_shown_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", written(tmp_path, body({"review": {}})), "--console-image=c:7"]) == 0
    out = capsys.readouterr().out
    kinds = [document["kind"] for document in yaml.safe_load_all(out) if document]
    assert kinds[3:] == ["ServiceAccount", "Service", "NetworkPolicy", "StatefulSet"]
    assert "image: c:7" in out


def test_an_invalid_object_is_refused_with_its_name_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = body({"autoscaling": {"minReplicas": 13}})
    assert main(["check", written(tmp_path, bad)]) == 2
    said = capsys.readouterr().err
    assert "TextModeration science" in said
    assert "minReplicas must be at most topics.input.partitions" in said


@pytest.mark.parametrize("text", ["kind: Service\n", "", "a: [", "- 1\n"])
def test_a_file_without_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith("textmod-operator: ")


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "no/such/file.yaml"]) == 2
    said = capsys.readouterr().err
    assert said == "textmod-operator: no/such/file.yaml: No such file or directory\n"


# --- as strict as the API server ------------------------------------------------------------------

TYPES = [
    ({"topics": {"input": {"partitions": "12"}}}, "topics.input.partitions"),
    ({"topics": {"input": {"partitions": True}}}, "topics.input.partitions"),
    ({"topics": {"input": {"partitions": 12.5}}}, "topics.input.partitions"),
    ({"model": {"threshold": "0.5"}}, "model.threshold"),
    ({"model": {"threshold": float("nan")}}, "model.threshold"),
    ({"serving": {"batch": {"maxMessages": "1"}}}, "serving.batch.maxMessages"),
    ({"review": {"sample": "0.1"}}, "review.sample"),
    ({"model": {"env": [{"name": "A", "value": 1}]}}, "model.env.0.value"),
]


@pytest.mark.parametrize(("spec", "where"), TYPES)
def test_a_value_of_another_type_is_refused_as_the_api_server_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: dict[str, object], where: str
) -> None:
    assert main(["check", written(tmp_path, body(spec))]) == 2
    said = capsys.readouterr().err
    assert f"spec.{where}: " in said
    assert len(said.splitlines()) == 1


def test_a_whole_number_may_have_a_point(tmp_path: Path) -> None:
    spec = {"topics": {"input": {"partitions": 12.0}}, "model": {"threshold": 1}}
    assert main(["check", written(tmp_path, body(spec))]) == 0


@pytest.mark.parametrize(
    "version", ["textmoderation.dev/v1", "textmoderation.dev", "v1alpha1", "v1", 1, None]
)
def test_another_api_version_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: object
) -> None:
    other = body() | {"apiVersion": version}
    assert main(["check", written(tmp_path, other)]) == 2
    said = capsys.readouterr().err
    assert "apiVersion must be textmoderation.dev/v1alpha1" in said
    assert "TextModeration science" in said


@pytest.mark.parametrize(
    "text",
    [
        "metadata: x\nspec: {}",
        "metadata: [x]\nspec: {}",
        "metadata: {name: a}\nspec: x",
        "metadata: {name: a}\nspec: [x]",
        "metadata: {name: a}\nspec: &a {kafka: *a}",
        "metadata: {name: a}\nspec: {2026-11-28: 1}",
        "metadata: {name: a}\nspec: {? [1, 2] : 1}",
        "metadata: {name: a}\nspec: {kafka: !!set {a, b}}",
        "metadata: {name: a}\nspec: {kafka: {bootstrapServers: !!binary aGk=}}",
        "metadata: {name: a}\nspec: {kafka: {bootstrapServers: 2026-11-28}}",
    ],
)
def test_what_is_odd_in_yaml_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(f"apiVersion: textmoderation.dev/v1alpha1\nkind: TextModeration\n{text}\n")
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith("textmod-operator: ")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        pytest.param("{atLeast: 0.9, atLeast: 0.1}", "key atLeast is there twice", id="rule"),
        pytest.param(
            "{atLeast: 0.9}\n  policies: []", "key policies is there twice", id="policies"
        ),
        pytest.param("{atLeast: 0.9}\nmetadata: {}", "key metadata is there twice", id="metadata"),
        pytest.param("{atLeast: 0.9, 'atLeast': 0.9}", "key atLeast is there twice", id="quoted"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, says: str
) -> None:
    assert main(["check", with_rule(tmp_path, rule)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert re.match(r"textmod-operator: \S+rule.yaml, line \d+: ", said)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("number", ["5e-1", "5E-1", "50e-2", ".5e0", "5.0e-1", "0.5"])
def test_a_number_is_what_kubectl_takes_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    path = with_rule(tmp_path, f"{{action: Remove, atLeast: {number}}}")
    assert main(["check", path]) == 0, capsys.readouterr().err
    (moderation,) = check.read(Path(path))
    assert moderation.spec.policies[0].policy_rules[0].at_least == 0.5


def test_a_merged_key_may_be_overridden(tmp_path: Path) -> None:
    rules = "&r {action: Remove, atLeast: 0.9}\n        - {<<: *r, action: Review, atLeast: 0.5}"
    (moderation,) = check.read(Path(with_rule(tmp_path, rules)))
    assert [rule.at_least for rule in moderation.spec.policies[0].policy_rules] == [0.9, 0.5]


def test_a_misspelled_kind_is_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", written(tmp_path, body(), body() | {"kind": "Textmoderation"})]) == 2
    assert "kind must be TextModeration, not Textmoderation" in capsys.readouterr().err


def with_rule(tmp_path: Path, rule: str) -> str:
    """Write an object with a policy of a rule, as its text."""
    path = tmp_path / "rule.yaml"
    path.write_text(
        yaml.safe_dump(body()) + f"  policies:\n    - name: a\n      rules:\n        - {rule}\n"
    )
    return str(path)


# --- policies -------------------------------------------------------------------------------------

REMOVE = {"action": "Remove", "precision": 0.75}
REVIEW = {"action": "Review", "hold": True, "budgetPerDay": 200}


def with_policies(*rules: dict[str, object]) -> dict[str, object]:
    return body({"policies": [{"name": "off-topic", "rules": list(rules)}]})


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder with a manifest of one label with rising scores."""
    label = {"name": "removed", "threshold": 0.5, "metrics": {}, "without": [50] * 200}
    manifest = {
        "digest": "sha256:" + "a" * 64,
        "labels": ["kept", "removed"],
        "attributes": [label | {"having": list(range(200))}],
    }
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("name", ["", "manifest.json"])
def test_policies_are_solved_from_an_artifact(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file, solved = written(tmp_path, with_policies(REMOVE, REVIEW)), tmp_path / "solved.json"
    path = str(artifact / name)
    flags = ["--artifact", path, "--rate", "2/s", "--solved", str(solved)]
    assert main(["check", file, *flags]) == 0
    out = capsys.readouterr().out
    document = json.loads(solved.read_text())
    assert f"science: version {document['version']}, at 172,800 texts a day" in out
    (policy,) = document["policies"]
    remove, review = policy["rules"]
    (line,) = (line for line in out.splitlines() if "Remove" in line)
    assert line.split()[:6] == [
        *("off-topic", "(removed)", "Remove", "precision", "0.75"),
        f"{remove['atLeast']:g}",
    ]
    assert 0 < review["atLeast"] < remove["atLeast"]
    lines = [line for line in out.splitlines() if "Review, held" in line]
    assert [line.split()[-1] for line in lines] == ["200"]
    (otherwise,) = (line.split() for line in out.splitlines() if "otherwise" in line)
    assert otherwise[0] == "Allow"
    rows = [line.split() for line in out.splitlines() if "Remove" in line or "Review" in line]
    daily = [int(row[-1].replace(",", "")) for row in (*rows, otherwise)]
    assert sum(daily) == pytest.approx(172_800, abs=2), "every text is decided by one row"
    shares = [float(row[-2].rstrip("%")) for row in (*rows, otherwise)]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_without_a_rate_a_budget_is_not_solved(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, with_policies(REVIEW))
    assert main(["check", file, "--artifact", str(artifact)]) == 0
    out = capsys.readouterr().out
    assert "RateUnknown: policy off-topic, rule 1" in out
    assert "at an unknown rate: give it by --rate, such as 100000/d" in out
    (otherwise,) = (line.split() for line in out.splitlines() if "otherwise" in line)
    assert otherwise == ["Allow", "otherwise", "100.0%", "?"]


def test_a_rule_that_an_earlier_one_leaves_nothing_is_named(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = {"action": "Review", "atLeast": 0.3}
    file = written(tmp_path, with_policies(wide, {"action": "Remove", "atLeast": 0.9}, REVIEW))
    assert main(["check", file, "--artifact", str(artifact), "--rate", "2/s"]) == 0
    out = capsys.readouterr().out
    said = [line for line in out.splitlines() if "decides nothing" in line]
    assert said == [
        "policy off-topic, rule 2 decides nothing: rule 1 applies to all of its texts, from 0.3 on"
    ]
    first, last = REVIEW, {"action": "Remove", "atLeast": 0.9}
    file = written(tmp_path, with_policies(first, last))  # the budget's rest is the second's
    assert main(["check", file, "--artifact", str(artifact), "--rate", "2/s"]) == 0
    assert "decides nothing" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--rate", "2"], "--rate and --solved need --artifact"),
        (["--artifact", "MODEL", "--rate", "2"], "as 12/s"),
        (["--artifact", "MODEL", "--rate", "0/s"], "is not a rate"),
        (["--artifact", "MODEL", "--rate", "9" * 400 + "/d"], "is not a rate"),
        (["--artifact", "no/such/folder"], "no/such/folder: No such file"),
        (["--artifact", "MODEL", "--solved", "no/such/x.json"], "no/such/x.json: No such file"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    tmp_path: Path,
    artifact: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    says: str,
) -> None:
    flags = [str(artifact) if flag == "MODEL" else flag for flag in flags]
    assert main(["check", written(tmp_path, with_policies(REVIEW)), *flags]) == 2
    assert says in capsys.readouterr().err


def test_an_artifact_that_is_none_is_refused(
    tmp_path: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, with_policies(REVIEW))
    for text in ("{", "[]", '{"digest": "sha256:1"}'):
        (artifact / "manifest.json").write_text(text)
        assert main(["check", file, "--artifact", str(artifact)]) == 2
        assert "is not the manifest of a model" in capsys.readouterr().err
    assert main(["check", written(tmp_path, body()), "--artifact", str(artifact)]) == 2
    assert "holds no policies" in capsys.readouterr().err


def test_the_list_that_kubectl_writes_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"kind": "Service"}, None, body()]
    for kind in ("List", "TextModerationList"):
        assert main(["check", written(tmp_path, {"kind": kind, "items": items})]) == 0
        assert "kind: SeldonDeployment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"a: b\n\tc: d\n", "odd.yaml, line 2: found character '\\t'", id="tab"),
        pytest.param(b"a: {{ .Values.b }}\n", "odd.yaml, line 1: found unhashable key", id="Helm"),
        pytest.param(b"a: [1\n", "odd.yaml, line 2: expected ',' or ']'", id="open"),
        pytest.param(b"kind: \xe9\n", "unacceptable character", id="Latin-1"),
        pytest.param(b"[" * 5_000, "nested too deeply", id="deep"),
    ],
)
def test_a_file_that_is_damaged_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, says: str
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(data)
    assert main(["check", str(path)]) == 2
    assert says in capsys.readouterr().err.lower()


def test_a_file_in_utf16_is_yaml_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(yaml.safe_dump(body()).encode("utf-16"))
    assert main(["check", str(path)]) == 0
    assert "kind: SeldonDeployment" in capsys.readouterr().out


DEAD = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "a", "user": {"token": "t"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}
"""A kubeconfig of an API server that does not run."""


@pytest.mark.parametrize("variable", ["KUBECONFIG", "HOME"])
def test_the_cluster_is_the_one_that_kubectl_takes(
    variable: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("KUBECONFIG", "TEXTMOD_OPERATOR_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / ".kube" / "config"
    config.parent.mkdir()
    config.write_text(yaml.safe_dump(DEAD))
    monkeypatch.setenv(variable, str(config if variable == "KUBECONFIG" else tmp_path))
    assert main(["check", written(tmp_path, body()), "--diff"]) == 2
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--kubeconfig=no/such/config"]])
def test_without_a_cluster_a_difference_is_refused_with_a_sentence(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("KUBECONFIG", "TEXTMOD_OPERATOR_KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["check", written(tmp_path, body()), "--diff", *flags]) == 2
    assert "--kubeconfig" in capsys.readouterr().err


def test_doctor_says_that_there_is_no_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TEXTMOD_OPERATOR_KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert main(["doctor"]) == 1
    assert "--kubeconfig" in capsys.readouterr().err
