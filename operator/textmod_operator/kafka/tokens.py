"""Tokens for SASL/OAUTHBEARER, for the clients that can't fetch their own.

librdkafka fetches tokens of an OpenID Connect provider itself; kafka-python does not. A token for
Amazon MSK is a request signed with AWS credentials: AWS's own library makes it for both.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from textmod_operator.state import OAuthClient
from textmod_operator.time_limit import TimeLimit

SHARE_OF_LIFETIME: Final = 0.8
"""A token is used for this share of its life, so that none ends on its way."""
MOST_BYTES: Final = 1_048_576
"""A larger answer is no token."""
_NOT_AS_DOCUMENTED: Final = (ValueError, KeyError, TypeError, RecursionError)
"""Raised by reading an answer that is not a JSON object with the expected members."""


class Token(NamedTuple):
    """A token and how long it is valid, in seconds from when it was asked for."""

    text: str
    seconds: float


class TokenError(Exception):
    """No token was given; the sentence says why, without a full stop and without secrets."""


class TokenSource:
    """Keeps a token for most of its life. Thread-safe."""

    def __init__(
        self, ask: Callable[[], Token], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = -1.0

    def token(self) -> str:
        """Return a token that is valid now.

        Raises:
            TokenError: none was given.
        """
        with self._lock:
            now = self._clock()
            if not self._token or now >= self._until:
                given = self._ask()
                self._token, self._until = given.text, now + given.seconds * SHARE_OF_LIFETIME
            return self._token


def ask_provider(client: OAuthClient, seconds: float) -> Token:
    """Ask an OpenID Connect provider for a token, for `seconds` at most.

    Raises:
        TokenError: it does not answer, or refuses.
    """
    form = {"grant_type": "client_credentials", **({"scope": client.scope} if client.scope else {})}
    login = f"{client.client_id}:{client.client_secret}"  # as librdkafka sends it: not encoded
    request = urllib.request.Request(  # noqa: S310 - the API takes http and https alone
        client.token_endpoint_url,
        urlencode(form).encode(),
        {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"},
    )
    where = f"the token endpoint {client.token_endpoint_url}"
    limit = TimeLimit(seconds)
    try:
        trusted = ssl.create_default_context(cadata=client.ca_pem)
        with limit:
            opener = urllib.request.build_opener(_NoRedirect, _Http(limit), _Https(limit, trusted))
            try:
                with opener.open(request, timeout=seconds) as answer:
                    return _token(json.loads(answer.read(MOST_BYTES)))
            except urllib.error.HTTPError as error:
                with error:  # its body counts, too
                    refusal = f"HTTP {error.code}{_code(error)}"
    except (OSError, HTTPException, *_NOT_AS_DOCUMENTED) as error:
        raise TokenError(f"{where} {_failure(error, late=limit.over)}") from None
    raise TokenError(f"{where} refused: {refusal}")


def _failure(error: Exception, *, late: bool) -> str:
    if late or isinstance(error, TimeoutError):
        return "gave no answer in time"
    if isinstance(error, urllib.error.URLError):
        return f"can't be reached: {error.reason}"
    return "gave no token: its answer is not what RFC 6749 says"


def ask_aws(region: str) -> Token:
    """Sign a login to Amazon MSK with the AWS credentials of this process.

    Raises:
        TokenError: there are no credentials, or AWS's library is not installed.
    """
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError:
        raise TokenError(
            "AWS_MSK_IAM needs the Python package aws-msk-iam-sasl-signer-python, which this image "
            "does not hold: install textmoderation[aws]"
        ) from None
    try:
        text, until = MSKAuthTokenProvider.generate_auth_token(region)
    except Exception as error:  # noqa: BLE001 - whatever its chain of credentials raises
        raise TokenError(
            f"AWS gave this process no credentials ({type(error).__name__}): give its "
            "ServiceAccount a role"
        ) from None
    return Token(text, until / 1000 - time.time())


def librdkafka_callback(config: str) -> tuple[str, float]:
    """librdkafka's `oauth_cb` for Amazon MSK: (token, Unix time in seconds of its end).

    Args:
        config: the client's `sasl.oauthbearer.config`, the region.

    Raises:
        TokenError: none was given; the client reports it as a failed login.
    """
    token = ask_aws(config)
    return token.text, time.time() + token.seconds


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limit: TimeLimit) -> None:
        super().__init__()
        self._limit = limit

    def do_open(self, http_class: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """See `urllib.request.AbstractHTTPHandler`."""
        return super().do_open(_within(self._limit, http_class), *args, **options)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limit: TimeLimit, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._limit = limit

    def do_open(self, http_class: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """See `urllib.request.AbstractHTTPHandler`."""
        return super().do_open(_within(self._limit, http_class), *args, **options)


def _within(limit: TimeLimit, make: Callable[..., HTTPConnection]) -> Callable[..., HTTPConnection]:
    return lambda *args, **options: limit.holds_for(make(*args, **options))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The credentials go to the address in the spec and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def _token(answer: dict[str, Any]) -> Token:
    return Token(str(answer["access_token"]), float(answer.get("expires_in", 60)))


def _code(error: urllib.error.HTTPError) -> str:
    """The provider's `error`, one of a few codes in the standard; its other words are left out."""
    try:
        code = str(json.loads(error.read(MOST_BYTES))["error"])
    except (OSError, HTTPException, *_NOT_AS_DOCUMENTED):
        return ""
    return f" {code}" if code.replace("_", "").isalnum() and len(code) <= 64 else ""
