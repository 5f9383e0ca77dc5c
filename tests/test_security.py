"""What the threat model says of the code and the rights as a whole; see tests/docs/threats.yaml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from textmod_dev import chart

ROOT = Path(__file__).parents[1]
SHIPPED = ("operator/textmod_operator", "model-server/textmod_model", "console/textmod_console")
RULES = sorted(path.name for path in chart.folder().glob("files/*-rules.yaml"))
OPERATOR_RULES = [name for name in RULES if not name.startswith(("user-", "console-rules"))]

RUN_DATA = {
    "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "subprocess",
}  # fmt: skip
"""Modules that run what they read, or a command."""
BETWEEN_OUR_PROCESSES = {
    # Over a socket pair with the process that it has started itself.
    ("marshal", "model-server/textmod_model/serving/scorer_process.py"),
    # This interpreter with a module of ours, and no word from outside among its arguments.
    ("subprocess", "model-server/textmod_model/stream/group_lookup.py"),
}


def calls() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every call of the shipped code: where, what is called, and its constant keywords."""
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                constant = {
                    one.arg: one.value.value
                    for one in node.keywords
                    if one.arg and isinstance(one.value, ast.Constant)
                }
                yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), constant


def sources() -> list[Path]:
    found = [file for folder in SHIPPED for file in (ROOT / folder).rglob("*.py")]
    assert len(found) > 100
    return found


def test_shipped_code_has_no_way_to_run_data() -> None:
    imported = {
        (name.partition(".")[0], str(file.relative_to(ROOT)))
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    found = {one for one in imported if one[0] in RUN_DATA}
    assert found == BETWEEN_OUR_PROCESSES
    forbidden = re.compile(
        r"^(eval|exec|compile|__import__|os\.(system|popen|exec\w*|spawn\w*)|yaml\.(unsafe_)?load"
        r"|yaml\.full_load|.*\.extractall|.*\.unpack_archive|.*\.(autocommit_)?executescript)$"
    )
    assert [(at, name) for at, name, _ in calls() if forbidden.match(name)] == []
    assert [at for at, _, words in calls() if words.get("allow_pickle")] == []
    assert [at for at, name, _ in calls() if name in {"np.load", "numpy.load"}] == [
        at
        for at, name, words in calls()
        if name in {"np.load", "numpy.load"} and words.get("allow_pickle") is False
    ]


def test_shipped_code_verifies_every_certificate() -> None:
    assert [at for at, _, words in calls() if words.get("verify", True) is not True] == []
    switches = re.compile(
        r"CERT_NONE|_create_unverified_context|check_hostname\s*=\s*False|verify_ssl\s*=\s*False"
        r"|enable\.ssl\.certificate\.verification|endpoint\.identification\.algorithm\W+none"
        r"|insecureSkipTLSVerify\W+true|sslmode\W+(disable|allow|prefer)"
    )
    found = [str(file.relative_to(ROOT)) for file in sources() if switches.search(file.read_text())]
    templates = [file for file in chart.folder().rglob("*.yaml") if file.is_file()]
    assert found + [str(one) for one in templates if switches.search(one.read_text())] == []


@pytest.mark.parametrize("name", ["model", "operator", "console"])
def test_images_install_only_hashed_requirements(name: str) -> None:
    text = (ROOT / f"Dockerfile.{name}").read_text().replace("\\\n", " ")
    commands = re.findall(r"pip install[^&|;\n]*", text)
    assert commands
    for command in commands:
        own = "--no-deps" in command  # the wheel that the image's earlier stage has built
        assert "--require-hashes" in command or own, command


def test_secrets_are_read_by_name_and_never_listed() -> None:
    for file in OPERATOR_RULES:
        for rule in chart.rules(file):
            if "secrets" in rule.get("resources", []):
                assert set(rule["verbs"]) <= {"get", "create"} or rule.get("resourceNames"), file
                assert set(rule["verbs"]) <= {"get", "create", "patch"}, file


def test_kafka_objects_of_strimzi_are_read_by_name_and_nothing_else() -> None:
    found = {
        (file, *rule["verbs"])
        for file in RULES
        for rule in chart.rules(file)
        if "kafkas" in rule["resources"]
    }
    assert found == {("strimzi-rules.yaml", "get")}


def test_the_operator_cannot_give_itself_rights() -> None:
    for file in OPERATOR_RULES:
        for rule in chart.rules(file):
            said = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not said & {"*", "escalate", "impersonate", "nodes", "pods/exec"}, file
            assert not said & {"pods/attach", "pods/ephemeralcontainers", "serviceaccounts/token"}
            assert not any("webhookconfiguration" in one for one in said), file
            if "customresourcedefinitions" in said:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}
            if "rbac.authorization.k8s.io" in said:
                assert rule["resourceNames"] == ["textmoderation-console"], file
                assert set(rule["verbs"]) <= {"get", "list", "watch", "patch", "bind"}, file


def test_the_console_may_ask_about_rights_and_nothing_else() -> None:
    may = {
        (resource, verb)
        for rule in chart.rules("console-rules.yaml")
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert may == {("tokenreviews", "create"), ("subjectaccessreviews", "create")}


def test_no_reference_of_an_object_names_a_namespace() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "textmoderations.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found = set(_named("namespace", schema["properties"]["spec"], ""))
    # Strimzi's topics: the chart's strimzi.namespaces says where the operator may write them.
    assert found == {".topics.strimzi.namespace"}


def _named(name: str, schema: object, path: str) -> Iterator[str]:
    """Yield the paths of properties of a name."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.get("properties", {}).items():
        if key.lower() == name:
            yield f"{path}.{key}"
        # Affinity is Kubernetes' own and refers to namespaces of pods, not to content.
        if key != "affinity":
            yield from _named(name, value, f"{path}.{key}")
    yield from _named(name, schema.get("items"), f"{path}[]")
