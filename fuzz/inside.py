"""One target under Atheris, in a process of its own: python -m fuzz.inside TARGET SECONDS. `fuzz.__main__` starts it."""

import sys

import atheris

# Only what is imported in here tells the fuzzer which way it went; all of the standard library would take minutes.
with atheris.instrument_imports(include=["fleetcap_streams", "fleetcap"]):
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until the time is up or something breaks."""
    name, seconds = sys.argv[1:]
    # libFuzzer's own options: https://llvm.org/docs/LibFuzzer.html
    atheris.Setup([sys.argv[0], "-rss_limit_mb=1024", "-timeout=10", f"-max_total_time={seconds}"], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
