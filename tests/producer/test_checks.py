"""What the checks say of machines that cannot capture."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap_producer import btf, checks, program
from fleetcap_producer.errors import TapError
from fleetcap_producer.kernel import kernel_version


def test_every_finding_says_what_and_what_to_do() -> None:
    for check in checks.run_all():
        assert check.name
        assert check.detail
        assert check.ok is not bool(check.remedy)
        assert "\n" not in check.detail + check.remedy


Breakage = Callable[[pytest.MonkeyPatch], None]


def no_bcc() -> None:
    raise TapError("Python's bcc bindings cannot be imported", "install the system package python3-bpfcc")


@pytest.mark.parametrize(
    ("name", "breakage", "remedy"),
    [
        ("permissions", lambda patch: patch.setattr(checks, "_capabilities", lambda: 0), "sudo"),
        ("kernel", lambda patch: patch.setattr(checks, "kernel_version", lambda: (5, 4)), "5.8"),
        ("type information", lambda patch: patch.setattr(btf.load, "__defaults__", (Path("/nonexistent/btf"),)), "BTF"),
        ("uprobes", lambda patch: patch.setattr(checks, "_UPROBES", Path("/nonexistent/uprobe")), "UPROBE"),
        ("bcc", lambda patch: patch.setattr(program, "import_bcc", no_bcc), "python3-bpfcc"),
        ("kernel headers", lambda patch: patch.setattr("platform.release", lambda: "9.9.9-none"), "linux-headers"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    name: str, breakage: Breakage, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that pass here must fail once broken; those that fail here already must say the same."""
    breakage(monkeypatch)
    found = next(check() for check in checks._CHEAP if check().name == name)
    assert not found.ok
    assert remedy in found.remedy
    with pytest.raises(TapError) as raised:
        checks.require()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("release", "version"), [("6.18.44-fc", (6, 18)), ("5.8.0", (5, 8)), ("5.15.0-91-generic", (5, 15)), ("odd", (0, 0))]
)
def test_kernel_versions(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_a_compile_error_is_one_line_and_leaves_the_screen_alone(capfd: pytest.CaptureFixture[str]) -> None:
    if not all(check().ok for check in checks._CHEAP):
        pytest.skip("this machine cannot compile eBPF programs")
    with pytest.raises(TapError) as raised:
        program.Programs({}, "check.bpf.c")  # without the definitions it needs
    assert "error: use of undeclared identifier 'OWN_TGID'" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""
