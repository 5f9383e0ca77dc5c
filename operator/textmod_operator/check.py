"""A dry run: what would be made of a TextModeration in a file, and how that differs from a cluster.

For CI: nothing is written anywhere. Without `--diff` not even a cluster is needed; the rules that
the API server enforces are held against the file here, but for those about a change of the object.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import API_VERSION, KIND, TextModeration
from textmod_operator.controller.gather import connect_to_kafka
from textmod_operator.controller.ownership import first_input
from textmod_operator.controller.review import console_secrets
from textmod_operator.desired import desired
from textmod_operator.errors import NotAccepted
from textmod_operator.kube.cluster import Cluster
from textmod_operator.state import Capabilities, Desired, KafkaConnection, Manifest, Ref

FINE: Final = 0
DIFFERENT: Final = 1
REFUSED: Final = 2

_MERGE: Final = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML, with the numbers of `kubectl` and without two values of one key.

    Of two values PyYAML takes the last, and a rule would have another threshold than the one read.
    """

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = Counter(key.value for key in keys if key.tag != _MERGE)
        for key in reversed(keys):
            if names[key.value] > 1:
                problem = f"the key {key.value} is there twice: keep the right one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return node


_Loader.add_implicit_resolver(  # 5e-1 and 1e3, which are text in YAML 1.1
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read(path: Path) -> list[TextModeration]:
    """The TextModerations of a YAML file; other kinds in it are passed over.

    Raises:
        NotAccepted: one is invalid, or there is none; the message says which, and of what is not
            YAML the line.
        OSError: the file can't be read.
        yaml.YAMLError: it is not text.
    """
    try:
        documents = list(yaml.load_all(path.read_bytes(), _Loader))
    except yaml.MarkedYAMLError as error:
        raise NotAccepted("InvalidSpec", _where(path, error), retry=False) from error
    except RecursionError as error:
        raise NotAccepted("InvalidSpec", f"{path} is nested too deeply", retry=False) from error
    bodies = [body for body in _items(documents) if body.get("kind") == KIND or _ours(body)]
    if not bodies:
        raise NotAccepted("InvalidSpec", f"{path} holds no {KIND}", retry=False)
    return [_parsed(path, body) for body in bodies]


def _where(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f", line {mark.line + 1}" if mark else ""
    return f"{path}{line}: {error.problem or error.context}"


def _items(documents: Iterable[object]) -> Iterator[Manifest]:
    """Yield the objects of documents, and those of Lists, as `kubectl get -o yaml` writes them."""
    for body in documents:
        if not isinstance(body, dict):
            continue
        if body.get("kind") in {"List", f"{KIND}List"} and isinstance(body.get("items"), list):
            yield from (item for item in body["items"] if isinstance(item, dict))
        else:
            yield body


def _ours(body: Manifest) -> bool:
    """Tell whether an object is of this API: one of another kind is misspelled."""
    return str(body.get("apiVersion")).startswith(API_VERSION.partition("/")[0] + "/")


def _parsed(path: Path, body: Manifest) -> TextModeration:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    try:
        return TextModeration.parse({"metadata": {}, **_in_json(body)}, strict=True)
    except NotAccepted as problem:
        raise NotAccepted(
            problem.reason,
            f"{path}, {KIND} {name or 'without a name'}: {problem.message}",
            retry=False,
        ) from problem


def _in_json(body: Manifest) -> Manifest:
    """Return the object in the values of JSON, as `kubectl` sends it: dates and keys are text.

    Raises:
        NotAccepted: it contains itself, or its kind or apiVersion is another one.
    """
    if body.get("kind") != KIND:
        raise NotAccepted(
            "InvalidSpec", f"kind must be {KIND}, not {body.get('kind')}", retry=False
        )
    if body.get("apiVersion") != API_VERSION:
        raise NotAccepted("InvalidSpec", f"apiVersion must be {API_VERSION}", retry=False)

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, str | int | float | None) else str(value)

    try:
        return {key: plain(value) for key, value in body.items()}
    except RecursionError as error:
        raise NotAccepted(
            "InvalidSpec", "a YAML anchor makes it contain itself", retry=False
        ) from error


def wanted(tm: TextModeration, capabilities: Capabilities) -> Desired:
    """What the operator would make. Secrets are not read; but for the pods' revision, no object
    holds anything of them."""
    kafka = tm.spec.kafka
    connection = KafkaConnection(
        bootstrap_servers=kafka.bootstrap_servers,
        sasl_mechanism=kafka.sasl.mechanism if kafka.sasl else None,
        tls=kafka.tls is not None,
    )
    return desired(tm, connection, capabilities)


def wanted_in(tm: TextModeration, capabilities: Capabilities, cluster: Cluster) -> Desired:
    """What the operator would make in a cluster: with its Secrets, and as many replicas as the
    object that is there has by its autoscaler, and with the input topic that it first saw.

    Raises:
        NotAccepted: a Secret that it names is not there, or lacks a key.
        ReviewNotReady: the same of one that its console reads.
        ClusterError: the API server refused.
    """
    live = cluster.get(Ref(API_VERSION, KIND, tm.metadata.namespace, tm.metadata.name))
    if live is not None and "replicas" not in tm.spec.model_fields_set:
        replicas = live["spec"].get("replicas", tm.spec.replicas)
        tm = tm.model_copy(update={"spec": tm.spec.model_copy(update={"replicas": replicas})})
    connection, secrets_digest = connect_to_kafka(tm, cluster)
    return desired(
        tm,
        connection,
        capabilities,
        secrets_digest,
        console_secrets(tm, cluster),
        input_topic_id=first_input(live or {}, tm.input_topic),
    )


def sentence(error: Exception) -> str:
    """What went wrong; of a file, which and why, without the number that Python shows."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


_MAKER: Final = {
    "Managed": "",
    "Existing": " (checked, not made)",
    "Strimzi": " (made by Strimzi from a KafkaTopic)",
}
"""Who makes a topic, by topics.management."""


def rendered(want: Desired) -> str:
    """Topics as comments, objects as YAML that `kubectl` reads."""
    topics = [
        f"# topic {topic.name}: {topic.partitions} partitions"
        + (f", {topic.replication_factor} copies" if topic.replication_factor else "")
        + "".join(f", {key}={value}" for key, value in sorted(topic.config.items()))
        + _MAKER[topic.management]
        for topic in want.topics.values()
    ]
    objects = [_yaml(manifest) for manifest in (*want.objects, *want.console)]
    return "\n".join(topics) + "\n---\n" + "---\n".join(objects)


def differences(want: Desired, cluster: Cluster) -> Iterator[str]:
    """Lines of a unified diff from the cluster to what would be, object by object.

    The API server itself applies each object in a dry run, so that defaults and fields of others
    are no difference. The console's NetworkPolicy is left out: it depends on the operator's flags.

    Raises:
        ClusterError: the API server refused.
    """
    console = (one for one in want.console if one["kind"] != "NetworkPolicy")
    for manifest in (*want.objects, *console):
        ref = Ref.of(manifest)
        live = cluster.get(ref)
        after = cluster.dry_run(manifest)
        before_lines = _yaml(_comparable(live)).splitlines() if live else []
        yield from difflib.unified_diff(
            before_lines,
            _yaml(_comparable(after)).splitlines(),
            f"cluster: {ref}",
            f"file: {ref}",
            lineterm="",
        )


def _comparable(body: Manifest) -> Manifest:
    """An object without what the API server keeps for itself."""
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: body["metadata"][key] for key in kept if key in body["metadata"]}
    if annotations := metadata.pop("annotations", None):
        kept_annotations = {k: v for k, v in annotations.items() if k != naming.LEADER_ANNOTATION}
        metadata |= {"annotations": kept_annotations} if kept_annotations else {}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": metadata,
        "spec": body.get("spec", {}),
    }


def _yaml(body: Manifest) -> str:
    return yaml.safe_dump(body, sort_keys=False, width=100)
