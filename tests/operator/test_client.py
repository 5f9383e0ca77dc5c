"""What is sent to the API server, byte for byte."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from textmod_operator.kube.client import as_yaml

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
