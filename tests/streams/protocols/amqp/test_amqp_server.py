"""A real RabbitMQ and its usual client, through a recording proxy: what is decoded is what was said."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetcap_streams.protocols.amqp import SPEC
from fleetcap_streams.protocols.contract import Message, Role
from tests.streams.protocols.proxy import HOST, free_port, recording, serving
from tests.streams.protocols.tapping import decoded

pika: Any = pytest.importorskip("pika")

# What is on PATH would change to the user rabbitmq and to its folders.
SERVER_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = shutil.which("epmd")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER_PROGRAM.exists() or EPMD is None, reason="no RabbitMQ: apt-get install rabbitmq-server"),
]
BIG = bytes(range(256)) * 1500  # more than a frame holds


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A node of its own, on the loopback, with its own epmd, in its own folder."""
    place: Path = tmp_path_factory.mktemp("rabbitmq")
    port, names_port = free_port(), free_port()
    (place / "plugins").write_text("[].")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(place),
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(names_port),
        "RABBITMQ_NODENAME": f"fleetcap{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(place),
        "RABBITMQ_LOG_BASE": str(place),
        "RABBITMQ_PID_FILE": str(place / "pid"),
        "RABBITMQ_CONFIG_FILE": str(place / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(place / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    assert EPMD is not None
    with (
        serving([EPMD, "-port", str(names_port), "-address", HOST], names_port),
        serving([str(SERVER_PROGRAM)], port, environment=environment),
    ):
        yield port


@contextmanager
def connected(port: int, password: str = "guest") -> Iterator[Any]:  # noqa: S107 - RabbitMQ's own
    credentials = pika.PlainCredentials("guest", password)
    parameters = pika.ConnectionParameters(HOST, port, credentials=credentials, socket_timeout=20, blocked_connection_timeout=20)
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def told(messages: list[Message], *names: str) -> list[tuple[object, ...]]:
    return [tuple(message.attributes.get(name) for name in names) for message in messages]


def exchanges(messages: list[Message]) -> list[tuple[str, str]]:
    """Requests and their answers, by operation."""
    answers = {message.exchange: message for message in messages if message.role is Role.RESPONSE and message.exchange}
    return [
        (str(message.attributes["operation"]), str(answers[message.exchange].attributes["operation"]))
        for message in messages
        if message.role is Role.REQUEST and message.exchange in answers
    ]


def of(messages: list[Message], *operations: str) -> list[Message]:
    return [message for message in messages if message.attributes["operation"] in operations]


def test_work_that_is_published_confirmed_and_consumed(port: int):
    properties = pika.BasicProperties(
        content_type="text/plain",
        correlation_id="c1",
        reply_to="answers",
        message_id="m1",
        headers={"n": 1, "deep": {"l": [True]}},
    )
    with recording(port) as recorder, connected(recorder.port) as connection:
        channel = connection.channel()
        channel.exchange_declare("logs", "topic", auto_delete=True)
        channel.queue_declare("work", arguments={"x-max-length": 100})
        channel.queue_bind("work", "logs", "a.*")
        channel.confirm_delivery()
        channel.basic_publish("logs", "a.b", b"first", properties)
        channel.basic_publish("logs", "a.c", BIG)
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume("work", inactivity_timeout=20):
            channel.basic_ack(method.delivery_tag)
            if body == BIG:
                break
        channel.cancel()
        assert channel.basic_get("work") == (None, None, None)
        channel.queue_delete("work")
    messages = decoded(SPEC, recorder.connections[0])
    assert all(message.complete for message in messages)
    assert "secret-hidden" in of(messages, "connection.start-ok")[0].notes
    assert exchanges(messages) == [
        ("connection.start", "connection.start-ok"),
        ("connection.tune", "connection.tune-ok"),
        ("connection.open", "connection.open-ok"),
        ("channel.open", "channel.open-ok"),
        ("exchange.declare", "exchange.declare-ok"),
        ("queue.declare", "queue.declare-ok"),
        ("queue.bind", "queue.bind-ok"),
        ("confirm.select", "confirm.select-ok"),
        ("basic.publish", "basic.ack"),
        ("basic.publish", "basic.ack"),
        ("basic.qos", "basic.qos-ok"),
        ("basic.consume", "basic.consume-ok"),
        ("basic.cancel", "basic.cancel-ok"),
        ("basic.get", "basic.get-empty"),
        ("queue.delete", "queue.delete-ok"),
        ("channel.close", "channel.close-ok"),
        ("connection.close", "connection.close-ok"),
    ]
    published, delivered = of(messages, "basic.publish"), of(messages, "basic.deliver")
    names = ("exchange", "routing_key", "correlation_id", "reply_to", "message_id", "headers")
    assert (
        told(published, *names)
        == told(delivered, *names)
        == [
            ("logs", "a.b", "c1", "answers", "m1", {"n": 1, "deep": {"l": [True]}}),
            ("logs", "a.c", None, None, None, None),
        ]
    )
    assert [message.body_size for message in delivered] == [5, len(BIG)]
    assert BIG.startswith(delivered[1].body)
    assert len(delivered[1].body) == 64 * 1024
    assert of(messages, "queue.declare")[0].attributes["arguments"] == {"x-max-length": 100}


def test_confirmations_of_many_at_once(port: int):
    count = 500
    with recording(port) as recorder, connected(recorder.port) as connection:
        channel = connection.channel()
        channel.queue_declare("many", exclusive=True)
        # The client that blocks would wait for each; this one says it all, and lets the answers come.
        implementation = channel._impl
        selected = threading.Event()
        implementation.confirm_delivery(lambda _: None, callback=lambda _: selected.set())
        while not selected.is_set():
            connection.process_data_events(0.05)
        for number in range(count):
            implementation.basic_publish("", "many", str(number).encode())
        while channel.queue_declare("many", passive=True).method.message_count < count:
            connection.process_data_events(0.05)
        connection.process_data_events(0.5)
    messages = decoded(SPEC, recorder.connections[0])
    confirmed = {message.exchange: message.attributes["confirms"] for message in messages if "confirms" in message.attributes}
    published = of(messages, "basic.publish")
    assert [message.body for message in published] == [str(number).encode() for number in range(count)]
    assert [confirmed[message.exchange] for message in published] == list(range(1, count + 1))


def test_a_message_that_nobody_wants_comes_back(port: int):
    with recording(port) as recorder, connected(recorder.port) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish("", "nowhere", b"lost", mandatory=True)
    messages = decoded(SPEC, recorder.connections[0])
    (returned,) = of(messages, "basic.return")
    assert (returned.body, returned.attributes["error_code"], returned.attributes["error"]) == (b"lost", 312, "NO_ROUTE")
    assert ("basic.publish", "basic.ack") in exchanges(messages)


def test_what_fails_closes_its_channel(port: int):
    with recording(port) as recorder, connected(recorder.port) as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("none", passive=True)
        connection.channel().queue_declare("none")
    messages = decoded(SPEC, recorder.connections[0])
    assert exchanges(messages)[4:8] == [
        ("queue.declare", "channel.close"),
        ("channel.close", "channel.close-ok"),
        ("channel.open", "channel.open-ok"),
        ("queue.declare", "queue.declare-ok"),
    ]
    error = of(messages, "channel.close")[0].attributes
    assert (error["error_code"], error["failing_method"]) == (404, "queue.declare")


def test_a_client_that_is_refused(port: int):
    with (
        recording(port) as recorder,
        pytest.raises(pika.exceptions.ProbableAuthenticationError),
        connected(recorder.port, "hunter2"),
    ):
        pass
    messages = decoded(SPEC, recorder.connections[0])
    assert "hunter2" not in repr(messages)
    (refused,) = of(messages, "connection.close")
    assert refused.attributes["error_code"] == 403
