"""curl as a client: one call, one exchange, and its log line made from what curl itself says.

It must not know fleetcap's pipeline.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetcap.demo.errors import DemoError
from fleetcap.demo.truth import Address, Exchange, digest

_PATIENCE_S: Final = "30"


@dataclass(frozen=True, slots=True)
class Request:
    """What curl shall do. `options` are curl's."""

    scenario: str
    method: str
    host: str
    port: int
    target: str
    body: bytes = b""
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}{self.target}"


def run(request: Request, certificate: Path) -> Exchange:
    """Make the exchange.

    Raises:
        DemoError: curl is missing or failed.
    """
    with tempfile.NamedTemporaryFile(prefix="fleetcap-curl-") as body:
        command = ["curl", "--silent", "--show-error", "--http1.1", "--max-time", _PATIENCE_S, "--cacert", str(certificate)]
        # Nothing of the user's own settings: neither a .curlrc, which has to be turned off first of all, nor a proxy.
        command[1:1] = ["--disable", "--noproxy", "*"]
        command += ["--output", body.name, "--write-out", "%{json}", "--request", request.method, *request.options]
        command += ["--data-binary", "@-"] if request.body else []
        said, pid = _call([*command, request.url], request)
        return _exchange(request, json.loads(said), Path(body.name).read_bytes(), pid)


def _call(command: list[str], request: Request) -> tuple[bytes, int]:
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except FileNotFoundError as error:
        raise DemoError("curl is missing; install it (apt-get install curl) or run scripts/setup") from error
    said, complaint = process.communicate(request.body)
    if process.returncode:
        reason = complaint.decode(errors="replace").strip()
        raise DemoError(f"curl could not get {request.url}: {reason}; see whether the demo's server still runs")
    return said, process.pid


def _exchange(request: Request, said: dict[str, object], body: bytes, pid: int) -> Exchange:
    def number(name: str) -> int:
        return int(str(said[name]))

    return Exchange(
        scenario=request.scenario,
        method=request.method,
        target=request.target,
        status=number("http_code"),
        request_size=len(request.body),
        request_sha256=digest(request.body),
        response_size=len(body),
        response_sha256=digest(body),
        client=Address(str(said["local_ip"]), number("local_port")),
        server=Address(str(said["remote_ip"]), number("remote_port")),
        client_pid=pid,
        client_comm="curl",
    )
