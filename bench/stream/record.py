"""Records the mixes anew: real traffic of nginx, its clients and a gRPC server, captured by our producer on nginx's side.

    .venv/bin/python -m bench.stream.record [MIX …]

Needs root, eBPF, nginx, curl, grpcio and websockets. A mix is a recording; `mixes.py` multiplies it over nodes and connections.
Everything listens on loopback, and what crosses is made up.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from bench.overhead import free_port, wait_for
from bench.stream.mixes import FOLDER

CONNECTIONS = 8
SMALL_EXCHANGES = 200  # on each connection
CALLS = 100
LARGE_BYTES = 500_000
LARGE_EXCHANGES = 2
SUBSCRIPTIONS = 40
TICKS = 8  # that each subscription is answered with

NGINX_CONF = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{https} ssl;
    listen 127.0.0.1:{grpcs} ssl http2;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    root {folder};
    location /api/ {{ return 200 '{{"path": "$uri", "request": "$request_id", "status": "active"}}'; }}
    location /bench. {{ grpc_pass grpc://127.0.0.1:{grpc}; }}
    location /feed {{
      proxy_pass http://127.0.0.1:{feed};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
}}
"""


def answer(request: bytes, context: Any) -> bytes:
    """Somewhat longer than the question."""
    context.send_initial_metadata((("x-shard", str(len(request) % 16)),))
    return request + b"; stock 17, price 1299, currency EUR"


def http1_small(folder: Path, https: int, _: int) -> None:
    """Keep-alive connections of GETs with answers of some 90 bytes."""
    for number in range(CONNECTIONS):
        urls = [f"https://127.0.0.1:{https}/api/v1/items/{number}{each:03}?page={each % 7}" for each in range(SMALL_EXCHANGES)]
        curl(folder, ["--http1.1", "-H", f"X-Request-Id: 7f3c{number:06}"], urls)


def large_bodies(folder: Path, https: int, _: int) -> None:
    """Downloads of half a megabyte that nothing compresses, as pictures and archives are."""
    (folder / "large").write_bytes(os.urandom(LARGE_BYTES))
    for _number in range(CONNECTIONS // 4):
        curl(folder, ["--http1.1"], [f"https://127.0.0.1:{https}/large"] * LARGE_EXCHANGES)


def http2_grpc(folder: Path, _: int, grpcs: int) -> None:
    """Unary calls of grpcio, one after the other on each connection."""
    credentials = grpc.ssl_channel_credentials((folder / "cert.pem").read_bytes())
    for number in range(CONNECTIONS):
        options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"127.0.0.1:{grpcs}", credentials, options) as channel:
            for each in range(CALLS):
                call = channel.unary_unary(f"/bench.Inventory/{'Get' if each % 3 else 'List'}Item")
                call(b"item %d of shelf %d" % (each, number), metadata=(("x-request-id", f"7f3c{each:06}"), ("x-tenant", "acme")))


def websocket(folder: Path, https: int, _: int) -> None:
    """Subscriptions, each answered with a few small messages, as feeds of prices are; compressed as browsers ask for it."""
    trusted = ssl.create_default_context(cafile=folder / "cert.pem")
    for number in range(CONNECTIONS):
        with connect(f"wss://127.0.0.1:{https}/feed", ssl=trusted) as feed:
            for each in range(SUBSCRIPTIONS):
                feed.send(json.dumps({"subscribe": f"item-{number}-{each}", "from": each}))
                for _tick in range(TICKS):
                    feed.recv()


def tick(feed: ServerConnection) -> None:
    """The other end of `websocket`."""
    for asked in feed:
        name = json.loads(asked)["subscribe"]
        for each in range(TICKS):
            feed.send(json.dumps({"item": name, "bid": 1299 + each, "ask": 1301 + each, "currency": "EUR", "sequence": each}))


MIXES: dict[str, Callable[[Path, int, int], None]] = {
    "http1-small": http1_small,
    "http2-grpc": http2_grpc,
    "large-bodies": large_bodies,
    "websocket": websocket,
}


def curl(folder: Path, options: list[str], urls: list[str]) -> None:
    command = ["curl", "--silent", "--fail", "--cacert", str(folder / "cert.pem"), *options]
    words = [word for url in urls for word in ("--url", url, "--output", "/dev/null")]
    subprocess.run([*command, *words], check=True)


@contextmanager
def servers(folder: Path) -> Iterator[tuple[int, int]]:
    """nginx and a gRPC server behind it; yields nginx's HTTPS and gRPC ports."""
    backend = grpc.server(futures.ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    calls = {"GetItem": handler, "ListItem": handler}
    backend.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Inventory", calls),))
    https, grpcs, plain = free_port(), free_port(), backend.add_insecure_port("127.0.0.1:0")
    backend.start()
    feed = serve(tick, "127.0.0.1", 0)
    threading.Thread(target=feed.serve_forever).start()
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, "-days", "2"]
    subprocess.run([*key, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    (folder / "nginx.conf").write_text(
        NGINX_CONF.format(folder=folder, https=https, grpcs=grpcs, grpc=plain, feed=feed.socket.getsockname()[1])
    )
    folder.chmod(0o755)
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")])
    try:
        time.sleep(1)
        yield https, grpcs
    finally:
        process.terminate()
        process.wait(30)
        feed.shutdown()
        backend.stop(0).wait()


def record(output: Path, traffic: Callable[[], Any], folder: Path) -> None:
    """Capture nginx while `traffic` runs."""
    log = folder / "record.log"
    with log.open("w") as err:
        command = [sys.executable, "-m", "fleetcap", "record", "--live", "--comm", "nginx", "--output", str(output)]
        process = subprocess.Popen([*command, "--node-id", "node"], stdout=err, stderr=err)
        try:
            wait_for(lambda: "capturing" in log.read_text().lower())
            traffic()
            time.sleep(1)
        finally:
            process.terminate()
            process.wait(60)
    sys.stdout.write(f"{output.name}: {log.read_text().strip().splitlines()[-1]}\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with servers(folder) as (https, grpcs):
            for mix, traffic in MIXES.items():
                if len(sys.argv) > 1 and mix not in sys.argv[1:]:
                    continue
                output = folder / f"{mix}.fcap"
                record(output, partial(traffic, folder, https, grpcs), folder)
                (FOLDER / output.name).write_bytes(output.read_bytes())


if __name__ == "__main__":
    main()
