"""What the process does once, at its start."""

from __future__ import annotations

import asyncio
import gc

import kopf
import pytest

from textmod_operator.__main__ import _parser, _settings, exempt_from_collection
from textmod_operator.controller.triggers import handlers
from textmod_operator.errors import ClusterError


def test_a_full_collection_passes_over_all_that_is_there_at_the_start() -> None:
    assert gc.get_freeze_count() == 0
    try:
        exempt_from_collection()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count() / 100
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("service", "address"), [("10.96.0.1", "0.0.0.0"), ("fd00::1", "::")])  # noqa: S104
def test_it_listens_on_addresses_of_the_clusters_family(
    service: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", service)
    assert _settings(_parser().parse_args(["run"])).metrics_address == address


@pytest.mark.filterwarnings(  # kopf leaves coroutines behind that it never started
    "ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_start_that_fails_ends_the_process() -> None:
    """kopf would try again beside what has started: two sets of workers, and ports that are
    taken."""

    class Starting:
        namespaced = False
        started = 0

        async def start(self) -> None:
            self.started += 1

        async def stop(self) -> None: ...

    async def background() -> None:
        raise ClusterError(503, "the API server is restarted")

    async def main() -> None:
        registry = handlers(controller, background)  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            await kopf.operator(registry=registry, standalone=True, clusterwide=True)

    controller = Starting()
    with pytest.raises(Exception, match="handlers failed"):
        asyncio.run(main())
    assert controller.started == 1
