"""`spec.message`: the format of the input and of the verdicts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.rules import Strict

FORMATS_OF_A_REGISTRY = ("SchemaRegistry", "Avro", "JsonSchema")


class Message(Strict):
    """How texts stand in the input and verdicts in the output."""

    format: Literal["Auto", "Seldon", "Json", "Text", "SchemaRegistry"] = Field(
        default="Auto",
        description="Format of the input messages. Seldon: the v1 protocol's JSON. Json: an "
        "object that holds the text at textField. Text: the whole value is the text (UTF-8). "
        "SchemaRegistry: Avro, Protobuf or JSON Schema, framed as Confluent's serializers do; "
        "needs kafka.schemaRegistry. Auto: detected for each message. Default: Auto.",
    )
    text_field: str = Field(
        default="body",
        min_length=1,
        max_length=253,
        description="Json and SchemaRegistry: the dotted path of the text, such as post.body. "
        "Default: body.",
    )
    output_format: Literal["Seldon", "Verdict", "Avro", "JsonSchema", "Osprey"] = Field(
        default="Seldon",
        description="Seldon: data.names and data.ndarray, as the v1 protocol answers. Verdict: one "
        "flat JSON object with label, score, flagged and threshold. Avro, JsonSchema: the same, "
        "framed for kafka.schemaRegistry, where its schema is registered for the output topic. "
        "Osprey: the same as an action named text_verdict, as ROOST's Osprey reads it from Kafka. "
        "Default: Seldon.",
    )
    tombstones: Literal["DeadLetter", "Forward"] = Field(
        default="DeadLetter",
        description="What happens to a message without a value. DeadLetter: it goes to the "
        "dead-letter topic. Forward: a message without a value and with the same key is written to "
        "the output, so that it erases the verdict of a compacted topic. Native streaming only. "
        "Default: DeadLetter.",
    )
