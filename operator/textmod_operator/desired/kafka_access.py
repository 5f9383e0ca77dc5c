"""How a pod reaches Kafka: variables, and the Secrets that are mounted.

The pods of the model and of the console share it.
"""

from __future__ import annotations

from typing import Any

from textmod_operator import naming
from textmod_operator.api.kafka import Sasl
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.state import KafkaConnection, Manifest

CA_FOLDER = "/etc/textmod/kafka-ca"
CERTIFICATE_FOLDER = "/etc/textmod/kafka-certificate"
OAUTH_CA_FOLDER = "/etc/textmod/kafka-oauth-ca"
SECRET_MODE = 0o444
"""Of mounted Secrets: the kubelet makes root their owner and, where the pod has no fsGroup, their
group, and which user and group a model pod has is decided by the image, Seldon or OpenShift. The
volume is mounted in this pod's own containers only."""


def brokers(connection: KafkaConnection) -> dict[str, str]:
    """Variables that say where the brokers are; only the public part of the connection is used."""
    return {
        naming.ENV_BOOTSTRAP_SERVERS: connection.bootstrap_servers,
        naming.ENV_SECURITY_PROTOCOL: connection.security_protocol,
    }


def credentials(tm: TextModeration) -> list[Manifest]:
    """Variables for the login: references to Secrets, never their content."""
    entries: list[Manifest] = []
    if sasl := tm.spec.kafka.sasl:
        entries += _login(sasl)
    if tls := tm.spec.kafka.tls:
        files: dict[str, str] = {}
        if tls.ca_secret_ref:
            files[naming.ENV_SSL_CA_FILE] = f"{CA_FOLDER}/{tls.ca_secret_ref.key}"
        if pair := tls.certificate_secret_ref:
            files[naming.ENV_SSL_CERTIFICATE_FILE] = f"{CERTIFICATE_FOLDER}/{pair.cert_key}"
            files[naming.ENV_SSL_KEY_FILE] = f"{CERTIFICATE_FOLDER}/{pair.key_key}"
        entries += [variable(name, path) for name, path in files.items()]
    return entries


def _login(sasl: Sasl) -> list[Manifest]:
    values: dict[str, str | None] = {naming.ENV_SASL_MECHANISM: sasl.mechanism}
    secrets: dict[str, tuple[str, str]] = {}
    if ref := sasl.secret_ref:
        secrets[naming.ENV_SASL_USERNAME] = (ref.name, ref.username_key)
        secrets[naming.ENV_SASL_PASSWORD] = (ref.name, ref.password_key)
    if oauth := sasl.oauth:
        client, ca = oauth.secret_ref, oauth.ca_secret_ref
        secrets[naming.ENV_OAUTH_CLIENT_ID] = (client.name, client.client_id_key)
        secrets[naming.ENV_OAUTH_CLIENT_SECRET] = (client.name, client.client_secret_key)
        values |= {
            naming.ENV_OAUTH_TOKEN_ENDPOINT_URL: oauth.token_endpoint_url,
            naming.ENV_OAUTH_SCOPE: oauth.scope,
            naming.ENV_OAUTH_CA_FILE: f"{OAUTH_CA_FOLDER}/{ca.key}" if ca else None,
        }
    if sasl.aws:
        values[naming.ENV_AWS_REGION] = sasl.aws.region
    return [
        *(variable(name, value) for name, value in values.items() if value is not None),
        *({"name": name, "valueFrom": secret_key(*at)} for name, at in secrets.items()),
    ]


def secret_key(name: str, key: str) -> Manifest:
    """The source of a variable that a Secret holds."""
    return {"secretKeyRef": {"name": name, "key": key}}


def volumes(tm: TextModeration) -> list[Manifest]:
    """The Secrets that are mounted, as volumes."""
    return [secret_volume(volume, secret) for volume, secret, _ in _mounted(tm)]


def mounts(tm: TextModeration) -> list[dict[str, Any]]:
    """Where they are mounted."""
    return [secret_mount(volume, folder) for volume, _, folder in _mounted(tm)]


def secret_volume(volume: str, secret: str) -> Manifest:
    """A Secret as a volume of the pod, readable there whatever user and groups the pod runs as."""
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": SECRET_MODE}}


def secret_mount(volume: str, folder: str) -> dict[str, Any]:
    """Where such a volume is mounted."""
    return {"name": volume, "mountPath": folder, "readOnly": True}


def _mounted(tm: TextModeration) -> list[tuple[str, str, str]]:
    """(volume, Secret, folder) of each Secret that is mounted."""
    tls = tm.spec.kafka.tls
    mounted = []
    if tls and tls.ca_secret_ref:
        mounted.append(("kafka-ca", tls.ca_secret_ref.name, CA_FOLDER))
    if tls and tls.certificate_secret_ref:
        mounted.append(("kafka-certificate", tls.certificate_secret_ref.name, CERTIFICATE_FOLDER))
    oauth = tm.spec.kafka.sasl.oauth if tm.spec.kafka.sasl else None
    if oauth and oauth.ca_secret_ref:
        mounted.append(("kafka-oauth-ca", oauth.ca_secret_ref.name, OAUTH_CA_FOLDER))
    return mounted
