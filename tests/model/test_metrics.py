"""The batch histogram against prometheus-client's own, and the names that dashboards use."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from textmod_model.metrics import BatchHistogram, Metrics

BUCKETS = (0.1, 0.5, 1, 10)


def samples(text):
    return {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.floats(0, 20) | st.sampled_from(BUCKETS), max_size=20))
def test_counts_like_prometheus_own_histogram(values):
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    one_by_one = Histogram("h", "help", buckets=BUCKETS, registry=theirs)
    for value in values:
        one_by_one.observe(value)
    batch = BatchHistogram("h", "help", BUCKETS)
    ours.register(batch)
    batch.observe(values)
    expected, found = samples(generate_latest(theirs)), samples(generate_latest(ours))
    assert expected.keys() == found.keys()
    assert all(math.isclose(expected[key], found[key]) for key in expected)


def test_has_the_names_of_the_contract():
    metrics = Metrics()
    metrics.show_lag("group", "in", [(3, 7)])
    text = metrics.text().decode()
    for line in (
        'textmod_messages_total{outcome="verdict"} 0.0',
        'textmod_messages_total{outcome="dead_letter"} 0.0',
        'kafka_consumergroup_lag{consumergroup="group",partition="3",topic="in"} 7.0',
        "textmod_batch_size_count 0",
        "textmod_end_to_end_seconds_count 0",
        'textmod_score_bucket{le="0.05"} 0',
        "textmod_stream_blocked 0.0",
        "process_cpu_seconds_total ",
    ):
        assert line in text


def test_a_partition_given_up_shows_no_lag():
    metrics = Metrics()
    metrics.show_lag("group", "in", [(3, 7)])
    metrics.show_lag("group", "in", [(4, 1)])
    assert 'partition="3"' not in metrics.text().decode()


def test_counts_of_others_are_shown_as_they_are():
    metrics = Metrics()
    name = "textmod_call_scorer_losses_total", None
    assert samples(generate_latest(metrics.registry))[name] == 0  # so that a rate can be taken
    for total in (0, 1, 1):
        metrics.show_losses(total)
        metrics.show_mismatches(total * 2)
        found = samples(generate_latest(metrics.registry))
        assert found[name] == total
        assert found["textmod_score_mismatch_total", None] == total * 2
