"""An HTTPS server and a client on asyncio, whose TLS runs in memory; see `memory_traffic.js` for the same on Node.

    serve CERTIFICATE              prints its port
    ask PORT CONNECTIONS ROUNDS    a first round, a line; when a line is read, the other rounds; prints its local ports
    relayed PORT CONNECTIONS ROUNDS    the same through a relay in its own process, which sends all it sends once more

Each request names its connection's local port, so that what belongs to which connection stands in the bytes themselves.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Callable, Coroutine

BODY = b"0123456789abcdef"


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1]
            body = path + BODY * int(path.rpartition(b"/")[2])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context, backlog=256)
    say(server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> None:
    port = writer.get_extra_info("sockname")[1]
    path = b"/%d/%d" % (port, size)
    writer.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.rpartition(b":")[2]))
    assert body == path + BODY * size


async def client(port: str, connections: str, rounds: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opened = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", int(port), ssl=context) for _ in range(int(connections)))
    )
    for number in range(int(rounds)):
        await asyncio.gather(*(ask(*one, number * 10 + index) for index, one in enumerate(opened)))
        if number == 0:
            say([writer.get_extra_info("sockname")[1] for _, writer in opened])
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for _, writer in opened:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)


async def relayed(port: str, connections: str, rounds: str) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onwards = await asyncio.open_connection("127.0.0.1", int(port))
        await asyncio.gather(pass_on(reader, onwards[1]), pass_on(onwards[0], writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, backlog=256)
    await client(str(server.sockets[0].getsockname()[1]), connections, rounds)


COMMANDS: dict[str, Callable[..., Coroutine[None, None, None]]] = {"serve": serve, "ask": client, "relayed": relayed}

if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    asyncio.run(COMMANDS[command](*arguments))
