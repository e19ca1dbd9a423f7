"""Runs the worker: checks, starts, waits for a signal or a failure, stops. Returns an exit code and never a traceback."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fleetcap_streams.app import create_app
from fleetcap_streams.errors import WorkerError
from fleetcap_streams.kafka import preflight
from fleetcap_streams.kafka.config import LOG_LEVELS, WorkerConfig
from fleetcap_streams.kafka.owned import Parts
from fleetcap_streams.kafka.pages import add_pages
from fleetcap_streams.kafka.partition import PartitionLimits
from fleetcap_streams.kafka.partitions import Partitions, Timing

__all__ = ["Parts", "WorkerConfig", "run_worker"]

log = logging.getLogger("fleetcap.worker")
STOP_S: Final = 15.0  # of leaving the group and closing connections, after the last checkpoint
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run_worker(config: WorkerConfig, parts: Parts) -> int:
    """Run until SIGTERM or SIGINT, or until something fails; a second signal ends the process at once.

    Returns 0 after a stop in order: everything read is checkpointed and the group is left. Otherwise 1, after one line on
    what happened and what to do.
    """
    _set_up_logging(config)
    try:
        config.validate()
        names, cluster = config.names(), config.cluster()
        cluster.credentials()
        layout = preflight.check(cluster, names)
        asyncio.run(_run(config, parts, layout))
    except WorkerError as error:
        log.error("%s", error)  # noqa: TRY400 - one line, not a traceback
        return 1
    except KeyboardInterrupt:  # before there was anything to stop in order
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last place where a bug of ours can be put into one line
        log.error("%s", _defect(error))  # noqa: TRY400
        return 1
    return 0


async def _run(config: WorkerConfig, parts: Parts, layout: preflight.Layout) -> None:
    if config.web_port is not None:
        make, measures = parts.engine, parts.measures
        parts = replace(parts, encode=measures.counting(parts.encode), engine=lambda: measures.metering(make()))
    partitions = Partitions(
        config.cluster(),
        config.names(),
        parts,
        PartitionLimits(topics=layout.limits, state=layout.state_limit),
        Timing(
            checkpoint_s=config.checkpoint_interval_ms / 1000,
            tick_s=config.tick_interval_ms / 1000,
            stall_s=config.stall_timeout_ms / 1000,
        ),
    )
    app = create_app(config, partitions, layout.partitions)
    if config.web_port is not None:
        app.web.init_server()
        add_pages(app.web.web_app, partitions, parts.measures)
    stop = _on_signal()
    log.info("starting: %s of %s, group %s", config.names().source, config.bootstrap_servers, config.group)
    try:
        await _until_over(app, partitions, stop)
    finally:
        await _stop(app, partitions)
    log.info("stopped")


async def _until_over(app: Any, partitions: Partitions, stop: asyncio.Event) -> None:
    """Return when asked to stop.

    Raises:
        BaseException: what made the worker fail.
    """
    starting = asyncio.create_task(app.start())
    endings: list[Coroutine[Any, Any, Any]] = [stop.wait(), partitions.failed(), partitions.run(), _crashed(app)]
    tasks = [asyncio.create_task(ending) for ending in endings]
    try:
        over = {*tasks, starting}
        while not any(task.done() for task in tasks):
            done, _ = await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            for task in done - set(tasks):
                task.result()  # started, or could not
                over.discard(task)
        failure = partitions.failure or (app.crash_reason if app.crashed else None) or _failure(tasks)
        if failure is not None:
            partitions.fail(failure)
            raise failure
        log.info("stopping")
    finally:
        for task in (*tasks, starting):
            task.cancel()


async def _crashed(app: Any) -> None:
    await app._crashed.wait()  # noqa: SLF001 - mode offers no public way to wait for it


def _failure(tasks: list[asyncio.Task[Any]]) -> BaseException | None:
    return next((error for task in tasks if task.done() and not task.cancelled() and (error := task.exception())), None)


async def _stop(app: Any, partitions: Partitions) -> None:
    """Last checkpoints unless something failed, then leave the group."""
    with contextlib.suppress(Exception):  # before the first assignment there is no flow to stop
        app.consumer.stop_flow()
    app.flow_control.suspend()
    await partitions.close()
    try:
        async with asyncio.timeout(STOP_S):
            await app.stop()
    except Exception:  # nothing is left to lose: everything is checkpointed
        log.debug("the group was not left in order; its coordinator will notice by itself", exc_info=True)


def _on_signal() -> asyncio.Event:
    stop = asyncio.Event()

    def received(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for one in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(one, received, one)
    return stop


def _defect(error: BaseException) -> str:
    # Not the error's own text: it may hold captured bytes.
    frames = traceback.extract_tb(error.__traceback__)
    for frame in frames:
        log.debug("  %s:%d in %s", frame.filename, frame.lineno, frame.name)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"the worker crashed: {type(error).__name__} at {place}; this is a defect, please report it with a log of level debug"


class _Lines(logging.Formatter):
    """One line each: time in UTC, level, message. Tracebacks only with level debug."""

    @staticmethod
    def converter(seconds: float | None = None) -> time.struct_time:
        """UTC, so that lines of several machines can be laid side by side."""
        return time.gmtime(seconds)

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        if not self._tracebacks:
            record.exc_info = record.exc_text = record.stack_info = None
        return super().format(record)


class _JsonLines(_Lines):
    """The same as one JSON object a line, with the group beside it, for programs that collect logs."""

    def __init__(self, group: str, *, tracebacks: bool) -> None:
        super().__init__(tracebacks=tracebacks)
        self._group = group

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "group": self._group,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if self._tracebacks and record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _set_up_logging(config: WorkerConfig) -> None:
    level, debug = config.log_level, config.log_level == "debug"
    handler = logging.StreamHandler(sys.stderr)
    json_lines = config.log_format == "json"
    handler.setFormatter(_JsonLines(config.group, tracebacks=debug) if json_lines else _Lines(tracebacks=debug))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("fleetcap").setLevel(level.upper() if level in LOG_LEVELS else logging.INFO)
    # What Faust and aiokafka report by themselves reaches us as failures too, and is put into words once. Their own level
    # debug is never let through: it prints records.
    for name in ("faust", "mode", "aiokafka", "fleetcap_streams"):
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.CRITICAL)
