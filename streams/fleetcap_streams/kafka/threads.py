"""Blocking calls in threads of their own, which a call that never returns cannot take the worker down with.

A pool would run out of threads and be waited for at exit; a daemon thread that hangs is left behind.
"""

import asyncio
import contextlib
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """Make a blocking call and return what it returns. Cancelling this does not stop the call."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = call(*arguments)
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits, whatever it is
            _tell(loop, outcome, outcome.set_exception, error)
        else:
            _tell(loop, outcome, outcome.set_result, result)

    Thread(target=run, name=f"blocking-{getattr(call, '__name__', 'call')}", daemon=True).start()
    return await outcome


def _tell(loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], tell: Callable[[Any], None], what: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(lambda: None if outcome.done() else tell(what))
