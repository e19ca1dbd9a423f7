"""The scenarios, one after the other: each starts a client, waits for it and takes in what it logged.

It must not know fleetcap's pipeline.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from fleetcap.demo import curl
from fleetcap.demo.errors import DemoError
from fleetcap.demo.server import noise
from fleetcap.demo.servers import Server, Servers
from fleetcap.demo.truth import Exchange, parse


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the large bodies are, in bytes."""

    download: int = 5_000_000
    upload: int = 300_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that the demo shows. `run` makes its exchanges and returns what the client logged.

    Raises:
        DemoError: (from `run`) the client is missing or failed.
    """

    name: str
    what: str
    run: Callable[[], list[Exchange]]


def scenarios(servers: Servers, sizes: Sizes | None = None) -> Iterator[Scenario]:
    """All that this machine can show."""
    sizes = sizes or Sizes()
    ours = partial(_python, servers, servers.python)
    yield Scenario("curl", "curl over HTTP/1.1, a connection for each request", partial(_curl, servers))
    yield Scenario("keep-alive", "a Python client, six exchanges on one connection", partial(ours, "keep-alive"))
    yield Scenario("gzip", "a compressed response", partial(ours, "gzip", 50_000))
    yield Scenario("chunked", "a chunked response with a trailer", partial(ours, "chunked", 100_000))
    yield Scenario("download", f"a download of {sizes.download:,} bytes", partial(ours, "download", sizes.download))
    yield Scenario("upload", f"a POST of {sizes.upload:,} bytes in one SSL_write", partial(ours, "upload", sizes.upload))
    yield Scenario("threads", "three threads that share one connection", partial(ours, "threads"))
    if servers.ipv6:
        yield Scenario("ipv6", "a connection over IPv6", partial(_python, servers, servers.ipv6, "ipv6"))
    if servers.nginx:
        yield Scenario("nginx", "nginx as the server", partial(_nginx, servers, servers.nginx))


def gentle(servers: Servers) -> Iterator[Scenario]:
    """Small exchanges without end, for watching."""
    small = Sizes(download=20_000, upload=20_000)
    while True:
        yield from scenarios(servers, small)


def hello(servers: Servers, server: Server) -> list[Exchange]:
    """The smallest scenario, against any of the servers."""
    return _python(servers, server, "hello")


def _python(servers: Servers, server: Server, scenario: str, size: int = 1000) -> list[Exchange]:
    call = [scenario, server.host, str(server.port), str(servers.certificate), str(size)]
    done = subprocess.run(
        [sys.executable, "-m", "fleetcap.demo.client", *call],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C lets it finish
    )
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DemoError(f"the client of scenario {scenario} failed: {complaint}; see whether {server.host}:{server.port} answers")
    return [_answered_by(server, exchange) for exchange in parse(done.stdout.splitlines())]


def _curl(servers: Servers) -> list[Exchange]:
    server = servers.python
    ask = partial(curl.Request, "curl", host=server.host, port=server.port)
    requests = (
        ask("GET", target="/hello"),
        ask("GET", target="/gzip?size=20000", options=("--compressed",)),
        ask("POST", target="/form", body=noise(4000), options=("--header", "Expect: 100-continue")),
    )
    return [_answered_by(server, curl.run(request, servers.certificate)) for request in requests]


def _nginx(servers: Servers, server: Server) -> list[Exchange]:
    ask = partial(curl.Request, "nginx", host=server.host, port=server.port)
    requests = (
        ask("GET", target="/"),
        ask("GET", target="/", options=("--compressed",)),
        ask("GET", target="/large.bin"),
        ask("GET", target="/missing"),
        ask("POST", target="/form", body=b"name=fleet&what=cap"),
    )
    made = [_answered_by(server, curl.run(request, servers.certificate)) for request in requests]
    return made + [replace(exchange, scenario="nginx") for exchange in hello(servers, server)]


def _answered_by(server: Server, exchange: Exchange) -> Exchange:
    return replace(exchange, server_pid=server.pid, server_comm=server.comm)
