"""How clients of a local broker have to identify themselves. Pure: settings in, properties out.

Only the listener for clients is secured; the brokers talk to each other and to their controllers
over plaintext listeners on loopback, as ANONYMOUS, who is a super user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from textmod_dev.certificates import CertificateAuthority, write_private
from textmod_dev.identity_provider import AUDIENCE

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

LISTENER = "CLIENT"


@dataclass(frozen=True)
class Security:
    """What the broker asks of its clients.

    Attributes:
        protocol: of the clients' listener.
        mechanism: of SASL.
        users: name -> password, for SASL.
        mutual: TLS clients need a certificate (`client_files` makes one).
        acls: nothing is allowed to anybody without an ACL, but to `super_users`.
        provider: URL of the `IdentityProvider` whose tokens count, for OAUTHBEARER; `users` are its
            clients.
    """

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    users: Mapping[str, str] = field(default_factory=dict)
    mutual: bool = False
    acls: bool = False
    super_users: tuple[str, ...] = ()
    provider: str = ""

    @property
    def sasl(self) -> bool:
        """Clients log in."""
        return self.protocol.startswith("SASL")

    @property
    def tls(self) -> bool:
        """Clients encrypt."""
        return self.protocol.endswith("SSL")

    def scram_credentials(self) -> list[str]:
        """Arguments of the storage tool's ``format`` that put the SCRAM users in place.

        The tool takes passwords no other way; these are made up for one local broker's life.
        """
        if not self.sasl or not self.mechanism.startswith("SCRAM"):
            return []
        return [
            argument
            for name, password in self.users.items()
            for argument in (
                "--add-scram",
                f"{self.mechanism}=[name={name},password={password}]",
            )
        ]

    def client_config(self, user: str, folder: Path) -> dict[str, str]:
        """librdkafka's settings for one user; `folder` is where `make_files` wrote."""
        config: dict[str, str] = {"security.protocol": self.protocol}
        if self.sasl:
            config |= {"sasl.mechanism": self.mechanism, **self._login(user)}
        if self.tls:
            config["ssl.ca.location"] = str(folder / "ca.crt")
        if self.tls and self.mutual:
            config["ssl.certificate.location"] = str(folder / f"{user}.crt")
            config["ssl.key.location"] = str(folder / f"{user}.key")
        return config

    def _login(self, user: str) -> dict[str, str]:
        if self.mechanism != "OAUTHBEARER":
            return {"sasl.username": user, "sasl.password": self.users[user]}
        return {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": f"{self.provider}/token",
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": self.users[user],
        }

    def java_options(self) -> list[str]:
        """Options of the broker's Java: a URL has to be allowed before Kafka (4.0 on) reads it."""
        if not self.provider:
            return []
        return [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._keys_url}"]

    @property
    def _keys_url(self) -> str:
        return f"{self.provider}/keys"

    def make_files(self, folder: Path) -> None:
        """The certificates that the listener needs: ``ca.crt``, ``broker.pem``, ``<user>.crt``."""
        if not self.tls:
            return
        authority = CertificateAuthority(folder, "ca")
        pair = authority.issue("broker", "broker", hosts=["127.0.0.1", "localhost"])
        write_private(folder / "broker.pem", pair.key.read_bytes() + pair.certificate.read_bytes())
        if self.mutual:
            for user in self.users:
                authority.issue(user, user)

    def properties(self, folder: Path) -> dict[str, str]:
        """Lines of ``server.properties``."""
        prefix = f"listener.name.{LISTENER.lower()}"
        result: dict[str, str] = {}
        if self.acls:
            super_users = ";".join(f"User:{name}" for name in ("ANONYMOUS", *self.super_users))
            result |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": super_users,
                "allow.everyone.if.no.acl.found": "false",
            }
        if self.sasl:
            result |= {
                f"{prefix}.sasl.enabled.mechanisms": self.mechanism,
                f"{prefix}.{self.mechanism.lower()}.sasl.jaas.config": self._login_module(),
                **self._tokens(prefix),
            }
        if self.tls:
            result |= {
                f"{prefix}.ssl.keystore.type": "PEM",
                f"{prefix}.ssl.keystore.location": str(folder / "broker.pem"),
                f"{prefix}.ssl.truststore.type": "PEM",
                f"{prefix}.ssl.truststore.location": str(folder / "ca.crt"),
                f"{prefix}.ssl.client.auth": "required" if self.mutual else "none",
                f"{prefix}.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            }
        return result

    def _tokens(self, prefix: str) -> dict[str, str]:
        """How the listener judges tokens: by Kafka's own validator and the provider's keys."""
        if self.mechanism != "OAUTHBEARER":
            return {}
        handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
        return {
            f"{prefix}.oauthbearer.sasl.server.callback.handler.class": handler,
            f"{prefix}.sasl.oauthbearer.jwks.endpoint.url": self._keys_url,
            f"{prefix}.sasl.oauthbearer.expected.audience": AUDIENCE,
            f"{prefix}.sasl.oauthbearer.expected.issuer": self.provider,
        }

    def _login_module(self) -> str:
        package = "org.apache.kafka.common.security"
        if self.mechanism == "OAUTHBEARER":
            return f"{package}.oauthbearer.OAuthBearerLoginModule required;"
        if self.mechanism != "PLAIN":
            return f"{package}.scram.ScramLoginModule required;"
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        return f"{package}.plain.PlainLoginModule required {users};"
