"""Which files are TLS libraries, and where processes have them."""

from fleetcap_producer import libraries


def test_names_that_are_libraries() -> None:
    for path, expected in {
        "/usr/lib/libssl.so.3": True,
        "/usr/lib/libssl.so.1.1": True,
        "/usr/lib/libssl.so": True,
        "/x/psycopg2_binary.libs/libssl-3a880ada.so.1.1": True,
        "/usr/lib/libssl3.so": False,
        "/usr/lib/libcrypto.so.3": True,
        "/usr/lib/libssl.so.3.dpkg-new": False,
        "/usr/lib/libgnutls-openssl.so.27": False,
    }.items():
        assert libraries.is_library_name(path) is expected, path


MAPS = b"""\
55d0c0a00000-55d0c0a01000 r--p 00000000 fe:00 247026                     /usr/bin/curl
7f0000000000-7f0000010000 r--p 00000000 fe:00 1234                       /usr/lib/libssl.so.3
7f0000010000-7f0000020000 r-xp 00010000 fe:00 1234                       /usr/lib/libssl.so.3
7f0000100000-7f0000110000 r-xp 00000000 00:2b 99                         /app/with space/libssl-3a880ada.so.1.1 (deleted)
7f0000200000-7f0000210000 r-xp 00000000 fe:00 77                         /usr/lib/libssl3.so
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
"""


def test_libraries_in_a_process_are_told_once_each() -> None:
    assert libraries.parse_maps(7, MAPS) == [
        libraries.Mapped(7, "/usr/lib/libssl.so.3", "7f0000000000-7f0000010000", "fe:00", 1234, deleted=False),
        libraries.Mapped(7, "/app/with space/libssl-3a880ada.so.1.1", "7f0000100000-7f0000110000", "00:2b", 99, deleted=True),
    ]


def test_processes_that_are_gone_have_no_libraries() -> None:
    assert libraries.mapped_libraries(2**22 + 1) == []


def test_gnutls_is_a_library_by_its_own_name() -> None:
    assert libraries.is_library_name("/usr/lib/x86_64-linux-gnu/libgnutls.so.30")
    assert not libraries.is_library_name("/usr/lib/x86_64-linux-gnu/libgnutlsxx.so.30")
