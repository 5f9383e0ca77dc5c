"""A consumer as one member of a group on a fake cluster."""

from fake_kafka import Clock, FakeCluster, FakeConsumer, by_partition

from textmod_model import settings
from textmod_model.health import Health
from textmod_model.stream import kafka_config
from textmod_model.stream.consumer import GroupConsumer
from textmod_model.stream.speed import Speed

STREAM = {
    "TEXTMOD_STREAMING": "Native",
    "TEXTMOD_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "TEXTMOD_INPUT_TOPIC": "in",
    "TEXTMOD_OUTPUT_TOPIC": "out",
    "TEXTMOD_DEAD_LETTER_TOPIC": "dead",
    "TEXTMOD_CONSUMER_GROUP": "group",
}
PROTOCOLS = {
    "kip-848": {"group.protocol": "consumer", "partition.assignment.strategy": ""},
    "eager": {"group.protocol": "classic", "partition.assignment.strategy": "range"},
    "eager-static": {
        "group.protocol": "classic",
        "partition.assignment.strategy": "range",
        "group.instance.id": "pod-a",
    },
    "cooperative": {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
    },
}


class Member:
    """A consumer on a fake cluster, with the clock that it looks at."""

    def __init__(
        self,
        monkeypatch,
        protocol,
        delivery,
        *,
        group=None,
        owners=None,
        topic_ids=None,
        first="",
        cores=1.0,
    ):
        self.cluster = FakeCluster(3)
        self.ids = topic_ids and topic_ids(self.cluster)
        self.clock = Clock()
        self.health = Health(streaming=True)
        self.clients = []

        def connect(options):
            self.clients.append(FakeConsumer(self.cluster, options, self.clock))
            return self.clients[-1]

        monkeypatch.setattr(
            kafka_config,
            "consumer",
            lambda *given, real=kafka_config.consumer, **more: (
                real(*given, **more) | PROTOCOLS[protocol]
            ),
        )
        self.consumer = GroupConsumer(
            settings.load(STREAM | {"TEXTMOD_DELIVERY": delivery, "TEXTMOD_INPUT_TOPIC_ID": first}),
            self.health,
            Speed(812.5, 1, 256),
            group=group,
            owners=owners,
            topic_ids=self.ids,
            connect=connect,
            clock=self.clock,
            cores=cores,
        )
        self.eager = not self.client.cooperative
        self.downstream = None

    @property
    def client(self):
        return self.clients[-1]

    def fetch(self, most=100):
        return by_partition(self.consumer.fetch(most, wait=0, revocation=self.downstream))

    def done(self, offsets):
        """What downstream does once everything up to there is written."""
        self.consumer.store(offsets)
        self.cluster.committed |= offsets
        for one in self.consumer.topic_partitions(offsets):
            if one.partition in offsets:  # lenders' notes are committed apart
                self.cluster.notes[one.partition] = one.metadata

    def move(self, keep, *, lose=(), gain=()):
        """Rebalance as the protocol does: eager takes everything away and gives it back."""
        if self.eager:
            self.client.rebalance(revoked=[*keep, *lose], assigned=[*keep, *gain])
        else:
            self.client.rebalance(revoked=lose, assigned=gain)

    def turn_for(self, seconds):
        """Let time pass while the loop turns; returns what it read."""
        found = {}
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.health.kafka_seen = self.clock()
            for partition, offsets in self.fetch().items():
                found.setdefault(partition, []).extend(offsets)
        return found
