"""The parts of the stream, made from the settings and a loaded model.

Each function imports its own part, so that the consumer joins its group before the rest is loaded.
"""

import os
from typing import TYPE_CHECKING

from textmod_model.errors import ConfigurationError
from textmod_model.health import Health
from textmod_model.settings import Settings

if TYPE_CHECKING:
    from textmod_model.formats.message import Schemas, Verdicts
    from textmod_model.metrics import Metrics
    from textmod_model.serving.predictor import Predictor
    from textmod_model.stream.consumer import GroupConsumer
    from textmod_model.stream.counting import Counting
    from textmod_model.stream.judge import Budgets, Judge
    from textmod_model.stream.review_requests import ReviewRequests
    from textmod_model.stream.worker import Worker


def make_source(settings: Settings, health: Health, predictor: "Predictor") -> "GroupConsumer":
    """Make the member of the consumer group; it joins when it first reads."""
    from textmod_model.stream.consumer import GroupConsumer
    from textmod_model.stream.group_lookup import GroupLookup
    from textmod_model.stream.speed import Speed, usable_cores
    from textmod_model.stream.topic_id_lookup import TopicIdLookup

    benchmark, cores = predictor.info.messages_per_second, usable_cores()
    speed = Speed(benchmark, cores, settings.batch_max_messages)
    owners = GroupLookup(settings) if settings.delivery == "ExactlyOnce" else None
    return GroupConsumer(
        settings,
        health,
        speed,
        group=GroupLookup(settings, apart=os.environ),  # asked in times of trouble, and seldom
        owners=owners,
        topic_ids=TopicIdLookup(settings),
        cores=cores,
        largest=predictor.largest,
    )


def _schemas(settings: Settings) -> "Schemas | None":
    if not settings.schema_registry_url:
        return None
    from textmod_model.formats.schema_registry import SchemaRegistry, open_client

    password, ca_file = settings.schema_registry_password, settings.schema_registry_ca_file
    try:
        client = open_client(
            settings.schema_registry_url,
            settings.schema_registry_username,
            None if password is None else password.get_secret_value(),
            None if ca_file is None else str(ca_file),
        )
    except (OSError, ValueError) as error:  # a CA file that is missing or holds no certificate
        message = f"The schema registry's client refuses its configuration: {error}."
        raise ConfigurationError(message) from None
    return SchemaRegistry(client, settings.input_topic, settings.output_topic)


def make_judge(
    settings: Settings,
    predictor: "Predictor",
    budgets: "Budgets",
    *,
    review: "ReviewRequests | None" = None,
    counting: "Counting | None" = None,
) -> "Judge":
    """Make the judge from the settings, a model and the budgets that it may spend.

    `review` makes the review requests, `counting` the counts; None: there are none.
    """
    from textmod_model.formats import catalog
    from textmod_model.formats.message import Reading, Writing
    from textmod_model.formats.verdict_headers import VerdictHeaders
    from textmod_model.stream.explanations import Explanations
    from textmod_model.stream.judge import Judge
    from textmod_model.stream.letters import DeadLetters

    info = predictor.info
    path = tuple(settings.message_text_field.split("."))
    schemas = _schemas(settings)
    output = catalog.output_formats()[settings.message_output_format]
    letters = DeadLetters(info.label)
    verdicts = _verdicts(predictor)
    return Judge(
        decode=catalog.decoder(settings.message_format, Reading(path, schemas, predictor.largest)),
        score=predictor.score,
        encode=output.encoder(Writing(verdicts, schemas, settings.policies_file is not None)),
        headers=VerdictHeaders(
            event_source(settings),
            info.version,
            info.digest,
            output.content_type,
        ),
        letters=letters,
        labels=max(len(info.names), 1),
        policies=predictor.policies,
        budgets=budgets,
        explanations=Explanations(predictor.briefs) if output.explains else None,
        review=review,
        counting=counting,
        forward_tombstones=settings.message_tombstones == "Forward",
    )


def _verdicts(predictor: "Predictor") -> "Verdicts":
    from textmod_model.formats.message import Verdicts

    info = predictor.info
    return Verdicts(info.labels, info.threshold, info.label, info.names)


def event_source(settings: Settings) -> str:
    """Return the `ce_source` of all events of the stream."""
    return f"/textmoderation/{settings.consumer_group}"


def make_review(settings: Settings, predictor: "Predictor") -> "ReviewRequests | None":
    """Make the review requests' part; None without a review topic."""
    if not settings.review_topic:
        return None
    from textmod_model.review.event import EventHeaders
    from textmod_model.review.selection import Sample
    from textmod_model.stream.explanations import Explanations
    from textmod_model.stream.review_requests import ReviewRequests

    return ReviewRequests(
        Sample(settings.review_sample, settings.review_salt),
        EventHeaders(event_source(settings)),
        _verdicts(predictor),
        predictor.info.digest,
        Explanations(predictor.briefs),
    )


def make_counting(settings: Settings, predictor: "Predictor") -> "Counting | None":
    """Make the part that counts all texts; None without a review topic."""
    if not settings.review_topic:
        return None
    from textmod_model.review.event import EventHeaders
    from textmod_model.stream.counting import EVENT_TYPE, Counting

    headers = EventHeaders(event_source(settings), EVENT_TYPE)
    return Counting(headers, _verdicts(predictor), predictor.info.digest)


def make_worker(
    settings: Settings,
    source: "GroupConsumer",
    predictor: "Predictor",
    health: Health,
    metrics: "Metrics",
) -> "Worker":
    """Make the worker, which reads, judges and writes."""
    from textmod_model.stream.delivery.at_least_once import AtLeastOnce
    from textmod_model.stream.delivery.exactly_once import ExactlyOnce
    from textmod_model.stream.delivery.writer import Writer
    from textmod_model.stream.kafka import open_producer
    from textmod_model.stream.letters import DeadLetters
    from textmod_model.stream.observer import Observer
    from textmod_model.stream.speed import usable_cores
    from textmod_model.stream.topics import TopicRulesLookup
    from textmod_model.stream.worker import Worker

    review = make_review(settings, predictor)
    counting = make_counting(settings, predictor)
    judge = make_judge(settings, predictor, source.allowance, review=review, counting=counting)
    letters = DeadLetters(predictor.info.label)
    rules = TopicRulesLookup(settings)
    writer = Writer(settings, lambda size: open_producer(settings, size), letters, rules)
    exactly_once = settings.delivery == "ExactlyOnce"
    delivery = ExactlyOnce(writer, source) if exactly_once else AtLeastOnce(writer)
    return Worker(
        settings,
        source,
        judge=judge,
        delivery=delivery,
        observer=Observer(metrics),
        health=health,
        cores=usable_cores(),
    )
