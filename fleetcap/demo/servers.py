"""Starts the demo's TLS servers, ours and nginx, with a certificate made on the spot; all on loopback addresses and free ports.

It must not know fleetcap's pipeline.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetcap.demo import processes
from fleetcap.demo.errors import DemoError
from fleetcap.demo.truth import own_comm

NGINX: Final = "/usr/sbin/nginx"  # not on everybody's PATH
_PATIENCE_S = 20.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Server:
    """One listener. `pid` is of the process that answers."""

    name: str
    host: str
    port: int
    pid: int
    comm: str


@dataclass(frozen=True, slots=True)
class Servers:
    """All of them. `ipv6` is None where this machine has no ::1, `nginx` where it is not installed."""

    python: Server
    ipv6: Server | None
    nginx: Server | None
    certificate: Path

    @property
    def all(self) -> tuple[Server, ...]:
        """Those that there are."""
        return tuple(one for one in (self.python, self.ipv6, self.nginx) if one)


@contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Start them; they end with the context. Files go to `folder`.

    Raises:
        DemoError: openssl is missing, or a server did not start.
    """
    certificate, key = make_certificate(folder)
    with ExitStack() as stack:
        ours = _start_ours(stack, folder, certificate, key)
        nginx = _start_nginx(stack, folder, certificate, key) if Path(NGINX).exists() else None
        yield Servers(ours["127.0.0.1"], ours.get("::1"), nginx, certificate)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the loopback addresses, valid for a day, and its key.

    Raises:
        DemoError: openssl is missing or failed.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", names, "-out", str(certificate), "-keyout", str(key)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DemoError("openssl is missing; install it (apt-get install openssl) or run scripts/setup") from error
    except subprocess.CalledProcessError as error:
        raise DemoError(f"openssl could not make a certificate in {folder}: {error.stderr.strip()[-200:]}") from error
    return certificate, key


def _start_ours(stack: ExitStack, folder: Path, certificate: Path, key: Path) -> dict[str, Server]:
    log = folder / "server.log"
    command = [sys.executable, "-m", "fleetcap.demo.server", str(certificate), str(key)]
    process = processes.start(command, log, output=subprocess.PIPE, input_=subprocess.PIPE)
    stack.callback(processes.stop, process)
    first = process.stdout.readline() if process.stdout else ""
    if not first:
        raise DemoError(f"the demo's server ended at once: {processes.last_line(log)}; see {log}")
    comm = own_comm(process.pid)
    return {host: Server("python", host, port, process.pid, comm) for host, port in json.loads(first).items()}


def _start_nginx(stack: ExitStack, folder: Path, certificate: Path, key: Path) -> Server:
    site = folder / "nginx"
    _write_site(site)
    log = folder / "nginx.log"
    for _ in range(_TRIES):
        port = _free_port()
        (site / "nginx.conf").write_text(_configuration(site, port, certificate, key))
        process = processes.start([NGINX, "-e", str(log), "-c", str(site / "nginx.conf"), "-p", str(site)], log)
        if _await_listening(port, process):
            stack.callback(processes.stop, process)
            worker = _child(process.pid)
            return Server("nginx", "127.0.0.1", port, worker, own_comm(worker))
        processes.stop(process)
    raise DemoError(f"nginx did not start: {processes.last_line(log)}; see {log}")


def _write_site(site: Path) -> None:
    # Its worker is nobody's, so it has to be let in.
    site.parent.chmod(0o755)
    (site / "html").mkdir(parents=True)
    (site / "html" / "index.html").write_text("<!doctype html>\n<title>fleetcap</title>\n" + "<p>seen from inside</p>\n" * 40)
    (site / "html" / "large.bin").write_bytes(bytes(range(256)) * 800)


def _configuration(site: Path, port: int, certificate: Path, key: Path) -> str:
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    temporary = "\n".join(f"  {name}_temp_path {site}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
{user}
daemon off;
worker_processes 1;
pid {site}/nginx.pid;
events {{ worker_connections 64; }}
http {{
{temporary}
  access_log off;
  default_type text/html;
  gzip on;
  gzip_min_length 100;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    root {site}/html;
    location = /form {{ return 200 "thank you\\n"; }}
  }}
}}
"""


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listening(port: int, process: subprocess.Popen[str]) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _child(pid: int) -> int:
    """The only child of a process: nginx's one worker, which answers."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(entry) == pid:
                return int(entry.name)
        time.sleep(0.02)
    raise DemoError(f"nginx, process {pid}, has no worker; see its log")


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None  # it ended while we looked
