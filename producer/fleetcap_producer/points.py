"""Where programs are attached: the table of library functions and of kernel tracepoints. Data only.

A row names a function; `placement` chooses the instruction for each library, and may find several rows served in one place.
"""

from dataclasses import dataclass

from fleetcap_producer import bio
from fleetcap_producer.records import SECRET_LAYOUTS


@dataclass(frozen=True, slots=True)
class LibraryPoint:
    """One probe in a library: `program` runs where `symbol` is entered, or where it returns."""

    library: str  # kind of library
    symbol: str
    program: str
    on_return: bool = False
    unless: str = ""  # a function that this one only wraps, in the versions that have it


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Public functions that come down to one inner function in most builds, which then is probed in place of them.

    `exact` hands all its arguments on, one of which (`count`, from 0) points to where the number of bytes goes; `others` hand
    on the first two. `entries` is the entry's program by where among its arguments the inner function takes that pointer.
    """

    library: str
    exact: str
    others: tuple[str, ...]
    count: int
    entries: tuple[tuple[int, str], ...]
    leave: str


@dataclass(frozen=True, slots=True)
class KernelPoint:
    """One raw tracepoint, or a classic one (`category` given) where its arguments have a stable format."""

    name: str
    program: str
    category: str = ""


def _call(symbol: str, program: str, library: str = "openssl", unless: str = "") -> tuple[LibraryPoint, LibraryPoint]:
    # Return before entry: a return without its entry is noticed, an entry without its return would leave a thread marked.
    return (
        LibraryPoint(library, symbol, f"{program}_leave", on_return=True, unless=unless),
        LibraryPoint(library, symbol, f"{program}_enter", unless=unless),
    )


# In this order, and detached in reverse. What marks a session's beginning comes last, so that a session said to be seen from
# its beginning has all its calls probed.
LIBRARY_POINTS = (
    *_call("SSL_write", "ssl_write"),
    *_call("SSL_read", "ssl_read"),
    *_call("SSL_write_ex", "ssl_write_ex"),
    *_call("SSL_read_ex", "ssl_read_ex"),
    *_call("SSL_sendfile", "ssl_sendfile"),
    LibraryPoint("openssl", "SSL_free", "ssl_free_enter"),
    LibraryPoint("openssl", "SSL_clear", "ssl_clear_enter"),
    *_call("SSL_do_handshake", "ssl_handshake"),
    LibraryPoint("openssl", "SSL_set_fd", "ssl_set_fd_enter"),
    LibraryPoint("openssl", "SSL_set_rfd", "ssl_set_one_fd_enter"),
    LibraryPoint("openssl", "SSL_set_wfd", "ssl_set_one_fd_enter"),
    LibraryPoint("openssl", "BIO_write", "bio_write_enter"),
    LibraryPoint("openssl", "SSL_new", "ssl_new_leave", on_return=True),
    *(LibraryPoint("crypto", bio.writer_of(method), "bio_write_enter") for method in bio.METHODS),
    LibraryPoint("crypto", "BIO_write", "bio_write_enter"),
    *_call("gnutls_record_uncork", "gnutls_uncork", "gnutls"),
    *_call("gnutls_record_send2", "gnutls_write", "gnutls"),
    *_call("gnutls_record_send", "gnutls_write", "gnutls", unless="gnutls_record_send2"),
    *_call("gnutls_record_recv", "gnutls_read", "gnutls"),
    *_call("gnutls_record_recv_seq", "gnutls_read", "gnutls"),
    LibraryPoint("gnutls", "gnutls_record_recv_packet", "gnutls_read_leave", on_return=True),
    LibraryPoint("gnutls", "gnutls_record_recv_packet", "gnutls_packet_enter"),
    LibraryPoint("gnutls", "gnutls_deinit", "ssl_free_enter"),
    *_call("gnutls_handshake", "gnutls_handshake", "gnutls"),
    *_call("crypto/tls.(*Conn).Write", "go_write", "go"),
    *_call("crypto/tls.(*Conn).Read", "go_read", "go"),
    LibraryPoint("go", "crypto/tls.(*Conn).clientHandshake", "go_handshake_enter"),
    LibraryPoint("go", "crypto/tls.(*Conn).serverHandshake", "go_handshake_enter"),
)

# OpenSSL since 1.1.1; since 3.3 with flags before the pointer when writing. BIO_f_ssl calls the inner functions, too.
_WRITES = (3, "ssl_write_ex_enter"), (4, "ssl_write_ex_enter_at_4")
WRAPPED = (
    Wrapped("openssl", "SSL_write_ex", ("SSL_write",), 3, _WRITES, "ssl_write_ex_leave"),
    Wrapped("openssl", "SSL_write_ex2", ("SSL_write",), 4, _WRITES, "ssl_write_ex_leave"),
    Wrapped("openssl", "SSL_read_ex", ("SSL_read",), 3, ((3, "ssl_read_ex_enter"),), "ssl_read_ex_leave"),
)

# Of what tells where a library hands out its secrets; see keys.py.
SECRET_LOGGERS = ("ssl_log_secret", "_ZN4bssl14ssl_log_secretEPK6ssl_stPKcNS_4SpanIKhEE")
GO_KEY_LOG = "crypto/tls.(*Config).writeKeyLog"
RANDOMS = {
    "openssl": ("SSL_get_client_random", "SSL_get_server_random"),
    "gnutls": ("gnutls_session_get_random", "gnutls_session_get_random"),
}
GO_KEY_PROGRAM = "go_secret_logged"
SECRET_PROGRAMS = (*(f"secret_logged_{slot}" for slot in range(SECRET_LAYOUTS)), GO_KEY_PROGRAM)

# What a library's file is searched for.
SYMBOLS = tuple(
    dict.fromkeys(
        [
            *(point.symbol for point in LIBRARY_POINTS),
            *(one.exact for one in WRAPPED),
            *SECRET_LOGGERS,
            GO_KEY_LOG,
            *bio.METHODS,
            bio.WRITER,
            *(symbol for pair in RANDOMS.values() for symbol in pair),
        ]
    )
)

PROGRAMS = tuple(
    dict.fromkeys([*(point.program for point in LIBRARY_POINTS), *(name for one in WRAPPED for _, name in one.entries)])
)

# A library without these is none that can be captured.
REQUIRED_SYMBOLS = {
    "openssl": ("SSL_read", "SSL_write"),
    "crypto": ("BIO_write", *bio.METHODS),
    "gnutls": ("gnutls_record_recv", "gnutls_record_send"),
    "go": ("crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write"),
}

SOCKET_LIFE = (
    KernelPoint("tcp_destroy_sock", "socket_destroy"),
    KernelPoint("inet_sock_set_state", "socket_state"),
    KernelPoint("sched_process_exit", "thread_exit"),
)

FILES = (
    KernelPoint("sched_process_exec", "program_started"),
    KernelPoint("sys_enter_mmap", "file_mapped", "syscalls"),
)

# Linux 6.3 and later.
SOCKET_USE = (
    KernelPoint("sock_send_length", "socket_sent"),
    KernelPoint("sock_recv_length", "socket_moved"),
)

# The same, where plain sockets are captured, too.
PLAIN = (
    KernelPoint("sock_send_length", "plain_sent"),
    KernelPoint("sock_recv_length", "plain_received"),
)

SYSCALL_USE = tuple(
    KernelPoint(f"sys_enter_{name}", "descriptor_used", "syscalls")
    for name in ("read", "write", "readv", "writev", "sendto", "recvfrom", "sendmsg", "recvmsg")
)

# The kernel's number for where events come from (record.h, enum fc_source), by kind of library.
# libcrypto is none: it only tells where the connections of libssl have their sockets.
SOURCES = {"crypto": 0, "openssl": 1, "gnutls": 3, "go": 5}

# struct members whose offsets the programs need, with the name they go by there where it is shorter.
OFFSETS = {
    "sock.__sk_common.skc_family": "sock_skc_family",
    "sock.__sk_common.skc_num": "sock_skc_num",
    "sock.__sk_common.skc_dport": "sock_skc_dport",
    "sock.__sk_common.skc_daddr": "sock_skc_daddr",
    "sock.__sk_common.skc_rcv_saddr": "sock_skc_rcv_saddr",
    "sock.sk_protocol": "sock_sk_protocol",
    "sock.sk_socket": "sock_sk_socket",
    "socket.sk": "socket_sk",
    "socket_alloc.socket": "socket_alloc_socket",
    "socket_alloc.vfs_inode": "socket_alloc_vfs_inode",
    "inode.i_ino": "inode_i_ino",
    "inode.i_mode": "inode_i_mode",
    "mm_struct.exe_file": "mm_struct_exe_file",
    "inode.i_sb": "inode_i_sb",
    "super_block.s_dev": "super_block_s_dev",
    "linux_binprm.file": "linux_binprm_file",
    "file.f_inode": "file_f_inode",
    "file.f_path.dentry": "file_f_path_dentry",
    "dentry.d_name.name": "dentry_d_name_name",
    "file.private_data": "file_private_data",
    "fdtable.fd": "fdtable_fd",
    "fdtable.max_fds": "fdtable_max_fds",
    "files_struct.fdt": "files_struct_fdt",
    "mm_struct.arg_start": "mm_struct_arg_start",
    "mm_struct.arg_end": "mm_struct_arg_end",
    "task_struct.comm": "task_struct_comm",
    "task_struct.files": "task_struct_files",
    "task_struct.group_leader": "task_struct_group_leader",
    "task_struct.mm": "task_struct_mm",
    "task_struct.real_parent": "task_struct_real_parent",
    "task_struct.start_boottime": "task_struct_start_boottime",
    "task_struct.tgid": "task_struct_tgid",
}

# Absent in a kernel built without IPv6.
OFFSETS_IPV6 = {
    "sock.__sk_common.skc_v6_daddr": "sock_skc_v6_daddr",
    "sock.__sk_common.skc_v6_rcv_saddr": "sock_skc_v6_rcv_saddr",
}
