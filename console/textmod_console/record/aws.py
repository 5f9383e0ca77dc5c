"""Tokens for Amazon MSK: a login that AWS's own library signs with the pod's AWS role."""

from textmod_console.errors import ConfigurationError


def token(region: str) -> tuple[str, float]:
    """Return a token and its end in Unix seconds, as librdkafka's `oauth_cb` does.

    Raises:
        ConfigurationError: AWS's library is not installed, or finds no credentials.
    """
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError:
        message = (
            "TEXTMOD_KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs the Python package"
            " aws-msk-iam-sasl-signer-python, which this image does not hold: install"
            " textmoderation[aws]."
        )
        raise ConfigurationError(message) from None
    try:
        text, until = MSKAuthTokenProvider.generate_auth_token(region)
    except Exception as error:  # noqa: BLE001 - whatever its chain of credentials raises
        message = (
            f"AWS gave this pod no credentials ({type(error).__name__}): give a role to its"
            " ServiceAccount."
        )
        raise ConfigurationError(message) from None
    return text, until / 1000
