"""`spec.serving.perspective` and `spec.serving.openai`: protocols of other services."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textmod_operator.api.fields import SecretKey, SecretRef
from textmod_operator.api.rules import Strict

LabelName = Annotated[str, Field(min_length=1, max_length=253)]
Language = Annotated[str, Field(min_length=2, max_length=3, pattern=r"^[a-z]{2,3}$")]
Origin = Annotated[
    str,
    Field(max_length=253, pattern=r"^(\*|https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)$"),
]


class KeySecretRef(SecretRef):
    key: SecretKey = Field(
        default="key",
        description="Key of the Secret whose value callers must present; several values, "
        "separated by white space, are all valid, so that one can be replaced by another. "
        "Default: key.",
    )


class Perspective(Strict):
    """Perspective API's protocol (commentanalyzer v1alpha1)."""

    attributes: dict[str, LabelName] = Field(
        default_factory=dict,
        description="The attributes that are answered, such as TOXICITY, and the model's label "
        "that each stands for. A label that the model does not have stops its pods. Default: each "
        "label under its upper-case name, and LIKELY_TO_REJECT for the label removed.",
        json_schema_extra={"maxProperties": 64},
    )
    languages: list[Language] = Field(
        default=["en"],
        max_length=64,
        description="ISO 639-1 codes of the languages that the model is for; a call that names "
        "another is refused as Perspective does. No language is detected. An empty list takes any. "
        "Default: en.",
    )
    key_secret_ref: KeySecretRef | None = Field(
        default=None,
        description="The Secret that holds the API key of callers (?key=). Default: no key is "
        "asked for.",
    )
    allowed_origins: list[Origin] = Field(
        default_factory=list,
        max_length=64,
        description="Origins whose web pages may call from a browser (CORS), such as "
        "https://www.example.org, without a path; * allows every origin. Every visitor of such a "
        "page can read the API key that the page sends. Default: none.",
    )


class OpenAi(Strict):
    """OpenAI's moderations protocol."""

    key_secret_ref: KeySecretRef | None = Field(
        default=None,
        description="The Secret that holds the API key of callers (Authorization: Bearer). "
        "Default: no key is asked for.",
    )
