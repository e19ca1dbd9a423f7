"""The programs of the capture matrix: real TLS clients that fetch a URL, and servers that answer with bodies of a given size.

Each row says how to run a program; one that is not installed is skipped and says what to install.
"""

import shutil
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


@dataclass(frozen=True)
class Client:
    """A row: `command` makes the command line that writes the body of a URL to standard output."""

    name: str
    command: Callable[[str, Path], list[str]]
    source: str
    needs: str = "python3"  # found on PATH
    socket: bool = True  # whether the connection's socket must be known


def need(program: str) -> bool:
    return shutil.which(program) is not None


CLIENTS = (
    Client("curl", lambda url, _: ["curl", "-sk", "--http1.1", url], "OPENSSL", "curl"),
    Client("wget", lambda url, _: ["wget", "-q", "--no-check-certificate", "-O", "-", url], "GNUTLS", "wget"),
    Client("libcurl-gnutls", lambda url, _: [sys.executable, "-c", GNUTLS_CURL, url], "GNUTLS"),
    Client("Python urllib", lambda url, _: [sys.executable, "-c", PYTHON_URLLIB, url], "OPENSSL"),
    Client("Python asyncio", lambda url, _: [sys.executable, "-c", PYTHON_ASYNCIO, url], "OPENSSL", socket=False),
    Client("Node https", lambda url, _: ["node", "-e", NODE_HTTPS, url], "OPENSSL", "node", socket=False),
    Client("Node fetch", lambda url, _: ["node", "-e", NODE_FETCH, url], "OPENSSL", "node", socket=False),
)
