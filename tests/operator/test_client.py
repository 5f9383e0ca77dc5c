"""What is sent to the API server, byte for byte."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import ApiClient

from textmod_operator.errors import ClusterError
from textmod_operator.kube.client import Client, as_yaml
from textmod_operator.kube.secrets import Secrets


class Nobody:
    """An API client that must not be asked."""

    def param_serialize(self, **request: Any) -> None:
        raise AssertionError(f"sent to {request['resource_path']}")


NO_NAMES = ["../../kube-system/secrets/x", "..", ".", "", "x?y", "x#y", "%2e%2e", "a b", "a\\b"]


@pytest.mark.parametrize("name", [*NO_NAMES, "x\n"])
def test_a_name_never_leads_to_another_object(name: str) -> None:
    """HTTP libraries resolve dots, so the Secret `../../kube-system/secrets/x` of one namespace
    would be one of another."""
    secrets = Secrets(Client(cast("ApiClient", Nobody())))
    with pytest.raises(ClusterError, match="is not the path of an object"):
        secrets.read("reddit", name)


ODD = "\U0001f600 \u00e9 \x7f \x85 \u2028 \u2029 \ufeff \uffff \0 \t \n \\ud83d \" ' # : -"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_a_manifest_is_the_same_in_json_and_in_yaml(body: dict[str, str]) -> None:
    assert yaml.safe_load(as_yaml(body)) == body
    assert json.loads(as_yaml(body)) == body


@pytest.mark.parametrize("text", [ODD, *ODD.split(" ")])
def test_odd_characters_are_legal_yaml(text: str) -> None:
    sent = as_yaml({"key": text})
    assert yaml.safe_load(sent) == {"key": text}
    assert "\\ud83d\\" not in sent


class Answering:
    """An API client that answers 200 with this body."""

    def __init__(self, text: bytes) -> None:
        self._answer = SimpleNamespace(status=200, read=lambda: text)

    def param_serialize(self, **_: Any) -> tuple[()]:
        return ()

    def call_api(self, **_: Any) -> Any:
        return self._answer


def test_a_page_of_a_proxy_is_no_answer_of_the_api_server() -> None:
    client = Client(cast("ApiClient", Answering(b"<html>maintenance</html>")))
    with pytest.raises(ClusterError, match="maintenance") as error:
        client.request("GET", "/version", "Version")
    assert error.value.status == 0
