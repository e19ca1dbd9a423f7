"""The programs of the capture matrix: real TLS clients that fetch a URL, and servers that answer with bodies of a given size.

Each row says how to run a program; one that is not installed is skipped and says what to install.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GNUTLS_CURL = """
import ctypes, sys
curl = ctypes.CDLL("libcurl-gnutls.so.4")
curl.curl_easy_init.restype = ctypes.c_void_p
handle = ctypes.c_void_p(curl.curl_easy_init())
take = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
write = take(lambda data, size, count, _: sys.stdout.buffer.write(ctypes.string_at(data, size * count)))
options = {10002: sys.argv[1].encode(), 64: 0, 81: 0, 20011: write, 84: 2}
for option, value in options.items():
    value = ctypes.c_long(value) if isinstance(value, int) else value
    assert curl.curl_easy_setopt(handle, option, value) == 0
sys.exit(curl.curl_easy_perform(handle))
"""

NODE_HTTPS = """
require('https').get(process.argv[1], { rejectUnauthorized: false, agent: false }, answer => answer.pipe(process.stdout));
"""

NODE_FETCH = """
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
fetch(process.argv[1]).then(async answer => process.stdout.write(Buffer.from(await answer.arrayBuffer())));
"""

PYTHON_URLLIB = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], context=context).read())
"""

PYTHON_ASYNCIO = """
import asyncio, ssl, sys, urllib.parse
async def main():
    url = urllib.parse.urlparse(sys.argv[1])
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=ssl._create_unverified_context())
    writer.write(b"GET %s HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n" % url.path.encode())
    await reader.readuntil(b"\\r\\n\\r\\n")
    sys.stdout.buffer.write(await reader.readexactly(int(url.path[1:])))
    writer.close()
asyncio.run(main())
"""


GO_CLIENT = """package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
)

func main() {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	answer, err := (&http.Client{Transport: transport}).Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, answer.Body)
}
"""


@dataclass(frozen=True)
class Client:
    """A row: `command` makes the command line that writes the body of a URL to standard output."""

    name: str
    command: Callable[[str, Path], list[str]]
    source: str
    needs: str = "python3"  # found on PATH
    built: bool = False  # by the test, so that it never ran before


def go_program(folder: Path, source: str, *flags: str) -> str:
    """Builds a program, once in a folder; the cache of Go's own packages is kept between runs."""
    file = folder / "main.go"
    file.write_text(source)
    program = folder / "program"
    if program.exists():
        return str(program)
    command = ["go", "build", *flags, "-o", str(program), str(file)]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=300)
    return str(program)


def need(program: str) -> bool:
    return shutil.which(program) is not None


CLIENTS = (
    Client("curl", lambda url, _: ["curl", "-sk", "--http1.1", url], "OPENSSL", "curl"),
    Client("wget", lambda url, _: ["wget", "-q", "--no-check-certificate", "-O", "-", url], "GNUTLS", "wget"),
    Client("libcurl-gnutls", lambda url, _: [sys.executable, "-c", GNUTLS_CURL, url], "GNUTLS"),
    Client("Python urllib", lambda url, _: [sys.executable, "-c", PYTHON_URLLIB, url], "OPENSSL"),
    Client("Python asyncio", lambda url, _: [sys.executable, "-c", PYTHON_ASYNCIO, url], "OPENSSL"),
    Client("Node https", lambda url, _: ["node", "-e", NODE_HTTPS, url], "OPENSSL", "node"),
    Client("Node fetch", lambda url, _: ["node", "-e", NODE_FETCH, url], "OPENSSL", "node"),
    Client("Go net/http", lambda url, folder: [go_program(folder, GO_CLIENT), url], "GO_TLS", "go", built=True),
    Client(
        "Go, stripped", lambda url, folder: [go_program(folder, GO_CLIENT, "-ldflags=-s -w"), url], "GO_TLS", "go", built=True
    ),
)
