import ssl

import pytest

from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.config import WorkerConfig


def cluster(**options: str) -> Cluster:
    return Cluster("a:1, [::1]:2", {name.replace("_", "."): value for name, value in options.items()})


def test_both_clients_get_the_same_servers() -> None:
    assert cluster().broker_urls() == "kafka://a:1;kafka://[::1]:2"
    assert cluster().client(group_id="g")["bootstrap.servers"] == "a:1, [::1]:2"
    assert cluster().client(group_id="g")["group.id"] == "g"


def test_options_of_the_user_reach_librdkafka() -> None:
    assert cluster(socket_keepalive_enable="true").client()["socket.keepalive.enable"] == "true"


def test_a_plain_connection_has_no_credentials() -> None:
    assert cluster().credentials() is None


def test_tls_verifies_unless_told_otherwise() -> None:
    strict = cluster(security_protocol="SSL").credentials()
    assert strict.protocol.value == "SSL"
    assert (strict.context.verify_mode, strict.context.check_hostname) == (ssl.CERT_REQUIRED, True)
    unnamed = cluster(security_protocol="ssl", ssl_endpoint_identification_algorithm="none").credentials()
    assert (unnamed.context.verify_mode, unnamed.context.check_hostname) == (ssl.CERT_REQUIRED, False)
    blind = cluster(security_protocol="SSL", enable_ssl_certificate_verification="false").credentials()
    assert blind.context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_is_passed_on(protocol: str, mechanism: str) -> None:
    options = {"security_protocol": protocol, "sasl_mechanism": mechanism, "sasl_username": "u", "sasl_password": "p"}
    given = cluster(**options).credentials()
    assert (given.protocol.value, given.mechanism.value) == (protocol, mechanism)
    assert (given.username, given.password) == ("u", "p")
    assert (given.ssl_context is not None) == (protocol == "SASL_SSL")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"security_protocol": "TLS"}, "security.protocol=TLS"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "sasl.mechanism=GSSAPI"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "sasl.username"),
        ({"ssl_keystore_location": "x"}, "ssl.keystore.location"),
        ({"security_protocol": "SSL", "ssl_ca_location": "/no/such/file"}, "ssl."),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(options: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named.replace(".", r"\.")):
        cluster(**options).credentials()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (WorkerConfig("h:1", checkpoint_interval_ms=0), "checkpoint_interval_ms"),
        (WorkerConfig("h:1", log_level="loud"), "log level loud"),
        (WorkerConfig(" "), "--bootstrap-servers"),
        (WorkerConfig("h:1", group=""), "group"),
    ],
)
def test_a_wrong_configuration_is_named(config: WorkerConfig, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        config.validate()
