"""An API server in memory, behind the operator's own door (`textmod_operator.kube.client.Api`).

It answers as the real one does where the operator depends on it: resourceVersions that only grow,
uids, conflicts, preconditions, field managers, 410 Gone for old versions, watch ERROR events.
`tests/integration/test_api_server.py` holds the same table of requests against Kubernetes itself.
Nothing here runs by itself: no threads, no clocks.

Faults are scripted: `fail` makes requests fail before or after they take effect, `before` runs code
(of a rival, say) right before a request takes effect, `compact` forgets the watch history.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from merging import copied, merge_patched

from textmod_operator.errors import ClusterError

Json = dict[str, Any]
Query = list[tuple[str, str]]

_OBJECT = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
    r"(?:/(?P<subresource>status|scale))?$"
)


@dataclass
class Fault:
    """What happens to requests whose method and path match, `times` times."""

    method: str
    path: str
    status: int
    message: str
    times: int
    takes_effect: bool
    """The request is carried out, and only its answer is lost."""


@dataclass(frozen=True)
class Sent:
    """One request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    body: Json | None
    status: int


class FakeApiServer:
    """See the module."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.unknown: set[str] = set()
        """Plurals that the cluster does not have."""
        self.documents: dict[str, Json] = {}
        """Answers to GETs of anything else, by path."""
        self._objects: dict[tuple[str, str, str], Json] = {}
        self._owners: dict[tuple[str, str, str], dict[tuple[str, ...], set[str]]] = {}
        self._history: list[tuple[int, str, str, Json]] = []
        self._version = 100
        self._uids = 0
        self._compacted = 0
        self._faults: list[Fault] = []
        self._hooks: list[tuple[str, str, Callable[[], None]]] = []
        self._streams: list[tuple[str, list[Json | ClusterError]]] = []

    # --- what a test scripts ----------------------------------------------------------------------

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        message: str = "scripted",
        *,
        times: int = 1,
        takes_effect: bool = False,
    ) -> None:
        """Fail requests of a method whose path matches a pattern; status 0: no answer in time."""
        self._faults.append(Fault(method, path, status, message, times, takes_effect))

    def before(self, method: str, path: str, act: Callable[[], None]) -> None:
        """Run `act` once, right before the next matching request takes effect."""
        self._hooks.append((method, path, act))

    def stream(self, path: str, *events: Json | ClusterError) -> None:
        """Script what the next watch of a path yields; a ClusterError breaks it."""
        self._streams.append((path, list(events)))

    def compact(self) -> None:
        """Forget the watch history: older versions are Gone."""
        self._compacted = self._version
        self._history.clear()

    def put(self, path: str, body: Json, manager: str = "somebody") -> Json:
        """Create or replace an object as another client."""
        key = self._key(path)
        kept = self._objects.get(key)
        body = copied(body)
        metadata = body.setdefault("metadata", {})
        if kept is None:
            self._stamp_new(metadata, path)
        else:
            metadata["uid"] = kept["metadata"]["uid"]
            metadata.setdefault("generation", kept["metadata"].get("generation", 1))
        owners = self._owners.setdefault(key, {})
        for leaf in _leaves(_owned_part(body)):
            before = _at(kept or {}, leaf)
            if before != _at(body, leaf):
                owners[leaf] = {manager}
        return self._store(key, body, "ADDED" if kept is None else "MODIFIED")

    def edit(self, path: str, change: Json, manager: str = "somebody") -> Json:
        """Merge into an object as another client."""
        return self.put(path, merge_patched(self._objects[self._key(path)], change), manager)

    def remove(self, path: str) -> None:
        """Delete an object as another client."""
        self._delete(self._key(path))

    def read(self, path: str) -> Json | None:
        """An object as it is now, without a request."""
        body = self._objects.get(self._key(path))
        return None if body is None else copied(body)

    def everything(self) -> dict[str, Json]:
        """Every object as it is now, by resource, namespace and name, without a request."""
        return {"/".join(key): copied(body) for key, body in self._objects.items()}

    def writes(self) -> list[Sent]:
        """The requests that changed something, or tried to."""
        return [sent for sent in self.sent if sent.method not in ("GET", "WATCH")]

    # --- the door ---------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        body: Json | None = None,
        query: Query | None = None,
        content_type: str = "application/json",
        absent_is_none: bool = False,
        timeout: float | tuple[float, float] = 15.0,
    ) -> Json | None:
        """See `textmod_operator.kube.client.Api`."""
        del kind, timeout
        asked = dict(query or [])
        body = json.loads(json.dumps(body)) if body is not None else None
        fault = self._fault(method, path)
        status = 200
        try:
            self._run_hooks(method, path)
            _strike(fault, effective=False)
            answer = self._answer(method, path, copied(body), asked, content_type)
            _strike(fault, effective=True)
        except ClusterError as error:
            status = error.status
            if error.status == 404 and absent_is_none:
                return None
            raise
        finally:
            self.sent.append(Sent(method, path, asked, body, status))
        return copied(answer)

    def watch(self, path: str, query: Query, *, seconds: float, silence: float) -> Iterator[Json]:
        """See `textmod_operator.kube.client.Api`: the events so far, then the server's time-out."""
        del seconds, silence
        asked = dict(query)
        fault = self._fault("WATCH", path)
        self.sent.append(Sent("WATCH", path, asked, None, fault.status if fault else 200))
        _strike(fault, effective=False)
        scripted = self._scripted(path)
        for event in self._events(path, asked) if scripted is None else scripted:
            if isinstance(event, ClusterError):
                raise event
            yield copied(event)

    # --- inside -----------------------------------------------------------------------------------

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    def _scripted(self, path: str) -> list[Json | ClusterError] | None:
        for number, (scripted, events) in enumerate(self._streams):
            if scripted == path:
                del self._streams[number]
                return events
        return None

    def _events(self, path: str, asked: dict[str, str]) -> Iterator[Json]:
        since = int(asked["resourceVersion"])
        if since < self._compacted:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            yield {"type": "ERROR", "object": gone}
            return
        scope, plural = self._scope(path)
        for version, kind, where, body in list(self._history):
            if version <= since or not _in_scope(body, where, scope, plural):
                continue
            if _selected(body, asked):
                yield {"type": kind, "object": body}
        if asked.get("allowWatchBookmarks") == "true":
            yield {
                "type": "BOOKMARK",
                "object": {"metadata": {"resourceVersion": str(self._version)}},
            }

    def _run_hooks(self, method: str, path: str) -> None:
        for number, (on, pattern, act) in enumerate(self._hooks):
            if on == method and re.search(pattern, path):
                del self._hooks[number]
                act()
                return

    def _answer(
        self, method: str, path: str, body: Json | None, query: Json, content_type: str
    ) -> Json:
        if method == "GET" and path in self.documents:
            return self.documents[path]
        match = _OBJECT.match(path)
        if match is None or match["plural"] in self.unknown:
            raise ClusterError(404, "the server could not find the requested resource")
        if match["name"] is None:
            return (
                self._list(path, query)
                if method == "GET"
                else self._create(path, body or {}, query)
            )
        if method == "PATCH":
            patch = self._apply if "apply" in content_type else self._merge
            return patch(path, body or {}, query)
        if method == "GET":
            return self._existing(path)
        change = {"DELETE": self._conditional_delete, "PUT": self._replace}[method]
        return change(path, body or {})

    def _list(self, path: str, query: Json) -> Json:
        scope, plural = self._scope(path)
        items = [
            {k: v for k, v in body.items() if k not in ("kind", "apiVersion")}
            for (where, _, _), body in self._objects.items()
            if _in_scope(body, where, scope, plural) and _selected(body, query)
        ]
        match = _OBJECT.match(path)
        assert match is not None
        group = f"{match['group']}/{match['version']}" if match["group"] else match["version"]
        version = {"resourceVersion": str(self._version)}
        return {"kind": "List", "apiVersion": group, "metadata": version, "items": items}

    def _create(self, path: str, body: Json, query: Json) -> Json:
        name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{self._uids}"
        body["metadata"]["name"] = name
        key = self._key(f"{path}/{name}")
        if key in self._objects:
            raise ClusterError(409, f'{key[0]} "{name}" already exists')
        if query.get("dryRun"):
            return body
        self._stamp_new(body["metadata"], f"{path}/{name}")
        return self._store(key, body, "ADDED")

    def _existing(self, path: str) -> Json:
        try:
            return self._objects[self._key(path)]
        except KeyError:
            name = path.rpartition("/")[2]
            raise ClusterError(404, f'"{name}" not found') from None

    def _conditional_delete(self, path: str, options: Json) -> Json:
        body = self._existing(path)
        conditions = options.get("preconditions") or {}
        for field, wanted in conditions.items():
            if body["metadata"][field] != wanted:
                raise ClusterError(
                    409, f"the {field} in the precondition ({wanted}) does not match the record"
                )
        return self._delete(self._key(path))

    def _delete(self, key: tuple[str, str, str]) -> Json:
        body = self._objects[key]
        metadata = body["metadata"]
        if metadata.get("finalizers"):
            if "deletionTimestamp" in metadata:
                return body
            metadata = {**metadata, "deletionTimestamp": "2026-01-01T00:00:00Z"}
            return self._store(key, {**body, "metadata": metadata}, "MODIFIED")
        del self._objects[key]
        self._owners.pop(key, None)
        self._version += 1
        metadata = {**metadata, "resourceVersion": str(self._version)}
        body = {**body, "metadata": metadata}
        self._history.append((self._version, "DELETED", key[0], body))
        return body

    def _replace(self, path: str, body: Json) -> Json:
        kept = self._existing(path)
        self._check_version(kept, body)
        body["metadata"]["uid"] = kept["metadata"]["uid"]
        return self._store(self._key(path), body, "MODIFIED")

    def _merge(self, path: str, body: Json, query: Json) -> Json:
        path, subresource = _without_subresource(path)
        kept = self._existing(path)
        self._check_version(kept, body)
        wanted = (body.get("metadata") or {}).get("uid")
        if wanted not in (None, kept["metadata"]["uid"]) and not subresource:
            raise ClusterError(422, "metadata.uid: field is immutable")
        if subresource == "status":
            body = {"status": body.get("status")}
        if subresource == "scale":
            body = {"spec": {"replicas": body["spec"]["replicas"]}}
        body = copied(body)
        for field in ("resourceVersion", "uid"):
            (body.get("metadata") or {}).pop(field, None)
        key = self._key(path)
        merged = merge_patched(kept, body)
        if merged == kept:
            return kept
        manager = query.get("fieldManager", "unknown")
        for leaf in _leaves(_owned_part(merged)):
            if _at(kept, leaf) != _at(merged, leaf):
                self._owners.setdefault(key, {})[leaf] = {manager}
        return self._store(key, merged, "MODIFIED")

    def _apply(self, path: str, body: Json, query: Json) -> Json:
        key, manager = self._key(path), query["fieldManager"]
        kept = self._objects.get(key)
        metadata = body.setdefault("metadata", {})
        if kept is not None:
            self._check_version(kept, body)
        uid = metadata.get("uid")
        if uid and kept is None:
            raise ClusterError(409, "uid mismatch: no existing object was found")
        if uid and kept is not None and uid != kept["metadata"]["uid"]:
            raise ClusterError(422, "metadata.uid: field is immutable")
        for field in ("resourceVersion", "uid"):
            metadata.pop(field, None)
        result, owners = self._owned_after(key, body, manager, force=query.get("force") == "true")
        if query.get("dryRun"):
            return result
        self._owners[key] = owners
        if result == kept:
            return kept
        if kept is None:
            self._stamp_new(result["metadata"], path)
        return self._store(key, result, "ADDED" if kept is None else "MODIFIED")

    def _owned_after(
        self, key: tuple[str, str, str], body: Json, manager: str, *, force: bool
    ) -> tuple[Json, dict[tuple[str, ...], set[str]]]:
        """The object after an apply, and the managers of each of its fields."""
        kept = self._objects.get(key, {})
        owners = {leaf: set(by) for leaf, by in self._owners.get(key, {}).items()}
        wanted = set(_leaves(_owned_part(body)))
        for leaf in wanted:
            others = owners.get(leaf, set()) - {manager}
            if others and _at(kept, leaf) != _at(body, leaf):
                if not force:
                    raise ClusterError(409, f"Apply failed with 1 conflict with {others}")
                owners[leaf] = set()
        result = merge_patched(kept, body)
        for leaf in [leaf for leaf in owners if leaf not in wanted]:
            owners[leaf].discard(manager)
            if not owners[leaf]:
                del owners[leaf]
                result = _without(result, leaf)
        for leaf in wanted:
            owners.setdefault(leaf, set()).add(manager)
        return result, owners

    def _check_version(self, kept: Json, body: Json) -> None:
        wanted = (body.get("metadata") or {}).get("resourceVersion")
        if wanted not in (None, "", kept["metadata"]["resourceVersion"]):
            raise ClusterError(
                409,
                "Operation cannot be fulfilled: the object has been modified; please apply your "
                "changes to the latest version and try again",
            )

    def _stamp_new(self, metadata: Json, path: str) -> None:
        match = _OBJECT.match(path)
        assert match is not None
        self._uids += 1
        metadata.update(uid=f"uid-of-server-{self._uids}", generation=1)
        metadata.setdefault("name", match["name"])
        if match["namespace"]:
            metadata.setdefault("namespace", match["namespace"])

    def _store(self, key: tuple[str, str, str], body: Json, event: str) -> Json:
        self._version += 1
        body = copied(body)
        before = self._objects.get(key)
        body["metadata"]["resourceVersion"] = str(self._version)
        if before is not None and before.get("spec") != body.get("spec"):
            body["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
        self._objects[key] = body
        self._history.append((self._version, event, key[0], body))
        if "deletionTimestamp" in body["metadata"] and not body["metadata"].get("finalizers"):
            return self._delete(key)
        return body

    def _key(self, path: str) -> tuple[str, str, str]:
        match = _OBJECT.match(path)
        assert match is not None, path
        assert match["name"], path
        group = match["group"] or ""
        return f"{group}/{match['plural']}", match["namespace"] or "", match["name"]

    def _scope(self, path: str) -> tuple[str, str]:
        match = _OBJECT.match(path)
        assert match is not None, path
        return match["namespace"] or "", f"{match['group'] or ''}/{match['plural']}"


def _strike(fault: Fault | None, *, effective: bool) -> None:
    if fault is not None and fault.takes_effect == effective:
        raise ClusterError(fault.status, fault.message)


def _in_scope(body: Json, where: str, scope: str, plural: str) -> bool:
    return where == plural and scope in ("", body["metadata"].get("namespace", ""))


def _selected(body: Json, query: Json) -> bool:
    """Whether a request is about an object, by its selectors: one label, or the name."""
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    if name and body["metadata"]["name"] != name:
        return False
    labels = body["metadata"].get("labels") or {}
    label, equals, value = query.get("labelSelector", "").partition("=")
    return not label or (labels.get(label) == value if equals else label in labels)


def _without_subresource(path: str) -> tuple[str, str]:
    for name in ("status", "scale"):
        if path.endswith(f"/{name}"):
            return path.removesuffix(f"/{name}"), name
    return path, ""


def _owned_part(body: Json) -> Json:
    """What field managers own: not the identity of an object, nor its status."""
    system = ("name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp")
    metadata = {k: v for k, v in body.get("metadata", {}).items() if k not in system}
    rest = ("metadata", "status", "kind", "apiVersion")
    return {"metadata": metadata, **{k: v for k, v in body.items() if k not in rest}}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of everything that is no object; a list is one value."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, (*path, name))
    elif path:
        yield path


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _without(body: Json, path: tuple[str, ...]) -> Json:
    head, *rest = path
    if not rest:
        return {name: part for name, part in body.items() if name != head}
    return {**body, head: _without(body[head], tuple(rest))} if head in body else body
