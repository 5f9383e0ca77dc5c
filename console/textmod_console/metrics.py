"""The console's metrics, declared in one place."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

DESK_SECONDS = Histogram(
    "textmod_console_desk_seconds", "Time of a desk operation.", ["operation"], buckets=_SECONDS
)
DECISIONS = Counter("textmod_console_decisions_total", "Decisions accepted.", ["decision"])
INGESTED = Counter("textmod_console_ingested_total", "Events read, by topic role.", ["role"])
REFUSED = Counter(
    "textmod_console_refused_total", "Events that could not be read, by topic role.", ["role"]
)
TOPICS_RECREATED = Counter(
    "textmod_console_topics_recreated_total",
    "Topics that were deleted and created again, by topic role.",
    ["role"],
)
PUBLISHED = Counter("textmod_console_published_total", "Events written to the feedback topic.")
OUTBOX = Gauge("textmod_console_outbox_events", "Events that wait to be written to Kafka.")
ITEMS = Gauge("textmod_console_items", "Items in the queue, by state.", ["state"])
LEADER = Gauge("textmod_console_leader", "1 in the replica that reads and writes Kafka.")
WEBHOOK_ATTEMPTS = Counter(
    "textmod_console_webhook_attempts_total", "Requests to webhooks.", ["webhook", "outcome"]
)
WEBHOOK_WAITING = Gauge(
    "textmod_console_webhook_waiting", "Decisions that wait for a webhook.", ["webhook"]
)
