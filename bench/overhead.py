"""What capture costs: a server's HTTPS requests/s without capture, with fleetcap, with an empty pair of probes at the entry
and return of SSL_read and SSL_write (the least that a tool attached there can cost), and with bcc's own `sslsniff`, in one run.

    .venv/bin/python -m bench.overhead [--path small|large] [--rounds 3] [--seconds 5] [--json FILE]

Needs root, nginx (or node, or go), wrk and bpfcc-tools (Debian). The server has one worker and keeps connections alive; wrk has
one thread and 32 connections, so client and server share the machine's processors. "fleetcap, server only" is told the server's
process, so that wrk takes no probe; all other variants see wrk as well, if it uses the server's library. The variants run in
turn, round by round, so that a drift of the machine meets them alike; the figures are medians with their range.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from fleetcap_producer import btf, elf, probes
from fleetcap_producer.libraries import mapped_libraries
from fleetcap_producer.program import import_bcc

SSLSNIFF = Path("/usr/sbin/sslsniff-bpfcc")
NGINX_CONF = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        location /small {{ return 200 "0123456789012345678901234567890123456789012345678901234567890123456789\\n"; }}
        location /large {{ alias {folder}/large; }}
    }}
}}
"""
LARGE_BYTES = 100_000


@dataclass(frozen=True)
class Sample:
    """One run of wrk: requests per second, and processor seconds a request that nginx and the capturing process took."""

    requests_s: float
    nginx_us: float
    capture_us: float
    note: str = ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its waited-for children, from /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[int]:
    """A running nginx; yields the pid of its worker."""
    (folder / "large").write_bytes(b"x" * LARGE_BYTES)
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, port=port))
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([*certificate, *files], check=True, capture_output=True)
    folder.chmod(0o755)
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")])
    try:
        wait_for(lambda: bool(children(process.pid)))
        yield children(process.pid)[0]
    finally:
        process.terminate()
        process.wait()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a part of the benchmark did not start in time")
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """End a capture as its user would. A Ctrl-C that meets bcc inside a callback is swallowed there, so it is repeated."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)


@contextmanager
def sslsniff(folder: Path, _: int) -> Iterator[int]:
    """bcc's sslsniff, capturing everything and printing to a file. Its `min()` does not compile with newer headers."""
    source = SSLSNIFF.read_text().replace(
        "min((size_t)MAX_BUF_SIZE, (size_t)len)", "(size_t)len < MAX_BUF_SIZE ? (size_t)len : MAX_BUF_SIZE"
    )
    script = folder / "sslsniff.py"
    script.write_text(source)
    with (folder / "sslsniff.out").open("w") as out:
        process = subprocess.Popen(["/usr/bin/python3", "-u", str(script), "-g", "-n"], stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: "FUNC" in (folder / "sslsniff.out").read_text(errors="replace")[:1000])
            yield process.pid
        finally:
            interrupt(process)


@contextmanager
def entry_probes(_: Path, server: int) -> Iterator[int]:
    """Programs that do nothing, where every peer attaches, for all processes."""
    bcc = import_bcc()
    empty = bcc.BPF(text=b"int hit(void *at) { return 0; }")
    way = probes.attaching(btf.load())
    program = empty.load_func(b"hit", bcc.BPF.KPROBE, None, way.attach_type).fd
    mapped = mapped_libraries(server)
    file = mapped[0].path if mapped else f"/proc/{server}/exe"
    with Path(file).open("rb") as code:
        found = elf.functions(code.fileno(), ["SSL_read", "SSL_write"])
    attached = [one for back in (False, True) for one in way.attach(program, probes.Spots(file, list(found.values()), back))]
    try:
        yield os.getpid()
    finally:
        for one in attached:
            os.close(one)
        empty.cleanup()


@contextmanager
def fleetcap(folder: Path, _: int, *options: str) -> Iterator[int]:
    """`fleetcap record --live` into a file; no broker takes part, since none does for sslsniff."""
    log = folder / "fleetcap.log"
    recording = folder / "fleetcap.fcap"
    recording.unlink(missing_ok=True)
    with log.open("w") as err:
        command = [sys.executable, "-m", "fleetcap", "record", "--live", "--output", str(recording), *options]
        process = subprocess.Popen(command, stderr=err, stdout=err)
        try:
            wait_for(lambda: "capturing" in log.read_text().lower())
            yield process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def measure(url: str, seconds: int, nginx_pid: int, capture_pid: int | None) -> Sample:
    before = cpu_seconds(nginx_pid), cpu_seconds(capture_pid) if capture_pid else 0.0
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    after = cpu_seconds(nginx_pid), cpu_seconds(capture_pid) if capture_pid else 0.0
    return Sample(rate, (after[0] - before[0]) / requests * 1e6, (after[1] - before[1]) / requests * 1e6)


def nothing(_: Path, __: int) -> AbstractContextManager[int | None]:
    return nullcontext()


def fleetcap_alone(folder: Path, server: int) -> AbstractContextManager[int | None]:
    return fleetcap(folder, server, "--pid", str(server))


VARIANTS: dict[str, Callable[[Path, int], AbstractContextManager[int | None]]] = {
    "no capture": nothing,
    "fleetcap, server only": fleetcap_alone,
    "fleetcap": fleetcap,
    "empty probes at entry and return": entry_probes,
    "sslsniff": sslsniff,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--path", choices=["small", "large"], default="small")
    parser.add_argument("--variant", choices=list(VARIANTS), action="append", help="only these, compared to the first")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    variants = {name: VARIANTS[name] for name in options.variant or VARIANTS}
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        with nginx(folder, port) as worker:
            for _ in range(options.rounds):
                for variant, start in variants.items():
                    with start(folder, worker) as capture:
                        url = f"https://127.0.0.1:{port}/{options.path}"
                        samples[variant].append(measure(url, options.seconds, worker, capture))
            said = (folder / "fleetcap.log").read_text().strip().splitlines()
    report(samples, said[-1] if said else "", options.json)


def report(samples: dict[str, list[Sample]], said: str, file: Path | None) -> None:
    base = statistics.median(sample.requests_s for sample in next(iter(samples.values())))
    print("| variant | requests/s (median, range) | ÷ first | nginx CPU µs/request | capture CPU µs/request |")
    print("| --- | --- | --- | --- | --- |")
    figures = {}
    for variant, runs in samples.items():
        rates = sorted(sample.requests_s for sample in runs)
        rate = statistics.median(rates)
        nginx_us = statistics.median(sample.nginx_us for sample in runs)
        capture_us = statistics.median(sample.capture_us for sample in runs)
        figures[variant] = {"requests_s": rate, "ratio": rate / base, "nginx_us": nginx_us, "capture_us": capture_us}
        spread = f"{rates[0]:,.0f} to {rates[-1]:,.0f}"
        print(f"| {variant} | {rate:,.0f} ({spread}) | {rate / base:.3f} | {nginx_us:.1f} | {capture_us:.1f} |")
    print(f"\nfleetcap's last line: {said}")
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
