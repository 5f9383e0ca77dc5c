"""Tokens for Amazon MSK: a login that AWS's own library signs with the pod's AWS role."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from textmod_model.errors import ConfigurationError

FRESH_SECONDS: Final = 450.0
"""A token that is valid for longer than this is used again: it is half of the 15 minutes that one
lasts. A client renews its token once a fifth of the time is left, so it always gets a new one."""

USABLE_SECONDS: Final = 30.0
"""A token that is valid for longer than this is still used while AWS gives no new one."""


class Token(NamedTuple):
    """A token and its end in Unix seconds, as librdkafka's `oauth_cb` returns it."""

    text: str
    until: float


class Tokens:
    """The tokens of one process, by region. May be used from several threads.

    Every client asks for one when it is opened, some every minute, and signing asks AWS for the
    role's credentials: a shared token saves those requests, and bridges a short outage of AWS.
    """

    def __init__(
        self, sign: Callable[[str], Token], clock: Callable[[], float] = time.time
    ) -> None:
        self._sign = sign
        self._clock = clock
        self._held: dict[str, Token] = {}

    def token(self, region: str) -> Token:
        """Return a valid token. Raises ConfigurationError where there is none."""
        held = self._held.get(region)
        left = 0.0 if held is None else held.until - self._clock()
        if held is not None and left > FRESH_SECONDS:
            return held
        try:
            found = self._held[region] = self._sign(region)
        except ConfigurationError:
            if held is None or left < USABLE_SECONDS:
                raise
            return held
        return found


def sign(region: str) -> Token:
    """Sign a new token with the credentials of the pod's role.

    Args:
        region: the client's `sasl.oauthbearer.config`.

    Raises:
        ConfigurationError: AWS's library is not installed, or finds no credentials.
    """
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError:
        message = (
            "TEXTMOD_KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs the Python package "
            "aws-msk-iam-sasl-signer-python, which this image does not hold: install "
            "textmoderation[aws]."
        )
        raise ConfigurationError(message) from None
    try:
        text, until = MSKAuthTokenProvider.generate_auth_token(region)
    except Exception as error:  # noqa: BLE001 - whatever its chain of credentials raises
        message = (
            f"AWS gave this pod no credentials ({type(error).__name__}): give a role to the "
            "ServiceAccount that spec.model.serviceAccountName names."
        )
        raise ConfigurationError(message) from None
    return Token(text, until / 1000)


token = Tokens(sign).token
"""librdkafka's `oauth_cb`."""
