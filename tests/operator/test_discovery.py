"""What the cluster offers, against an API server in memory."""

from __future__ import annotations

import pytest
from fake_api_server import FakeApiServer

from textmod_operator import naming
from textmod_operator.errors import ClusterError
from textmod_operator.kube.discovery import METRICS_SECONDS, VERSION_SECONDS, Discovery

METRICS = "/apis/external.metrics.k8s.io/v1beta1"


class World:
    def __init__(self) -> None:
        self.server = FakeApiServer()
        self.seconds = 1000.0
        self.discovery = Discovery(self.server, lambda: self.seconds)
        self.serve("34")

    def serve(self, minor: str) -> None:
        self.server.documents["/version"] = {"major": "1", "minor": minor}


@pytest.fixture
def world() -> World:
    return World()


def test_an_upgraded_api_server_is_noticed_without_a_restart(world: World) -> None:
    assert not world.discovery.capabilities().hpa_tolerance
    world.serve("36+")
    assert not world.discovery.capabilities().hpa_tolerance, "read a moment ago"
    world.seconds += VERSION_SECONDS
    assert world.discovery.capabilities().hpa_tolerance
    assert [sent.path for sent in world.server.sent].count("/version") == 2


def test_a_version_that_cannot_be_read_is_the_last_one(world: World) -> None:
    world.serve("36")
    world.discovery.capabilities()
    world.seconds += VERSION_SECONDS
    world.server.fail("GET", "/version", 503)
    assert world.discovery.capabilities().hpa_tolerance


def test_a_version_that_was_never_read_is_an_error(world: World) -> None:
    world.server.fail("GET", "/version", 503)
    with pytest.raises(ClusterError):
        world.discovery.capabilities()
    assert not world.discovery.capabilities().hpa_tolerance


def test_who_serves_the_metrics_is_looked_up_again(world: World) -> None:
    world.server.documents[METRICS] = {"resources": [{"name": "externalmetrics"}]}
    assert world.discovery.foreign_metrics() == ("externalmetrics",)
    world.server.documents[METRICS] = {"resources": [{"name": naming.METRIC}]}
    assert world.discovery.foreign_metrics() == ("externalmetrics",)
    world.seconds += METRICS_SECONDS
    assert world.discovery.foreign_metrics() == ()


def test_openshift_assigns_users_and_groups(world: World) -> None:
    assert not world.discovery.capabilities().assigned_ids
    world.server.documents["/apis/security.openshift.io/v1"] = {"resources": []}
    world.seconds += VERSION_SECONDS
    assert world.discovery.capabilities().assigned_ids
