"""`spec.serving`: how the model is run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textmod_operator.api.dropins import OpenAi, Perspective
from textmod_operator.api.rules import Rule, Strict, part


class Batch(Strict):
    """Micro-batches of Native streaming."""

    max_messages: int = Field(
        default=256, ge=1, le=10000, description="Most messages scored at once. Default: 256."
    )
    max_wait_milliseconds: int = Field(
        default=20,
        ge=0,
        le=10000,
        description="Longest that a message waits for others, in milliseconds. Default: 20.",
    )


class Serving(Strict):
    """How the model is run."""

    rules = (
        Rule(
            "self.delivery != 'ExactlyOnce' || self.streaming == 'Native'",
            "serving.delivery ExactlyOnce needs serving.streaming Native: Seldon's executor has no "
            "transactions",
            lambda serving: serving.delivery != "ExactlyOnce" or serving.streaming == "Native",
        ),
        Rule(
            "self.streaming != 'SeldonExecutor' || self.platform == 'Seldon'",
            "serving.streaming SeldonExecutor needs serving.platform Seldon: without Seldon Core "
            "there is no executor",
            lambda serving: serving.streaming != "SeldonExecutor" or serving.platform == "Seldon",
        ),
        Rule(
            "self.streaming != 'SeldonExecutor' || self.protocol == 'Rest'",
            "serving.streaming SeldonExecutor needs serving.protocol Rest: over gRPC Seldon's "
            "executor takes protobuf messages that name their type in a header, and drops all "
            "others",
            lambda serving: serving.streaming != "SeldonExecutor" or serving.protocol == "Rest",
        ),
        Rule(
            "self.streaming != 'SeldonExecutor' || (!has(self.perspective) && !has(self.openai))",
            "serving.perspective and serving.openai need serving.streaming Native: Seldon's "
            "executor stands before the model and passes on no other protocol than its own",
            lambda serving: (
                serving.streaming != "SeldonExecutor"
                or (serving.perspective is None and serving.openai is None)
            ),
        ),
    )

    platform: Literal["Seldon", "Deployment"] = Field(
        default="Seldon",
        description="Seldon: a SeldonDeployment. Deployment: a plain Deployment and Service, for "
        "clusters without Seldon Core. Default: Seldon.",
    )
    streaming: Literal["Native", "SeldonExecutor"] = Field(
        default="Native",
        description="Native: the model image reads Kafka itself, in micro-batches, and loses "
        "nothing. SeldonExecutor: Seldon's executor pumps each message over REST, and "
        "drops what fails. Default: Native.",
    )
    protocol: Literal["Rest", "Grpc"] = Field(
        default="Rest",
        description="Protocol of synchronous calls; with SeldonExecutor Rest only. Default: Rest.",
    )
    delivery: Literal["AtLeastOnce", "ExactlyOnce"] = Field(
        default="AtLeastOnce",
        description="AtLeastOnce: a crash may repeat verdicts. ExactlyOnce: verdicts and offsets "
        "in one Kafka transaction (Native only). Default: AtLeastOnce.",
    )
    batch: Batch = part(Batch(), "Micro-batches of Native streaming.")
    perspective: Perspective | None = Field(
        default=None,
        description="How Perspective API's protocol is answered, at /v1alpha1/comments:analyze of "
        "the REST port. Default: the model's labels, in English, without a key.",
    )
    openai: OpenAi | None = Field(
        default=None,
        description="How OpenAI's moderations protocol is answered, at /v1/moderations of the REST "
        "port. Default: without a key.",
    )
