"""kopf's triggers: a watch event asks the controller for a pass; nothing is decided here.

Only watch events are used: kopf's change handlers and timers would write annotations and finalizers
to every object, and a pass is level-triggered anyway (`decisions/` has the page).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf

from textmod_operator.api import v1alpha1 as api
from textmod_operator.controller.controller import Controller


class Patience:
    """How long kopf waits between two attempts of a request, in seconds.

    For ever: kopf ends the process when a watch has failed nine times, and an outage may be longer.
    But not in the first moments of a kopf that probes, when it finds out what it may look at (CRDs)
    and goes on without what is forbidden only once it has given up.

    Args:
        probing: False where kopf looks at nothing but what it watches: a namespace that it may not
            watch, such as one that is gone with its Role, must not end the process.
    """

    PROBING_SECONDS = 10.0

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, probing: bool = True
    ) -> None:
        self._clock = clock
        self._probing_until = clock() + (self.PROBING_SECONDS if probing else 0.0)

    def __iter__(self) -> Iterator[float]:
        if self._clock() < self._probing_until:
            return iter((0.5, 1.0))
        return itertools.chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0), itertools.repeat(13.0))


def handlers(controller: Controller, background: Callable[[], Awaitable[None]]) -> Any:  # noqa: ANN401
    """kopf's registry of our triggers.

    Args:
        controller: receives the events.
        background: starts what else belongs to the operator (servers, leader election).
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own arguments
        return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

    # A start that fails ends the process, for the kubelet to try again: kopf would call this once
    # more after a minute, beside the half that was started.
    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False  # Events are posted on transitions, not for log lines
        # With Roles alone nobody may list namespaces or watch CRDs; kopf would ask nine times.
        settings.scanning.disabled = controller.namespaced
        settings.networking.error_backoffs = Patience(probing=not controller.namespaced)
        await controller.start()
        await background()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: object) -> None:
        await controller.stop()

    @kopf.on.event(api.GROUP, api.VERSION, api.PLURAL, registry=registry)
    async def textmoderation(event: kopf.RawEvent, **_: object) -> None:
        controller.on_event(event["type"], dict(event["object"]))

    return registry
