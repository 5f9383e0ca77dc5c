"""What a container gets to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from textmod_dev.process_node.atomic_files import replace_files
from textmod_dev.process_node.environment import (
    PodView,
    container_environment,
    expand,
    field_value,
    rewrite_paths,
)
from textmod_dev.process_node.errors import ContainerConfigError, NotYet
from textmod_dev.process_node.quantities import divided, parse
from textmod_dev.process_node.selectors import selector
from textmod_dev.process_node.volumes import mounts, references, write_volumes

SECRETS = {("Secret", "login"): {"user": "anna", "password": "hunter2"}}


def view(**spec):
    pod = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web"}},
        "spec": {"containers": [], **spec},
    }
    return PodView(pod, "127.9.8.7", lambda kind, name: SECRETS.get((kind, name)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("$(A)$(B)", "12"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("100$", "100$"),
    ],
)
def test_expansion(text, expected):
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/etc/kafka", "/pod/k"),
        ("/etc/kafka/ca.crt", "/pod/k/ca.crt"),
        ("file:///etc/kafka/ca.crt", "file:///pod/k/ca.crt"),
        ("--ca=/etc/kafka/ca.crt,/etc/kafka/b", "--ca=/pod/k/ca.crt,/pod/k/b"),
        ("/etc/kafkaesque", "/etc/kafkaesque"),
        ("/opt/etc/kafka", "/opt/etc/kafka"),
        ("/etc/kafka/deep/x", "/pod/d/x"),
    ],
)
def test_mount_paths_become_folders(text, expected):
    places = {"/etc/kafka": Path("/pod/k"), "/etc/kafka/deep": Path("/pod/d")}
    assert rewrite_paths(text, places) == expected


def test_later_variables_see_earlier_ones():
    container = {
        "envFrom": [{"secretRef": {"name": "login"}, "prefix": "DB_"}],
        "env": [{"name": "WHO", "value": "$(DB_user)"}, {"name": "DB_user", "value": "bert"}],
    }
    env = container_environment(view(), container)
    assert env == {"DB_user": "bert", "DB_password": "hunter2", "WHO": "anna"}


@pytest.mark.parametrize(
    "source",
    [
        {"secretKeyRef": {"name": "login", "key": "absent"}},
        {"secretKeyRef": {"name": "absent", "key": "user"}},
        {"configMapKeyRef": {"name": "absent", "key": "user"}},
    ],
)
def test_what_is_missing_is_named_unless_optional(source):
    container = {"env": [{"name": "X", "valueFrom": source}]}
    with pytest.raises(ContainerConfigError, match="absent"):
        container_environment(view(), container)
    next(iter(source.values()))["optional"] = True
    assert container_environment(view(), container) == {}


def test_the_downward_api():
    fields = ("metadata.name", "metadata.labels['app']", "metadata.labels['x']", "status.podIP")
    assert [field_value(f, view()) for f in fields] == ["p", "web", "", "127.9.8.7"]
    with pytest.raises(ContainerConfigError, match=r"spec\.colour"):
        field_value("spec.colour", view())


@pytest.mark.parametrize(
    ("quantity", "divisor", "expected"),
    [("250m", "1", "1"), ("250m", "1m", "250"), ("64Mi", "1Mi", "64"), ("1500m", "1", "2")],
)
def test_resources_are_divided_and_rounded_up(quantity, divisor, expected):
    assert divided(quantity, divisor) == expected


def test_quantities():
    assert parse("1Gi") == 2**30
    assert float(parse("50m")) == 0.05
    assert parse(2) == 2


def test_volumes_hold_what_they_name(tmp_path):
    secret = {"secretName": "login", "items": [{"key": "user", "path": "deep/name"}]}
    label = {"fieldRef": {"fieldPath": "metadata.labels"}, "path": "labels"}
    seen = view(
        volumes=[
            {"name": "all", "secret": {"secretName": "login"}},
            {"name": "some", "secret": secret},
            {"name": "info", "downwardAPI": {"items": [label]}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "both", "projected": {"sources": [{"secret": {"name": "login"}}]}},
            {"name": "host", "hostPath": {"path": "/etc"}},
        ]
    )
    folders = write_volumes(seen, tmp_path)
    assert (folders["all"] / "password").read_text() == "hunter2"
    assert (folders["all"] / "password").stat().st_mode & 0o777 == 0o600
    assert (folders["some"] / "deep/name").read_text() == "anna"
    assert not (folders["some"] / "password").exists()
    assert (folders["info"] / "labels").read_text() == 'app="web"'
    assert (folders["both"] / "user").read_text() == "anna"
    assert folders["host"] == Path("/etc")

    (folders["tmp"] / "kept").touch()
    (folders["all"] / "stale").touch()
    write_volumes(seen, tmp_path)  # as before a restart
    assert (folders["tmp"] / "kept").exists()
    assert not (folders["all"] / "stale").exists()
    names = {path.name for path in folders["all"].iterdir() if path.is_symlink()}
    assert names == {"..data", "password", "user"}
    container = {"volumeMounts": [{"name": "all", "mountPath": "/s", "subPath": "user"}]}
    assert mounts(container, folders)["/s"].read_text() == "anna"


def test_a_volume_changes_all_at_once_and_only_if_something_changed(tmp_path):
    assert replace_files(tmp_path, {"a": b"1", "deep/b": b"2"})
    before = (tmp_path / "..data").resolve()
    assert not replace_files(tmp_path, {"a": b"1", "deep/b": b"2"})
    assert (tmp_path / "..data").resolve() == before
    opened = (tmp_path / "a").open()
    assert replace_files(tmp_path, {"a": b"3", "c": b"4"})
    assert {name: (tmp_path / name).read_bytes() for name in "ac"} == {"a": b"3", "c": b"4"}
    assert not before.exists()
    assert opened.read() == "1"
    opened.close()
    assert not (tmp_path / "deep").is_symlink()
    assert replace_files(tmp_path, {})  # an optional ConfigMap that is gone
    assert [path for path in tmp_path.iterdir() if not path.name.startswith("..")] == []


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"secret": {"secretName": "absent"}}, 'secret "absent" not found'),
        ({"secret": {"secretName": "login", "items": [{"key": "x", "path": "x"}]}}, "no key x"),
        ({"nfs": {"server": "s", "path": "/"}}, "does not support nfs"),
    ],
)
def test_volumes_that_cannot_be_had(tmp_path, volume, message):
    with pytest.raises(NotYet, match=message):
        write_volumes(view(volumes=[{"name": "v", **volume}]), tmp_path)


def test_everything_a_pod_refers_to_is_found():
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "k"}}}]
    pod = {
        "spec": {
            "volumes": [{"name": "v", "secret": {"secretName": "s1"}}],
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "s2"}}]}],
            "containers": [{"name": "c", "env": env}],
        }
    }
    assert references(pod) == {("Secret", "s1"), ("Secret", "s2"), ("ConfigMap", "c1")}


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b,c!=d", {"a": "b", "c": "x"}, True),
        ("a==b,c!=d", {"a": "b", "c": "d"}, False),
        ("c!=d", {}, True),
        ("a in (b, c),x", {"a": "c", "x": "1"}, True),
        ("a in (b, c),x", {"a": "c"}, False),
        ("a notin (b,c)", {"a": "d"}, True),
        ("!a", {"a": "b"}, False),
    ],
)
def test_selectors(text, labels, matches):
    assert selector(text)(labels) is matches
