from __future__ import annotations

from prometheus_client import CollectorRegistry

from textmod_operator.metrics import StreamFigures


def test_what_is_not_known_has_no_sample() -> None:
    registry = CollectorRegistry()
    StreamFigures(
        lambda: [
            ("reddit", "science", {"textmoderation_lag_messages": 7.0}),
            ("reddit", "idle", {"textmoderation_lag_messages": None}),
        ],
        lambda: [("reddit", "science", {"Ready": "True", "Stalled": "False", "Odd": "Unknown"})],
        registry,
    )

    def value(metric: str, **labels: str) -> float | None:
        return registry.get_sample_value(metric, {"namespace": "reddit", **labels})

    assert value("textmoderation_lag_messages", name="science") == 7
    assert value("textmoderation_lag_messages", name="idle") is None
    conditions = [
        value("textmoderation_condition", name="science", type=kind)
        for kind in ("Ready", "Stalled", "Odd")
    ]
    assert conditions == [1, 0, None]
