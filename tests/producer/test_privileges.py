"""What a process can still do after it gave up its privileges; each case in a process of its own."""

import os
import subprocess
import sys
import textwrap

import pytest

from fleetcap_producer.privileges import ATTACHING, READING, STARTING, Capability

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")


def _said(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOWN = """
import ctypes, errno, os, resource, subprocess, threading
from fleetcap_producer import privileges
def status(name, thread="self"):
    path = "/proc/thread-self/status" if thread == "self" else f"/proc/self/task/{thread}/status"
    return next(line.split()[1] for line in open(path) if line.startswith(name + ":"))
def result(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
libc = ctypes.CDLL(None, use_errno=True)
def raw(number, *arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "done") if libc.syscall(number, *arguments) < 0 else "done"
"""


@ROOT
def test_at_the_start_only_what_starting_takes_is_kept() -> None:
    shown = "status('CapPrm'), status('CapBnd'), status('NoNewPrivs'), resource.getrlimit(resource.RLIMIT_CORE)[0]"
    said = _said(SHOWN + f"privileges.begin(); print({shown})")
    permitted, bounding, no_new, core = said.split()
    most = sum(1 << one for one in STARTING)
    assert int(permitted, 16)
    assert int(permitted, 16) & ~most == 0
    assert int(bounding, 16) & ~most == 0
    assert (no_new, core) == ("1", "0")


@ROOT
def test_what_is_kept_is_enough_to_attach_and_no_more() -> None:
    said = _said(
        SHOWN
        + """
from fleetcap_producer import probes
from fleetcap_producer.privileges import Capability, STARTING, held, keep
before = probes.permitted()
privileges.begin()
kept, admin = probes.permitted(), held() >> Capability.SYS_ADMIN & 1
keep(STARTING - {Capability.SYS_ADMIN})
print(before, kept, bool(admin) != probes.permitted())
"""
    )
    before, kept, needed = said.split()
    assert kept == before
    assert before == "False" or needed == "True"


@ROOT
@pytest.mark.parametrize(("harden", "kept"), [("on", ATTACHING), ("freeze", READING)])
def test_once_attached_less_is_kept_and_calls_are_barred_in_every_thread(harden: str, kept: frozenset[Capability]) -> None:
    said = _said(
        SHOWN
        + f"""
ready, go, done = threading.Event(), threading.Event(), []
def other():
    ready.set(); go.wait()
    done.append(result(lambda: os.execv("/bin/true", ["true"])))
privileges.begin()
thread = threading.Thread(target=other); thread.start(); ready.wait()
privileges.attached({harden!r})
go.set(); thread.join()
print(status('CapPrm'), status('Seccomp'))
print(done[0])
print(result(lambda: os.execv("/bin/true", ["true"])))
print(raw(101, 0, 0, 0, 0))
print(raw(321, 5, 0, 0), raw(321, 1, 0, 0))
print(raw(298, 0, 0, -1, -1, 0))
"""
        if os.uname().machine == "x86_64"
        else "raise SystemExit(0)"
    )
    if not said:
        pytest.skip("the numbers of the calls tried here are those of x86-64")
    lines = said.splitlines()
    permitted, seccomp = lines[0].split()
    assert int(permitted, 16) & ~sum(1 << one for one in kept) == 0
    assert seccomp == "2"
    assert lines[1:4] == ["EPERM", "EPERM", "EPERM"]
    assert lines[4].split()[0] == "EPERM"
    assert lines[4].split()[1] != "EPERM", "maps are still read"
    assert (lines[5] == "EPERM") == (harden == "freeze"), "later processes are attached to, unless that was frozen"


@ROOT
def test_threads_that_need_no_capabilities_are_begun_without() -> None:
    said = _said(
        SHOWN
        + """
found = []
def make():
    inner = threading.Thread(target=lambda: found.append(status('CapPrm')))
    inner.start(); inner.join()
    return status('CapPrm')
print(privileges.without_capabilities(make), found[0], status('CapPrm'))
"""
    )
    maker, inner, main = said.split()
    assert int(maker, 16) == int(inner, 16) == 0
    assert int(main, 16) != 0
