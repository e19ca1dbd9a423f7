"""How a libcrypto writes into memory is found in whatever layout its methods have, or not at all."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetcap_producer import bio, elf

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 instructions")

SOURCE = """
typedef int writer(void *, const char *, int);
struct method { long type; const char *name; void *other[%(before)d]; writer *write; void *read; };
#define NOINLINE __attribute__((noinline, visibility("default")))
NOINLINE int written_to_memory(void *bio, const char *data, int length) { return length + data[0]; }
NOINLINE int written_to_pair(void *bio, const char *data, int length) { return length - data[0]; }
static const struct method memory = { 1, "memory", { 0 }, written_to_memory, 0 };
static const struct method pair = { 2, "pair", { 0 }, written_to_pair, 0 };
const void *BIO_s_mem(void) { return &memory; }
const void *BIO_s_bio(void) { return %(pair)s; }
writer *BIO_meth_get_write(const struct method *method) { return %(get)s; }
"""
LAYOUTS = {"before": 1, "pair": "&pair", "get": "method->write"}


def built(folder: Path, **changed: object) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "crypto.c").write_text(SOURCE % {**LAYOUTS, **changed})
    library = folder / "libcrypto.so"
    subprocess.run(
        [compiler, "-O2", "-fPIC", "-shared", "-Wl,-Bsymbolic", "-o", str(library), str(folder / "crypto.c")], check=True
    )
    return library


def found(library: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What is found, and where the functions of the source are."""
    fd = os.open(library, os.O_RDONLY)
    try:
        functions = elf.functions(fd, [*bio.METHODS, bio.WRITER, "written_to_memory", "written_to_pair"])
        return bio.writers(fd, functions), functions
    finally:
        os.close(fd)


@pytest.mark.parametrize("before", [1, 2, 7])
def test_writers_are_found_in_any_layout(tmp_path: Path, before: int) -> None:
    writers, functions = found(built(tmp_path, before=before))
    assert writers == {
        "BIO_s_mem.bwrite": functions["written_to_memory"],
        "BIO_s_bio.bwrite": functions["written_to_pair"],
    }


def test_a_getter_that_does_more_tells_nothing(tmp_path: Path) -> None:
    writers, _ = found(built(tmp_path, get="method->name ? method->write : 0"))
    assert writers == {}


def test_a_method_that_is_made_at_run_time_is_left_out(tmp_path: Path) -> None:
    writers, functions = found(built(tmp_path, pair="pair.name[0] ? &pair : 0"))
    assert writers["BIO_s_mem.bwrite"] == functions["written_to_memory"]
    assert writers.keys() <= {"BIO_s_mem.bwrite", "BIO_s_bio.bwrite"}


def test_a_file_that_is_no_library_has_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no ELF file")
    with (tmp_path / "text").open() as file:
        assert bio.writers(file.fileno(), dict.fromkeys((*bio.METHODS, bio.WRITER), 0)) == {}
