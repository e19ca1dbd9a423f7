"""The commands and their options.

What they do stands in `commands/`, imported when called: a node that only captures needs nothing of the worker, and `--help`
needs nothing at all.

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 or 143 interrupted by SIGINT or SIGTERM. `capture`, `record`, `worker` and
`broker` run until a signal comes, and end with 0 when they have brought out what they had; a second signal ends them at once.
"""

import io
import os
import signal
import sys
import traceback
from importlib.metadata import version as version_of
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fleetcap.settings import Settings

app = typer.Typer(
    help="See inside the encrypted connections of a whole fleet.\n\n"
    "Only on systems you may inspect: what it shows is plaintext, passwords and all.",
    epilog="""\b
Try it on one machine, each in a terminal of its own:
  fleetcap broker
  fleetcap worker
  fleetcap tail
  sudo fleetcap capture --comm curl

Every option of capture, worker and the addresses can also be set as a variable, FLEETCAP_BODY_LIMIT for --body-limit, or in a
TOML file (--config); flags win over variables, and variables over the file.

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 or 143 interrupted.""",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
topics_app = typer.Typer(help="Create the topics, or look at them.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")

OURS = ("fleetcap", "fleetcap_producer", "fleetcap_streams", "fleetcap_bpf", "fleetcap_proto")

Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="TOML file; also FLEETCAP_CONFIG. Default: /etc/fleetcap/fleetcap.toml if there."),
]
InputFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A recording, a packet capture (pcap, pcapng), or JSON lines of raw events; gzip or not; - is standard input.",
        show_default=False,
    ),
]
Servers = Annotated[
    str | None, typer.Option("--bootstrap-servers", "-b", metavar="HOST:PORT", help="Kafka. Default: 127.0.0.1:9092.")
]
Kafka = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of librdkafka: TLS, SASL, tuning. Repeatable.")
]
Prefix = Annotated[str | None, typer.Option(metavar="TEXT", help="Stands before every topic's name, to share a cluster.")]
Secrets = Annotated[
    bool | None, typer.Option("--secrets", help="Capture the keys of TLS sessions, too, which decrypt them. Off by default.")
]
SecretsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="With --secrets: append the keys to this NSS key log, readable by its owner.")
]
LogLevel = Annotated[str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")]
BodyLimit = Annotated[
    int | None, typer.Option(metavar="BYTES", help="Bytes kept of each body; size and SHA-256 are of all. Default: 65536.")
]
IdleTimeout = Annotated[
    int | None, typer.Option(metavar="MS", help="Ends connections without a socket, milliseconds. Default: 1000.")
]
SocketTimeout = Annotated[
    int | None, typer.Option(metavar="MS", help="Ends sockets whose destroy was lost, milliseconds. Default: 1800000.")
]
Form = Annotated[
    str,
    typer.Option(
        "--format", "-f", metavar="FORM", help="table, json, text (the reference's) or hex. Default: table on a terminal."
    ),
]
Pids = Annotated[list[int] | None, typer.Option("--pid", "-p", metavar="PID", help="Only this process. Repeatable.")]
Comms = Annotated[
    list[str] | None, typer.Option("--comm", "-c", metavar="NAME", help="Only processes or threads of this name. Repeatable.")
]
Uids = Annotated[list[int] | None, typer.Option("--uid", "-u", metavar="UID", help="Only processes of this user id. Repeatable.")]
Ports = Annotated[list[int] | None, typer.Option("--port", metavar="PORT", help="Only this port, local or remote. Repeatable.")]
Plain = Annotated[
    list[str] | None,
    typer.Option(metavar="PORT[,PORT]", help="Capture plain TCP sockets on these ports, too, local or remote. Repeatable."),
]
Cgroups = Annotated[
    list[str] | None, typer.Option("--cgroup", metavar="PATH", help="Only this control group and those below it. Repeatable.")
]
Libraries = Annotated[
    list[Path] | None, typer.Option("--library", metavar="FILE", help="Probe this TLS library too. Repeatable.")
]
NodeId = Annotated[str | None, typer.Option(metavar="NAME", help="Names this machine. Default: its host name.")]
RingPages = Annotated[
    int | None, typer.Option(metavar="PAGES", help="Kernel buffer in pages of 4 KiB, a power of two. Default: 8192.")
]


@app.command(
    short_help="Run a real Apache Kafka here, to try things out.",
    epilog="Example: fleetcap broker --port 9092 --data-dir ./kafka-data",
)
def broker(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 9092,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here. Default: a temporary folder.")] = None,
    topics: Annotated[bool, typer.Option(help="Create fleetcap's topics.")] = True,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Run a real Apache Kafka here, one node on loopback: to try things out, not for a fleet."""
    from fleetcap.commands import broker as command

    settings = _load({"topic_prefix": topic_prefix}, config)
    raise typer.Exit(command.serve(settings, port, data_dir, create=topics))


@topics_app.command("create")
def topics_create(
    bootstrap_servers: Servers = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Of every topic. Default: 12.")] = None,
    replication: Annotated[int | None, typer.Option(min=1, help="Default: the cluster's.")] = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Create the topics that are missing and tell which differ from what fleetcap needs."""
    from fleetcap.commands import broker as command

    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka, "topic_prefix": topic_prefix}, config)
    raise typer.Exit(command.create_topics(settings, partitions, replication))


@topics_app.command("list")
def topics_list(
    bootstrap_servers: Servers = None, kafka: Kafka = None, topic_prefix: Prefix = None, config: Config = None
) -> None:
    """Print fleetcap's topics: partitions, records now held, and which are missing. Exit code 1 where one is."""
    from fleetcap.commands import broker as command

    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka, "topic_prefix": topic_prefix}, config)
    raise typer.Exit(command.list_topics(settings))


@app.command(
    short_help="Tap TLS libraries here and ship what they carry to Kafka.",
    epilog="Example: fleetcap capture --comm nginx --port 443 -b kafka:9092",
)
def capture(
    bootstrap_servers: Servers = None,
    pids: Pids = None,
    comms: Comms = None,
    uids: Uids = None,
    ports: Ports = None,
    cgroups: Cgroups = None,
    libraries: Libraries = None,
    plain: Plain = None,
    node_id: NodeId = None,
    ring_pages: RingPages = None,
    secrets: Secrets = None,
    secrets_file: SecretsFile = None,
    harden: Annotated[
        str | None, typer.Option(metavar="HOW", help="Give up privileges once attached: on, off, or freeze (what runs now only).")
    ] = None,
    web_port: Annotated[int | None, typer.Option(help="Serve /metrics on loopback. Off by default.")] = None,
    spool: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keeps on disk, as plaintext, what Kafka does not take. Off by default.")
    ] = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Tap TLS libraries on this node and ship what crosses them to Kafka. Needs root.

    Ctrl-C brings out what was captured; a second one ends at once.
    """
    given = _given(locals())
    settings = _load(given, config)
    from fleetcap.commands import capture as command

    raise typer.Exit(command.to_kafka(settings, lambda: _load(given, config)))


@app.command(
    short_help="The packets of captured processes, and their keys, into a pcapng file.",
    epilog="Example: fleetcap packets traffic.pcapng --comm curl --secrets, then: tshark -r traffic.pcapng -Y http",
)
def packets(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="To write, readable by its owner only.", show_default=False)],
    pids: Pids = None,
    comms: Comms = None,
    uids: Uids = None,
    ports: Ports = None,
    cgroups: Cgroups = None,
    libraries: Libraries = None,
    ring_pages: RingPages = None,
    secrets: Secrets = None,
    config: Config = None,
) -> None:
    """Write the packets of TLS connections of the chosen processes, each with its process's name, until Ctrl-C. Needs root.

    With --secrets the keys stand in the same file, and Wireshark and tshark show what is inside.
    """
    settings = _load(_given(locals()), config)
    from fleetcap.commands import packets as command

    raise typer.Exit(command.run(settings, file))


@app.command(
    short_help="Decode what was captured, from Kafka to Kafka.", epilog="Example: fleetcap worker -b kafka:9092 --group fleetcap"
)
def worker(
    bootstrap_servers: Servers = None,
    group: Annotated[str | None, typer.Option(help="Workers of a group share the partitions. Default: fleetcap.")] = None,
    body_limit: BodyLimit = None,
    idle_timeout_ms: IdleTimeout = None,
    socket_timeout_ms: SocketTimeout = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N|auto", help="So many workers, started again when one ends. auto: one a processor.")
    ] = None,
    instance_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keeps its partitions over a restart shorter than the session.")
    ] = None,
    checkpoint_interval_ms: Annotated[int | None, typer.Option(help="Default: 200.")] = None,
    secrets: Annotated[bool | None, typer.Option("--secrets", help="Write key material to its topic. Off by default.")] = None,
    ecapture: Annotated[bool | None, typer.Option("--ecapture", help="Number events as eCapture's releases do.")] = None,
    web_port: Annotated[
        int | None, typer.Option(help="Serve /metrics, /healthz and /readyz on loopback. Off by default.")
    ] = None,
    log_level: LogLevel = None,
    log_format: Annotated[str | None, typer.Option(metavar="FORM", help="text or json. Default: text.")] = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Put captured connections together, decode them, and write the output topics. Start as many as there is work for."""
    settings = _load(_given(locals()), config)
    if settings.processes != 1:
        from fleetcap.commands import supervise

        raise typer.Exit(supervise.run(settings))
    from fleetcap.commands import worker as command

    raise typer.Exit(command.run(settings))


@app.command(
    short_help="Decode a past range again, into topics of its own.",
    epilog="Example: fleetcap replay --from -2h --to end --into again- --filter comm=nginx",
)
def replay(
    start: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="beginning, an offset, a time (2026-01-31T12:00:00Z) or as -15m.")
    ] = "beginning",
    end: Annotated[str, typer.Option("--to", metavar="WHERE", help="As --from, or end: the topic's present end.")] = "end",
    into: Annotated[str, typer.Option("--into", metavar="PREFIX", help="Stands before the output topics' names.")] = "replay-",
    only: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="NAME=VALUE", help="node, uuid, pid, comm, container, ip or port. Repeatable."),
    ] = None,
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="full, or times recorded time, as 1 or x10.")] = "full",
    bootstrap_servers: Servers = None,
    body_limit: BodyLimit = None,
    idle_timeout_ms: IdleTimeout = None,
    socket_timeout_ms: SocketTimeout = None,
    secrets: Annotated[bool | None, typer.Option("--secrets", help="Write key material to its topic. Off by default.")] = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Decode a past range of the raw topic again, next to the live workers: own output topics, own group, own states.

    Exactly once, as in a worker. Ctrl-C interrupts it; the same command goes on from there, to the same end.
    """
    settings = _load(_given(locals()), config)
    from fleetcap.commands import replay as command

    raise typer.Exit(command.run(settings, command.Options(start, end, into, tuple(only or ()), speed)))


@app.command(
    short_help="Compare two sets of outputs.", epilog="Example: fleetcap diff '' replay-   # the live outputs and a replay's"
)
def diff(
    first: Annotated[str, typer.Argument(metavar="PREFIX", help="Of one set's topics; '' for none.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="PREFIX", help="Of the other's.", show_default=False)],
    topic: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="exchanges, events, connections, … Repeatable. Default: all.")
    ] = None,
    bootstrap_servers: Servers = None,
    kafka: Kafka = None,
    config: Config = None,
) -> None:
    """Compare the outputs of two prefixes, connection by connection, and say what differs. Exit code 1 where anything does."""
    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka}, config)
    from fleetcap.commands import diff as command

    _one_of("--topic", topic or [], tuple(command.NAMES))
    raise typer.Exit(command.run(settings, first, second, tuple(topic or command.NAMES)))


@app.command(
    short_help="Show decoded traffic as it comes.", epilog="Example: fleetcap tail --process curl --status 5xx --from beginning"
)
def tail(
    bootstrap_servers: Servers = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="exchanges, events, connections, deadletter. Repeatable.")
    ] = None,
    form: Form = "",
    start: Annotated[str, typer.Option("--from", metavar="WHERE", help="latest or beginning.")] = "latest",
    process: Annotated[str, typer.Option(metavar="NAME|PID", help="Of the captured side.")] = "",
    host: Annotated[str, typer.Option(metavar="TEXT", help="Part of the host name, or of the address.")] = "",
    method: Annotated[str, typer.Option(metavar="NAME", help="As GET.")] = "",
    status: Annotated[str, typer.Option(metavar="CODES", help="404, 5xx, 400-499, or several with commas.")] = "",
    protocol: Annotated[str, typer.Option(metavar="NAME", help="As http1.")] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=0, metavar="N", help="Stop after so many; 0: never.")] = 0,
    idle: Annotated[
        float | None, typer.Option("--exit-when-idle", metavar="SECONDS", help="Stop after so many seconds without a record.")
    ] = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Show decoded traffic as it comes: a table on a terminal, JSON lines in a pipe."""
    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka, "topic_prefix": topic_prefix}, config)
    from fleetcap.commands import tail as command
    from fleetcap.show.filtering import Filter, parse_statuses

    topic = topic or ["events" if form in ("text", "hex") else "exchanges"]
    _one_of("--topic", topic, tuple(command.NAMES))
    _one_of("--from", [start], ("latest", "beginning"))
    only = Filter(process, host, method, parse_statuses(status), protocol)
    options = command.Options(tuple(topic), _form(form), start == "beginning", count, idle, only)
    raise typer.Exit(command.run(settings, options))


@app.command(
    short_help="Decode a recording or packet capture; no Kafka needed.",
    epilog="Example: fleetcap decode traffic.pcapng --format json",
)
def decode(
    file: InputFile,
    form: Form = "",
    body_limit: BodyLimit = None,
    idle_timeout_ms: IdleTimeout = None,
    socket_timeout_ms: SocketTimeout = None,
    config: Config = None,
) -> None:
    """Decode a recording, a packet capture or JSON lines of raw events with the worker's own engine; no Kafka needed."""
    limits = {"body_limit": body_limit, "idle_timeout_ms": idle_timeout_ms, "socket_timeout_ms": socket_timeout_ms}
    settings = _load(limits, config)
    from fleetcap.commands import decode as command

    raise typer.Exit(command.run(settings, file, _form(form)))


@app.command(
    short_help="Write raw captures into a file.", epilog="Example: fleetcap record --live --comm curl --output curl.fcap"
)
def record(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; must not exist.", show_default=False)],
    live: Annotated[bool, typer.Option("--live", help="Capture on this node instead of reading Kafka. Needs root.")] = False,
    start: Annotated[str, typer.Option("--from", metavar="WHERE", help="beginning or latest, of the raw topic.")] = "beginning",
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C instead of stopping at the end.")] = False,
    bootstrap_servers: Servers = None,
    pids: Pids = None,
    comms: Comms = None,
    uids: Uids = None,
    ports: Ports = None,
    cgroups: Cgroups = None,
    libraries: Libraries = None,
    node_id: NodeId = None,
    ring_pages: RingPages = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Write raw captures into a file: the raw topic up to its end, or with --live what crosses this node.

    The file holds plaintext: keep it as you would keep passwords.
    """
    given = _given(locals(), without=("output", "live", "start", "follow"))
    settings = _load(given, config)
    if live:
        from fleetcap.commands import capture as live_command

        raise typer.Exit(live_command.to_file(settings, output))
    from fleetcap.commands import record as command

    _one_of("--from", [start], ("latest", "beginning"))
    raise typer.Exit(command.record(settings, output, beginning=start == "beginning", follow=follow or start == "latest"))


@app.command("import", epilog="Example: fleetcap import traffic.fcap -b 127.0.0.1:9092")
def import_(
    file: InputFile,
    bootstrap_servers: Servers = None,
    kafka: Kafka = None,
    topic_prefix: Prefix = None,
    config: Config = None,
) -> None:
    """Write a recording, a packet capture or JSON lines of raw events into the raw topic, for workers to decode."""
    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka, "topic_prefix": topic_prefix}, config)
    from fleetcap.commands import record as command

    raise typer.Exit(command.import_file(settings, file))


@app.command(short_help="Say whether this machine can capture.")
def doctor(bootstrap_servers: Servers = None, kafka: Kafka = None, topic_prefix: Prefix = None, config: Config = None) -> None:
    """Say whether this machine can capture, and what to do where it cannot."""
    settings = _load({"bootstrap_servers": bootstrap_servers, "kafka": kafka, "topic_prefix": topic_prefix}, config)
    from fleetcap.commands import doctor as command

    raise typer.Exit(command.run(settings))


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """See inside the encrypted connections of a whole fleet."""
    if version:
        sys.stdout.write(f"fleetcap {version_of('fleetcap')}\n")
        raise typer.Exit


def _load(flags: dict[str, Any], file: Path | None) -> "Settings":
    # Imported when called: checking types takes longer to load than everything that `--help` needs.
    from fleetcap.settings import load

    return load(flags, file)


def _given(values: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    from fleetcap.settings import Settings

    return {name: value for name, value in values.items() if name in Settings.model_fields and name not in without}


def _one_of(flag: str, values: list[str], allowed: tuple[str, ...]) -> None:
    for value in values:
        if value not in allowed:
            raise typer.BadParameter(f"{flag}={value} cannot be used: give {', '.join(filter(None, allowed))}")


def _form(form: str) -> str:
    _one_of("--format", [form], ("", "table", "json", "text", "hex"))
    return form


def main() -> None:
    """Run the command and end the process; whatever goes wrong is one line on stderr."""
    _set_up_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        _complain(f"{error.format_message().rstrip('.')}; see `{context.command_path if context else 'fleetcap'} --help`")
        code = 2
    except TerminatedError:
        code = 128 + signal.SIGTERM
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is not installed; install fleetcap with the extra this command needs, or run scripts/setup")
        code = 1
    except Exception as error:  # noqa: BLE001 - the last place where an error can be put into one line
        _complain(_one_line(error))
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came. Files are closed as after Ctrl-C; commands that run for long have handlers of their own."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError


def _set_up_streams() -> None:
    """UTF-8 for programs, whatever the locale is (RFC 8259 section 8.1); no character may end a command on any terminal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def _one_line(error: Exception) -> str:
    if type(error).__module__.partition(".")[0] in OURS:
        return " ".join(str(error).split())
    if os.environ.get("FLEETCAP_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; check the path, its permissions and the free space"
    # Not the error's own text, which may hold captured bytes.
    what = type(error).__name__
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{what} at {Path(frame.filename).name}:{frame.lineno}; this is a defect, please report it with FLEETCAP_DEBUG=1"


def _complain(line: str) -> None:
    sys.stderr.write(f"fleetcap: {line}\n")
