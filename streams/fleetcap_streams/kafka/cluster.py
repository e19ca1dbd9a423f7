"""One set of options for both Kafka clients: librdkafka's names, as confluent-kafka takes them, made into Faust's credentials.

It must not know topics. Options that only tune librdkafka pass through to it; an option that secures the connection is
either understood for aiokafka too or refused, since half a secure worker is an insecure one.
"""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import faust

from fleetcap_streams.errors import ConfigurationError

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECURITY_PREFIXES: Final = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.")
UNDERSTOOD: Final = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.cipher.suites",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
    }
)
# What librdkafka would write to standard error by itself comes back as errors, which we put into words.
_SILENT: Final = logging.getLogger("fleetcap.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Kafka is and how to talk to it. `options` have librdkafka's names."""

    bootstrap_servers: str
    options: Mapping[str, str] = field(default_factory=dict)

    def client(self, **extra: str | float | bool | Callable[..., None] | None) -> dict[str, Any]:
        """Options of one confluent-kafka client; `extra` has underscores where librdkafka has dots."""
        base: dict[str, Any] = {
            "logger": _SILENT,
            "reconnect.backoff.max.ms": 1000,  # ten seconds by default, which a restarting broker does not need
            **self.options,
            "bootstrap.servers": self.bootstrap_servers,
        }
        return base | {_dotted(name): value for name, value in extra.items()}

    def broker_urls(self) -> str:
        """As Faust wants them: `kafka://host:port;kafka://…`."""
        return ";".join(f"kafka://{server.strip()}" for server in self.bootstrap_servers.split(",") if server.strip())

    def credentials(self) -> Any:
        """The same security options as Faust's credentials, or None for a plain connection.

        Raises:
            ConfigurationError: an option of security.*, sasl.* or ssl.* that the worker's consumer cannot honour.
        """
        self._refuse_unknown()
        protocol = self.options.get("security.protocol", "PLAINTEXT").upper()
        if protocol not in PROTOCOLS:
            raise ConfigurationError(f"Kafka option security.protocol={protocol} is unknown; use one of {', '.join(PROTOCOLS)}")
        context = self._context() if protocol.endswith("SSL") else None
        if protocol.startswith("SASL"):
            return self._sasl(context)
        return faust.SSLCredentials(context) if context else None

    def _refuse_unknown(self) -> None:
        for name in self.options:
            if name.startswith(SECURITY_PREFIXES) and name not in UNDERSTOOD:
                raise ConfigurationError(
                    f"Kafka option {name} is not supported by the worker; supported are {', '.join(sorted(UNDERSTOOD))}"
                )

    def _sasl(self, context: ssl.SSLContext | None) -> Any:
        mechanism = self.options.get("sasl.mechanism") or self.options.get("sasl.mechanisms") or ""
        if mechanism.upper() not in MECHANISMS:
            raise ConfigurationError(
                f"Kafka option sasl.mechanism={mechanism or '(not given)'} is not supported; use one of {', '.join(MECHANISMS)}"
            )
        if not self.options.get("sasl.username"):
            raise ConfigurationError("Kafka option sasl.username is missing; SASL needs it and sasl.password")
        return faust.SASLCredentials(
            username=self.options["sasl.username"],
            password=self.options.get("sasl.password", ""),
            mechanism=mechanism.upper(),
            ssl_context=context,
        )

    def _context(self) -> ssl.SSLContext:
        options = self.options
        try:
            context = _context(options.get("ssl.ca.location", ""))
            if options.get("ssl.certificate.location"):
                context.load_cert_chain(
                    options["ssl.certificate.location"], options.get("ssl.key.location"), options.get("ssl.key.password")
                )
            if options.get("ssl.cipher.suites"):
                context.set_ciphers(options["ssl.cipher.suites"])
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"a Kafka option of ssl.* cannot be used: {error}; check the files, the key's password and the ciphers"
            ) from error
        if options.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
            context.check_hostname = False
        if options.get("enable.ssl.certificate.verification", "true").lower() == "false":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _dotted(name: str) -> str:
    return name if name.endswith("_cb") else name.replace("_", ".")


def _context(authorities: str) -> ssl.SSLContext:
    if not authorities:
        return ssl.create_default_context()
    if Path(authorities).is_dir():
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)
