"""`fleetcap doctor`: can this machine capture, is Kafka there, and what to do where not."""

import sys
from importlib.util import find_spec

from confluent_kafka import KafkaError, KafkaException

# A public name that the package's type stubs forget to export.
from confluent_kafka.admin import AdminClient
from rich.console import Console

from fleetcap.settings import Settings
from fleetcap_producer.checks import Check, run_all
from fleetcap_proto import topics

_TIMEOUT_S = 3.0


def run(settings: Settings) -> int:
    """Print every check and return 0 where this machine can capture, whatever is true of Kafka."""
    checks = run_all()
    console = Console(file=sys.stdout, highlight=False)
    for check in (*checks, _native(), *_kafka(settings)):
        _print(console, check)
    able = all(check.ok for check in checks)
    console.print("\nThis machine can capture." if able else "\nThis machine cannot capture yet; see the remedies above.")
    return 0 if able else 1


def _print(console: Console, check: Check) -> None:
    mark = "[green]ok  [/green]" if check.ok else "[bold red]no  [/bold red]"
    console.print(f"{mark} {check.name}: ", check.detail, sep="", soft_wrap=True)
    if not check.ok and check.remedy:
        console.print("     → ", check.remedy, sep="", soft_wrap=True, style="yellow")


def _native() -> Check:
    found = find_spec("fleetcap_streams.fast._native") is not None
    detail = "there: a worker decodes plain HTTP/1 in C" if found else "not there: a worker does all in Python, slower"
    return Check("native module", found, detail, "install gcc and python3-dev, then `python -m fleetcap_streams.fast.build`")


def _kafka(settings: Settings) -> list[Check]:
    servers = settings.bootstrap_servers
    try:
        found = AdminClient({"log_level": 0, **settings.client_options()}).list_topics(timeout=_TIMEOUT_S).topics
    except (KafkaException, ValueError) as error:
        remedy = "check --bootstrap-servers and --kafka, or start a broker with `fleetcap broker`"
        return [Check("Kafka", False, f"not reachable at {servers}: {_text(error)}", remedy)]
    missing = [name for name in topics.ALL if settings.topic_prefix + name not in found]
    detail = f"missing: {', '.join(missing)}" if missing else "all there"
    return [
        Check("Kafka", True, f"reachable at {servers}", ""),
        Check("topics", not missing, detail, "create them with `fleetcap topics create`"),
    ]


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
