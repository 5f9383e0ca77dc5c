"""Sends decisions to webhooks: at least once, with back-off, given up after `MOST_ATTEMPTS`.

Only the leader sends, with a thread for each webhook: one that does not answer delays neither the
others nor the record.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import orjson

from textmod_console import metrics
from textmod_console.errors import ConfigurationError, ConsoleError
from textmod_console.record import addresses, signing
from textmod_console.record.addresses import Network
from textmod_console.settings import Settings, Webhook
from textmod_console.store import auditing, deliveries
from textmod_console.store.deliveries import Due
from textmod_console.store.engine import Database

log = logging.getLogger(__name__)
TIMEOUT: Final = httpx.Timeout(5.0, connect=3.0)
IDLE_SECONDS: Final = 1.0
AT_ONCE: Final = 20
"""Decisions that are read together."""
FIRST: Final = timedelta(seconds=5)
LONGEST: Final = timedelta(hours=1)
MOST_ATTEMPTS: Final = 14
"""The last one is about four and a half hours after the first."""
EVENT: Final = "decision.created"
ACTOR: Final = "textmod-console"


def delay(attempts: int) -> timedelta:
    """Return how long to wait after so many failed attempts."""
    return min(FIRST * 2.0 ** (attempts - 1), LONGEST)


def payload(due: Due) -> bytes:
    """Return the body: the decision's event, which holds no text."""
    data = orjson.loads(due.body)
    return orjson.dumps({"type": EVENT, "timestamp": data["at"], "data": data})


class Sender:
    """Sends to one webhook; not thread-safe.

    Args:
        secret: the file that holds the keys; read for every attempt, so that new keys are used at
            once.
        clock: the moment, with a time zone.
        networks: not public, and allowed all the same.
    """

    def __init__(
        self,
        hook: Webhook,
        secret: Path,
        database: Database,
        clock: Callable[[], datetime],
        client: httpx.Client,
        *,
        networks: Collection[Network] = (),
    ) -> None:
        self._hook = hook
        self._secret = secret
        self._database = database
        self._clock = clock
        self._client = client
        self._extensions = {"trace": addresses.checking(networks)}
        for outcome in ("sent", "failed", "given_up"):  # from 0 on, so that 1 is an increase
            metrics.WEBHOOK_ATTEMPTS.labels(hook.name, outcome)

    def turn(self) -> int:
        """Attempt the deliveries that are due; return how many. Raises RecordError."""
        name = self._hook.name
        with self._database.read() as connection:
            found = deliveries.due(connection, name, self._clock(), AT_ONCE)
            metrics.WEBHOOK_WAITING.labels(name).set(deliveries.waiting(connection, name))
        for number, one in enumerate(found, start=1):
            why = self._send(one)
            self._note(one, why)
            if why is not None:
                return number  # the others would fail as well: leave them for the next turn
        return len(found)

    def _send(self, one: Due) -> str | None:
        """Send one decision; return why it was not accepted, None if it was."""
        try:
            given = signing.keys(self._secret.read_text())
            body = payload(one)
            at = int(self._clock().timestamp())
            head = signing.headers(one.decision, at, body, given)
            request = self._client.stream(
                "POST", self._hook.url, content=body, headers=head, extensions=self._extensions
            )
            with request as answer:  # its body is not read
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except (OSError, UnicodeDecodeError) as error:
            return f"read its secret: {type(error).__name__}"
        except ConfigurationError as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no answer ({type(error).__name__})"

    def _note(self, one: Due, why: str | None) -> None:
        name, now = self._hook.name, self._clock()
        if why is None:
            with self._database.write(grouped=True) as connection:
                deliveries.done(connection, one.id)
            metrics.WEBHOOK_ATTEMPTS.labels(name, "sent").inc()
            return
        attempts = one.attempts + 1
        with self._database.write(grouped=True) as connection:
            if attempts < MOST_ATTEMPTS:
                deliveries.postpone(connection, one.id, attempts, now + delay(attempts))
            else:
                deliveries.done(connection, one.id)
                detail = {"webhook": name, "decision": one.decision, "attempts": attempts}
                auditing.append(connection, now, ACTOR, "webhook-given-up", detail=detail)
        outcome = "failed" if attempts < MOST_ATTEMPTS else "given_up"
        metrics.WEBHOOK_ATTEMPTS.labels(name, outcome).inc()
        log.warning("send decision %s to webhook %s: %s", one.decision, name, why)


class Webhooks:
    """The senders of all webhooks while this process leads."""

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._hooks: Sequence[Webhook] = settings.console_webhooks
        self._folder = settings.console_webhooks_folder
        self._networks = settings.console_webhook_networks
        self._clock = clock
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start a thread for each webhook. Raises RecordError."""
        with self._database.write() as connection:
            deliveries.drop_others(connection, [hook.name for hook in self._hooks])
        for hook in self._hooks:
            thread = threading.Thread(
                target=self._run, args=(hook,), name=f"webhook-{hook.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Finish the requests in progress, within their time-outs."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(10.0)

    def _run(self, hook: Webhook) -> None:
        # Redirects are not followed: the URL is the one that the object names, and no other.
        with httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            secret = self._folder / hook.name / "secret"
            sender = Sender(
                hook, secret, self._database, self._clock, client, networks=self._networks
            )
            while not self._stopping.is_set():
                try:
                    busy = sender.turn() == AT_ONCE
                except ConsoleError as error:
                    log.warning("send to webhook %s: %s", hook.name, error)
                    busy = False
                if not busy:
                    self._stopping.wait(IDLE_SECONDS)
