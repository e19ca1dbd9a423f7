/* What both sides read: records of the ring buffer, and the maps that user space looks into.
 *
 * fleetcap_producer/records.py mirrors these layouts and a test compares every size and offset. Integers are in the
 * machine's byte order. Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, all zero where not known.
 * Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef FLEETCAP_RECORD_H
#define FLEETCAP_RECORD_H

#include <linux/types.h>

#define FC_COMM_SIZE 16
#define FC_COMMAND_LINE_SIZE 1024
#define FC_FILE_NAME_SIZE 40
#define FC_RANDOM_SIZE 32
#define FC_SECRET_SIZE 64
#define FC_LABEL_SIZE 64
#define FC_SECRET_LAYOUTS 8
#define FC_NO_POINTER 0xffffffff
/* A TLS record's plaintext is at most 16 KiB (RFC 8446, section 5.1), so a read seldom needs a second chunk. */
#define FC_CHUNK_SIZE 16384

enum fc_kind {
	FC_DATA = 1,
	FC_CONNECTION = 2,
	FC_CLOSED = 3,
	FC_SECRET = 16,
};

/* The numbers of the schema's Direction. */
enum fc_direction {
	FC_RECEIVED = 0,
	FC_SENT = 1,
};

/* The numbers of the schema's Role. */
enum fc_role {
	FC_ROLE_UNKNOWN = 0,
	FC_ROLE_CLIENT = 1,
	FC_ROLE_SERVER = 2,
};

/* The numbers of the schema's Source. */
enum fc_source {
	FC_SOURCE_OPENSSL = 1,
	FC_SOURCE_SOCKET = 2,
	FC_SOURCE_GNUTLS = 3,
	FC_SOURCE_GO_TLS = 5,
};

/* Where and why something was lost; indexes of the map `losses`. */
enum fc_loss {
	FC_LOSS_RING_EVENTS = 0, /* the ring buffer was full */
	FC_LOSS_RING_BYTES,
	FC_LOSS_LIMIT_EVENTS, /* one call moved more than is captured of one call */
	FC_LOSS_LIMIT_BYTES,
	FC_LOSS_FAULT_EVENTS, /* the process's memory could not be read */
	FC_LOSS_FAULT_BYTES,
	FC_LOSS_UNREADABLE_EVENTS, /* the bytes never were in user memory: sendfile */
	FC_LOSS_UNREADABLE_BYTES,
	FC_LOSS_MAP_EVENTS, /* no room to remember the connection */
	FC_LOSS_MAP_BYTES,
	FC_LOSS_CALLS, /* a call returned whose entry was not seen, or calls were nested too deep */
	FC_LOSS_CLOSES, /* neither the ring buffer nor `lost_closes` had room for a CLOSED */
	FC_LOSS_BODY_EVENTS, /* shed: behind the head of what was said, while the ring buffer was three quarters full */
	FC_LOSS_BODY_BYTES,
	FC_LOSS_SHED_EVENTS, /* shed: all of a connection, while it was fuller still */
	FC_LOSS_SHED_BYTES,
	FC_LOSS_COUNT,
};

/* Bytes that crossed a connection; `captured` of them follow. */
struct fc_data {
	__u32 kind;
	__u32 direction;
	__u64 connection;
	__u64 time;
	__u64 position; /* of the first byte in its direction's stream */
	__u64 length; /* true length; more than `captured` where bytes are missing behind it */
	__u32 captured;
	__u32 tid;
	char comm[FC_COMM_SIZE]; /* of the thread */
};

/* Who and where a connection is; precedes its first data and comes again when more is known. */
struct fc_connection {
	__u32 kind;
	__u32 tgid;
	__u64 connection;
	__u64 first_seen;
	__u64 session; /* address of the SSL object */
	__u64 sock; /* address of the struct sock; 0 where no TCP socket is known */
	__u64 born; /* when that socket was first seen: tells it from a later one at the same address */
	__u64 opened; /* when it became established; 0 where that was not seen */
	__u64 inode; /* of the socket file */
	__u64 process_start; /* nanoseconds since boot */
	__u32 tid;
	__u32 uid;
	__u32 parent;
	__s32 fd; /* -1 where not known */
	__u32 role;
	__u32 begun; /* 1: seen from the first byte on */
	__u32 tls_version; /* as on the wire; 0 where not known */
	__u32 local_port;
	__u32 remote_port;
	__u32 source;
	__u32 command_line_length; /* of the arguments, each ended by a zero byte; more than the size below where cut */
	__u32 library; /* number that its probes were attached with; 0 where the kernel has no such numbers */
	__u8 local[16];
	__u8 remote[16];
	char comm[FC_COMM_SIZE]; /* of the process's main thread */
	char command_line[FC_COMMAND_LINE_SIZE];
};

/* A socket was destroyed on which data was captured. */
struct fc_closed {
	__u32 kind;
	__u32 padding;
	__u64 sock;
	__u64 born;
	__u64 time;
};

/* A secret that a TLS library made known to its own key log. */
struct fc_secret {
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 length; /* of the secret */
	__u64 connection; /* 0 where not known */
	__u64 time;
	char label[FC_LABEL_SIZE];
	__u8 client_random[FC_RANDOM_SIZE];
	__u8 secret[FC_SECRET_SIZE];
};

/* Value of the array `secret_layouts`: where a session keeps its client random. */
struct fc_secret_layout {
	__u32 pointer; /* to what holds it; FC_NO_POINTER where that is the session itself */
	__u32 client_random;
};

/* Key of the map `sessions`: an SSL object of one process. */
struct fc_session_key {
	__u32 tgid;
	__u32 padding;
	__u64 ssl;
};

struct fc_session {
	__u64 connection;
	__u32 freed; /* SSL_free was called; a data call after it means that somebody holds another reference */
	__s32 fd; /* as SSL_set_fd told it; -1 where it did not */
};

/* Value of the map `connections`, whose key is `id`. */
struct fc_state {
	__u64 id;
	__u64 position[2]; /* by direction; advanced for lost bytes too */
	__u64 first_seen;
	__u64 sock;
	__u64 born;
	__u64 other; /* a socket that is not TCP: gives addresses, but its end is never seen */
	__s32 fd;
	__u32 begun;
	__u32 announced;
	__u32 unwanted; /* a filter on addresses or ports refused it */
	__u64 turn; /* position at which the direction that moved last began to */
	__u32 direction; /* which that is */
	__u32 padding;
};

/* Value of the map `sockets`, whose key is the address: a TCP socket, from its opening or its first use in an SSL call until
 * its destruction.
 */
struct fc_socket {
	__u64 born;
	__u64 opened;
	__u32 role;
	__u32 captured; /* its destruction will be told */
	__u32 encrypted; /* it carries TLS, so what crosses it is no plaintext */
	__u32 padding;
};

/* Value of the map `lost_closes`, whose key is the socket's `born`: a CLOSED for which the ring buffer had no room. */
struct fc_lost_close {
	__u64 sock;
	__u64 time;
};

/* Key of the map `told_files`. The device is the kernel's own number for it, which stat(2) shows in another form. */
struct fc_file {
	__u64 inode;
	__u32 device;
	__u32 padding;
};

/* Record of the ring buffer `files`: a process runs a file, or is about to map it executable. */
struct fc_arrival {
	struct fc_file file;
	__u32 tgid;
	__u32 program; /* 1: it is the process's program */
	char name[FC_FILE_NAME_SIZE]; /* without directories; cut */
};

_Static_assert(sizeof(struct fc_data) == 64, "fc_data");
_Static_assert(sizeof(struct fc_connection) == 72 + 48 + 48 + FC_COMMAND_LINE_SIZE, "fc_connection");
_Static_assert(sizeof(struct fc_closed) == 32, "fc_closed");
_Static_assert(sizeof(struct fc_secret) == 32 + FC_LABEL_SIZE + FC_RANDOM_SIZE + FC_SECRET_SIZE, "fc_secret");
_Static_assert(sizeof(struct fc_secret_layout) == 8, "fc_secret_layout");
_Static_assert(sizeof(struct fc_session_key) == 16, "fc_session_key");
_Static_assert(sizeof(struct fc_session) == 16, "fc_session");
_Static_assert(sizeof(struct fc_state) == 88, "fc_state");
_Static_assert(sizeof(struct fc_socket) == 32, "fc_socket");
_Static_assert(sizeof(struct fc_lost_close) == 16, "fc_lost_close");
_Static_assert(sizeof(struct fc_arrival) == 24 + FC_FILE_NAME_SIZE, "fc_arrival");

#endif
