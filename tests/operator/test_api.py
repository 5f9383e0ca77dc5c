from __future__ import annotations

import pytest
from bad_specs import BAD_SPECS, Bad
from objects import body, moderation

from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.errors import NotAccepted


@pytest.mark.parametrize("bad", BAD_SPECS, ids=lambda bad: bad.name)
def test_a_bad_spec_is_refused_with_a_sentence(bad: Bad) -> None:
    with pytest.raises(NotAccepted) as refused:
        TextModeration.parse(body(bad.spec))
    assert refused.value.reason == "InvalidSpec"
    assert (bad.python_says or bad.says) in refused.value.message
    assert not refused.value.retry


@pytest.mark.parametrize("name", ["x" * 43, "1abc", "Abc", "a.b"])
def test_a_name_that_nothing_can_be_called_after_is_refused(name: str) -> None:
    with pytest.raises(NotAccepted, match=r"metadata\.name must be at most 42"):
        TextModeration.parse(body(name=name))


def test_the_smallest_object_has_a_default_for_everything_else() -> None:
    tm = moderation()
    assert (tm.input_topic, tm.output_topic) == ("science-input", "science-output")
    assert tm.dead_letter_topic == "science-dead-letter"
    assert tm.max_replicas == tm.input_partitions == 12
    assert tm.spec.autoscaling.lag.max_seconds_behind == 30


@pytest.mark.parametrize(
    ("asked", "autoscaling", "replicas"),
    [
        (1, {"minReplicas": 3}, 3),
        (20, {"maxReplicas": 4}, 4),
        (0, {"minReplicas": 0}, 0),
        (0, {}, 1),
        (7, {"metricsProvider": "None", "maxReplicas": 4}, 7),
    ],
)
def test_replicas_stay_within_the_autoscalers_bounds(asked, autoscaling, replicas) -> None:
    tm = moderation({"replicas": asked, "autoscaling": autoscaling})
    assert tm.replicas == replicas


@pytest.mark.parametrize(
    "behavior",
    [
        {"scaleUp": None, "scaleDown": {"stabilizationWindowSeconds": 300}},
        {"scaleDown": {"stabilizationWindowSeconds": 300, "policies": None}},
    ],
)
def test_a_null_part_counts_as_left_out(behavior) -> None:
    tm = moderation({"autoscaling": {"behavior": behavior}})
    assert tm.spec.autoscaling.behavior.asked() == {
        "scaleDown": {"stabilizationWindowSeconds": 300}
    }


@pytest.mark.parametrize(
    "quantity", [0.5, 1, "500m", "0.5", ".5", "1e3", "1E", "12Ki", "+1.", "2n"]
)
def test_a_quantity_is_taken_as_in_a_pod(quantity) -> None:
    tm = moderation({"model": {"resources": {"requests": {"cpu": quantity}}}})
    assert tm.spec.model.resources.requests == {"cpu": quantity}


@pytest.mark.parametrize("value", [True, {}, [], "1 Gi", -1])
def test_what_is_no_quantity_is_refused_in_one_sentence(value) -> None:
    with pytest.raises(NotAccepted) as refused:
        moderation({"model": {"resources": {"requests": {"cpu": value}}}})
    assert refused.value.message == (
        "spec.model.resources.requests.cpu: it must be a quantity that is not negative, such as "
        "500m, 1Gi, 2 or 0.5"
    )


@pytest.mark.parametrize(
    "servers",
    ["kafka:9092", "kafka", "a:1,b:65535", "10.0.0.1:9092", "[::1]:9092", "SASL_SSL://b-1.x:9096"],
)
def test_an_address_of_a_broker_is_taken(servers) -> None:
    assert moderation({"kafka": {"bootstrapServers": servers}})
