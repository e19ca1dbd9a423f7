/* Programs that capture what crosses plain TCP sockets, on the ports that were asked for. Compiled in only where some were.
 *
 * The kernel's tracepoints tell the socket and how much moved; the registers of the system call under way tell where in
 * the process's memory it is. What is not there (sendfile, splice), or cannot be told (sendmmsg, recvmmsg, io_uring), is a gap
 * of its true size. A socket that carries TLS is left alone: by what the taps of TLS libraries know, and where they know
 * nothing by its first bytes.
 */
#ifdef PLAIN

#define FLAG_PEEK 0x2
#define FLAG_TRUNCATE 0x20
#define FLAG_ERRORS 0x2000

/* Captured of one call: pieces of a chunk at most, which also end where a vector of readv or writev does. */
#define MOST_PIECES 256

BPF_HASH(plain_ports, u16, u8, 1024);

static __always_inline int plain_wanted(u64 sock)
{
	u16 port = read_u16(sock + AT_sock_skc_num);

	if (plain_ports.lookup(&port))
		return 1;
	port = read_u16(sock + AT_sock_skc_dport);
	port = port << 8 | port >> 8;
	return plain_ports.lookup(&port) != 0;
}

/* Where a call's bytes are in the process's memory: one piece of `left` bytes, or a list of those. */
struct pieces {
	u64 address;
	u64 left;
	u64 list;
	u64 count;
};

/* What a thread is about to send. The verifier knows nothing of a map's contents, so that it need not follow, from one piece to the
 * next, all that they could be; and a thread's own entry is safe from others on its processor.
 */
struct moving {
	struct fc_data at;
	struct pieces pieces;
	u64 bytes;
	u64 missing;
};

BPF_TABLE("lru_hash", u64, struct moving, moving_threads, 4096);

/* 0 where that cannot be told. */
static __always_inline int find_pieces(struct pieces *to, u64 bytes, u32 direction)
{
	u64 registers = task_registers(current_task_btf());
	u64 number = read_u64(registers + CALL_NUMBER);
	u64 second = read_u64(registers + SECOND_ARGUMENT);

	if (direction == FC_SENT ? number == NR_WRITE || number == NR_SENDTO : number == NR_READ || number == NR_RECVFROM) {
		to->address = second;
		to->left = bytes;
		return 1;
	}
	if (direction == FC_SENT ? number == NR_WRITEV : number == NR_READV) {
		to->list = second;
		to->count = read_u64(registers + THIRD_ARGUMENT);
		return 1;
	}
	if (direction == FC_SENT ? number != NR_SENDMSG : number != NR_RECVMSG)
		return 0;
	return !bpf_probe_read_user(&to->list, 2 * sizeof(u64), (void *)(second + MSGHDR_IOV));
}

static __always_inline int next_piece(struct pieces *pieces)
{
	if (pieces->left)
		return 1;
	if (!pieces->count || bpf_probe_read_user(&pieces->address, 2 * sizeof(u64), (void *)pieces->list))
		return 0;
	pieces->list += 16;
	pieces->count--;
	return 1;
}

static __always_inline int begins_as_tls(struct pieces *pieces)
{
	u8 header[3] = {};

	bpf_probe_read_user(header, sizeof(header), (void *)pieces->address);
	return header[0] >= CONTENT_CHANGE_CIPHER_SPEC && header[0] <= CONTENT_APPLICATION_DATA && header[1] == 3 && header[2] <= 4;
}

/* The connection that a process has on a plain socket. It is kept in `sessions` as that of an SSL object would be: a socket's
 * address is the kernel's, so none of the process's has the same.
 */
static __always_inline struct fc_state *plain_connection(struct fc_session_key *key, struct fc_socket *life)
{
	struct fc_session *session = sessions.lookup(key);
	struct fc_state *connection = session ? connections.lookup(&session->connection) : 0;

	if (connection && connection->born == life->born)
		return connection;
	connection = begin(key, -1, life->opened != 0, 1);
	if (connection)
		bind(connection, key->ssl, life->born, descriptor_of(key->ssl));
	return connection;
}

static __always_inline void submit_piece(struct moving *moving)
{
	u64 size = moving->pieces.left;

	if (size > moving->bytes)
		size = moving->bytes;
	if (size > FC_CHUNK_SIZE)
		size = FC_CHUNK_SIZE;
	moving->at.captured = size;
	moving->at.length = size;
	moving->pieces.left -= size;
	moving->bytes -= size;
	if (size)
		submit_sized(&moving->at, moving->pieces.address);
	moving->pieces.address += moving->at.length;
	moving->at.position += moving->at.length;
}

static __always_inline void submit_pieces(struct moving *moving)
{
	int index;

	for (index = 0; index < MOST_PIECES; index++) {
		if (!moving->bytes || !next_piece(&moving->pieces))
			break;
		submit_piece(moving);
	}
	if (moving->bytes)
		lose_bytes(FC_LOSS_LIMIT_EVENTS, moving->bytes);
	moving->at.captured = 0;
	moving->at.length = moving->bytes + moving->missing;
	if (moving->at.length)
		submit(&moving->at, 0, 128);
}

static __always_inline int plain_moved(struct bpf_raw_tracepoint_args *ctx, u32 direction)
{
	s32 bytes = ctx->args[1];
	u32 flags = ctx->args[2];
	struct fc_session_key key = session_of(ctx->args[0]);
	u64 id = bpf_get_current_pid_tgid();
	struct fc_socket *life;
	struct fc_state *connection;
	struct call call = {};
	struct moving fresh = {}, *moving;

	if (bytes <= 0 || (direction == FC_RECEIVED && flags & (FLAG_PEEK | FLAG_ERRORS)))
		return 0;
	if (!plain_wanted(key.ssl) || socket_kind(key.ssl) <= 0 || !process_wanted() || calling_thread())
		return 0;
	life = life_of(key.ssl);
	if (!life || life->encrypted)
		return 0;
	connection = plain_connection(&key, life);
	if (!connection)
		return 0;
	call.buffer = find_pieces(&fresh.pieces, bytes, direction) && !(direction == FC_RECEIVED && flags & FLAG_TRUNCATE);
	if (!has_moved(connection) && call.buffer && next_piece(&fresh.pieces) && begins_as_tls(&fresh.pieces)) {
		life->encrypted = 1;
		return 0;
	}
	call.ssl = key.ssl;
	call.function = FN_PLAIN;
	fresh.bytes = admitted(&fresh.at, &call, direction, bpf_ktime_get_ns(), bytes);
	if (!fresh.bytes)
		return 0;
	if (!call.buffer) {
		submit_unread(&fresh.at, bytes);
		return 0;
	}
	fresh.missing = bytes - fresh.bytes;
	moving_threads.update(&id, &fresh);
	moving = moving_threads.lookup(&id);
	if (moving)
		submit_pieces(moving);
	else
		lose_bytes(FC_LOSS_MAP_EVENTS, bytes);
	return 0;
}

/* sock:sock_send_length and sock:sock_recv_length (6.3): (struct sock *, int result, int flags) */
int plain_sent(struct bpf_raw_tracepoint_args *ctx)
{
	return plain_moved(ctx, FC_SENT);
}

int plain_received(struct bpf_raw_tracepoint_args *ctx)
{
	return plain_moved(ctx, FC_RECEIVED);
}

#endif
