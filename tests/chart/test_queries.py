"""Alerts and dashboards: the metrics exist, the queries are PromQL, the alerts fire."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

from textmod_console.metrics import WEBHOOK_ATTEMPTS
from textmod_dev import chart
from textmod_model.metrics import Metrics
from textmod_operator import metrics

CHART = chart.folder()
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
LANGUAGE = {
    *("absent", "and", "by", "count", "histogram_quantile", "increase", "label_values", "max"),
    *("max_over_time", "min", "on", "or", "rate", "sum", "time", "unless", "vector", "without"),
}
"""The words of PromQL (and of Grafana's variables) that are in use."""


def exported(registry: CollectorRegistry) -> set[str]:
    return {
        family.name + suffix
        for family in registry.collect()
        for suffix in SUFFIXES.get(family.type, ("",))
    }


def known_metrics() -> set[str]:
    """Everything that the operator, the model server and the console can export."""
    return (
        exported(REGISTRY)
        | exported(Metrics().registry)
        | set(metrics.STREAM_GAUGES)
        | set(metrics.QUALITY_GAUGES)
        | {metrics.CONDITION}
    )


def alerts() -> list[dict[str, Any]]:
    text = (CHART / "files" / "alerts.yaml").read_text()
    for name, value in (("DEAD_LETTER_RATIO", "0.01"), ("CERTIFICATE_DAYS", "14")):
        text = text.replace(name, value)
    return yaml.safe_load(text)


def queries() -> list[tuple[str, str]]:
    """(where, PromQL) of every alert and every panel, with Grafana's variables put in."""
    found = [(alert["alert"], alert["expr"]) for alert in alerts()]
    for file in sorted((CHART / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", "1m")
                found.append((f"{file.name}: {panel['title']}", re.sub(r"\$\w+", "x", expr)))
    return found


def variables() -> list[tuple[str, str]]:
    return [
        (f"{file.name}: {variable['name']}", variable["definition"])
        for file in sorted((CHART / "dashboards").glob("*.json"))
        for variable in json.loads(file.read_text())["templating"]["list"]
        if variable["type"] == "query"
    ]


def words(query: str) -> set[str]:
    """The identifiers of a query that are neither labels nor text."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", query)
    bare = re.sub(r"\b(by|on|without)\s*\([^)]*\)", r"\1 ", bare)
    bare = re.sub(r"(label_values\([^,]*),[^)]*", r"\1", bare)
    return set(re.findall(r"[a-zA-Z_][a-zA-Z0-9_:]*", bare))


def test_every_metric_of_a_query_exists_in_the_code() -> None:
    known = known_metrics() | LANGUAGE
    missing = {
        where: sorted(words(query) - known)
        for where, query in [*queries(), *variables()]
        if words(query) - known
    }
    assert missing == {}


def test_every_aggregation_keeps_the_cluster() -> None:
    """Where several clusters share one store, a sum over all of them is nobody's."""
    for alert in alerts():
        sums = re.findall(r"\b(?:sum|max|min|count)\b(?: by \(([^)]*)\))?", alert["expr"])
        assert all("cluster" in labels for labels in sums), alert["alert"]
    for where, query in queries():
        if ".json" in where:
            selectors = re.findall(r"\b(?:textmod\w*|kafka|process)_\w+(\{[^}]*\})?", query)
            assert all("cluster" in selector for selector in selectors), where


def test_so_does_every_metric_of_the_notes_and_the_readme() -> None:
    texts = [CHART / "templates" / "NOTES.txt", CHART / "README.md"]
    pattern = r"\b(textmoderation_[a-z_]+|textmod_(?!operator\b)[a-z_]+)\b"
    named = {name for text in texts for name in re.findall(pattern, text.read_text())}
    assert "textmoderation_seconds_behind" in named
    assert named - known_metrics() == set()


def test_every_figure_of_an_object_is_on_a_dashboard() -> None:
    shown = set().union(*(words(query) for _, query in queries()))
    assert {*metrics.STREAM_GAUGES, metrics.CONDITION} - shown == set()


# --- with Prometheus' own tool --------------------------------------------------------------------


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool: install it (Debian: apt-get install prometheus)")
    return found


def check(promtool: str, *arguments: str) -> None:
    done = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"query:{i}", "expr": query} for i, (_, query) in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    check(promtool, "check", "rules", str(file))


STREAM = 'namespace="reddit", name="science"'
IDLE = 'namespace="reddit", name="idle"'
REMOVED, REVIEWED = (f'{STREAM}, policy="spam", action="{one}"' for one in ("Remove", "Review"))
WEBHOOK = f"{WEBHOOK_ATTEMPTS.describe()[0].name}_total"
FIRING: dict[str, dict[str, str]] = {
    "TextModerationPromiseBroken": {
        f"textmoderation_seconds_behind{{{STREAM}}}": "45x40",
        f"textmoderation_promise_seconds{{{STREAM}}}": "30x40",
    },
    "TextModerationLagUnknown": {f"textmoderation_max_replicas{{{STREAM}}}": "12x40"},
    "TextModerationDeadLettersGrowing": {
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="dead_letter"}}': "0+2x40",
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="verdict"}}': "0+98x40",
    },
    "TextModerationWorkerStalled": {
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="verdict"}}': "7x40",
        f'kafka_consumergroup_lag{{{STREAM}, pod="a", partition="0"}}': "9x40",
    },
    "TextModerationScoreMismatch": {
        f'textmod_score_mismatch_total{{{STREAM}, pod="a"}}': "0x10 1x40",
    },
    "TextModerationNotReady": {f'textmoderation_condition{{{STREAM}, type="Ready"}}': "0x40"},
    "TextModerationPoliciesNotInForce": {
        f'textmoderation_condition{{{STREAM}, type="PoliciesReady"}}': "0x40",
        f"textmoderation_messages_in_per_second{{{STREAM}}}": "0x5 3x5 0x30",
    },
    "TextModerationConsoleNotReady": {
        f'textmoderation_condition{{{STREAM}, type="ReviewReady"}}': "0x40",
    },
    "TextModerationPolicyBudgetSpent": {
        f'textmod_policy_over_budget_total{{{STREAM}, pod="a", policy="spam"}}': "0+9x100",
        f'textmod_actions_total{{{STREAM}, pod="a", policy="spam", action="Review"}}': "0+2x100",
    },
    "TextModerationReviewRequestsRefused": {
        f'textmod_review_requests_refused_total{{{STREAM}, pod="a"}}': "0x30 1x10",
    },
    "TextModerationWebhookGivenUp": {
        f'{WEBHOOK}{{{STREAM}, pod="a", webhook="site", outcome="given_up"}}': "0x20 1x20",
    },
    "TextModerationPrecisionBroken": {
        f"textmoderation_promise_high{{{REMOVED}}}": "0.93x100",
        f"textmoderation_promised_precision{{{REMOVED}}}": "0.95x100",
    },
    "TextModerationOperatorNotLeading": {'textmod_operator_leader{pod="a"}': "0x40"},
    "TextModerationOperatorErrors": {
        "textmod_operator_reconcile_errors_total": "0+2x40",
        "textmod_operator_reconcile_seconds_count": "0+10x40",
    },
    "TextModerationCertificateExpiring": {
        "textmod_operator_certificate_expiry_timestamp_seconds": "86400x100"
    },
}
"""Series, a sample a minute, under which each alert fires."""
QUIET: dict[str, dict[str, str]] = {
    "TextModerationPromiseBroken": {
        f"textmoderation_seconds_behind{{{STREAM}}}": "29x40",
        f"textmoderation_promise_seconds{{{STREAM}}}": "30x40",
    },
    "TextModerationLagUnknown": {
        f"textmoderation_max_replicas{{{STREAM}}}": "12x40",
        f"textmoderation_lag_messages{{{STREAM}}}": "0x40",
    },
    "TextModerationDeadLettersGrowing": {
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="dead_letter"}}': "0+1x40",
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="verdict"}}': "0+999x40",
    },
    "TextModerationWorkerStalled": {  # idle, and busy
        f'textmod_messages_total{{{STREAM}, pod="a", outcome="verdict"}}': "7x40",
        f'kafka_consumergroup_lag{{{STREAM}, pod="a", partition="0"}}': "0x40",
        f'textmod_messages_total{{{STREAM}, pod="b", outcome="verdict"}}': "0+9x40",
        f'kafka_consumergroup_lag{{{STREAM}, pod="b", partition="1"}}': "9x40",
    },
    "TextModerationScoreMismatch": {
        f'textmod_score_mismatch_total{{{STREAM}, pod="a"}}': "0x40",
    },
    "TextModerationNotReady": {f'textmoderation_condition{{{STREAM}, type="Ready"}}': "1x40"},
    "TextModerationPoliciesNotInForce": {  # during a change; a budget of an idle stream
        f'textmoderation_condition{{{STREAM}, type="PoliciesReady"}}': "1x10 0x5 1x30",
        f"textmoderation_messages_in_per_second{{{STREAM}}}": "3x40",
        f'textmoderation_condition{{{IDLE}, type="PoliciesReady"}}': "0x40",
        f"textmoderation_messages_in_per_second{{{IDLE}}}": "0x40",
    },
    "TextModerationConsoleNotReady": {  # during a rollout
        f'textmoderation_condition{{{STREAM}, type="ReviewReady"}}': "1x10 0x10 1x30",
    },
    "TextModerationPolicyBudgetSpent": {
        f'textmod_policy_over_budget_total{{{STREAM}, pod="a", policy="spam"}}': "0+1x100",
        f'textmod_actions_total{{{STREAM}, pod="a", policy="spam", action="Review"}}': "0+2x100",
    },
    "TextModerationReviewRequestsRefused": {
        f'textmod_review_requests_refused_total{{{STREAM}, pod="a"}}': "1x40",
        f'textmod_review_requests_total{{{STREAM}, pod="a", strategy="Random"}}': "0+3x40",
    },
    "TextModerationWebhookGivenUp": {  # refused for a while; given up long ago
        f'{WEBHOOK}{{{STREAM}, pod="a", webhook="site", outcome="failed"}}': "0+1x40",
        f'{WEBHOOK}{{{STREAM}, pod="a", webhook="site", outcome="given_up"}}': "3x40",
    },
    "TextModerationPrecisionBroken": {  # kept as far as is known; another action; not known
        f"textmoderation_promise_high{{{REMOVED}}}": "0.96x100",
        f"textmoderation_promised_precision{{{REMOVED}}}": "0.95x100",
        f"textmoderation_promise_high{{{REVIEWED}}}": "0.6x100",
        f"textmoderation_promised_precision{{{IDLE}}}": "0.95x100",
    },
    "TextModerationOperatorNotLeading": {
        'textmod_operator_leader{pod="a"}': "0x40",
        'textmod_operator_leader{pod="b"}': "1x40",
    },
    "TextModerationOperatorErrors": {
        "textmod_operator_reconcile_errors_total": "0+1x40",
        "textmod_operator_reconcile_seconds_count": "0+100x40",
    },
    "TextModerationCertificateExpiring": {
        "textmod_operator_certificate_expiry_timestamp_seconds": "7776000x100"
    },
}
AT = {
    "TextModerationCertificateExpiring": "70m",
    "TextModerationPolicyBudgetSpent": "80m",
    "TextModerationPrecisionBroken": "80m",
}
"""When to look; 35 minutes after the start, else."""


def firing(name: str) -> str:
    return f'ALERTS{{alertname="{name}", alertstate="firing"}}'


def test_every_alert_has_its_cases() -> None:
    assert set(FIRING) == set(QUIET) == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "stays quiet"])
def test_every_alert_fires_when_it_should_and_only_then(
    promtool: str, tmp_path: Path, fires: bool
) -> None:
    (tmp_path / "alerts.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "textmoderation", "rules": alerts()}]})
    )
    tests = [
        {
            "interval": "1m",
            "name": name,
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            # The labels and texts of what fires are not held: only whether there is an alert.
            "promql_expr_test": [
                {
                    "expr": f"count({firing(name)}) or vector(0)",
                    "eval_time": AT.get(name, "35m"),
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
            ],
        }
        for name, series in (FIRING if fires else QUIET).items()
    ]
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": tests})
    )
    check(promtool, "test", "rules", str(tmp_path / "tests.yaml"))
