/* Which connection an SSL object carries, on which socket, and the record that tells user space of it.
 *
 * A connection is named by the moment it was first seen, so a reused SSL object, socket address, descriptor or process
 * number never joins two.
 */

/* Nanoseconds fit 56 bits for two years of uptime; the CPU's number parts two that begin at once. */
static __always_inline u64 new_id(u64 now)
{
	return now << 8 | (bpf_get_smp_processor_id() & 0xff);
}

static __always_inline struct fc_session_key session_of(u64 ssl)
{
	struct fc_session_key key = {};

	key.tgid = bpf_get_current_pid_tgid() >> 32;
	key.ssl = ssl;
	return key;
}

/* User space forgets the connections it was told of; others must not stay until they are evicted. */
static __always_inline void forget_untold(struct fc_session *session)
{
	struct fc_state *connection;

	if (!session)
		return;
	connection = connections.lookup(&session->connection);
	if (connection && !connection->announced)
		connections.delete(&session->connection);
}

/* Begins a connection on `key`. Where another thread was faster and `replace` is 0, gives the one that thread began. */
static __always_inline struct fc_state *begin(struct fc_session_key *key, s32 fd, u32 begun, u32 replace)
{
	struct fc_state fresh = {};
	struct fc_session session = {};
	struct fc_session *other;
	u64 now = bpf_ktime_get_ns();

	fresh.id = new_id(now);
	fresh.first_seen = now;
	fresh.fd = fd;
	fresh.begun = begun;
	if (connections.update(&fresh.id, &fresh))
		return 0;
	session.connection = fresh.id;
	session.fd = fd;
	if (replace) {
		forget_untold(sessions.lookup(key));
		sessions.update(key, &session);
	} else if (sessions.insert(key, &session)) {
		connections.delete(&fresh.id);
		other = sessions.lookup(key);
		return other ? connections.lookup(&other->connection) : 0;
	}
	return connections.lookup(&fresh.id);
}

static __always_inline struct fc_state *current_connection(struct fc_session_key *key)
{
	struct fc_session *session = sessions.lookup(key);
	struct fc_state *connection;

	if (!session)
		return begin(key, -1, 0, 0);
	connection = connections.lookup(&session->connection);
	return connection ? connection : begin(key, session->fd, 0, 1);
}

static __always_inline int has_moved(struct fc_state *connection)
{
	return connection->position[FC_RECEIVED] || connection->position[FC_SENT];
}

/* A new TLS session on `key`, whatever the object carried before. */
static __always_inline struct fc_state *session_begins(struct fc_session_key *key)
{
	struct fc_session *session = sessions.lookup(key);
	struct fc_state *connection;

	if (!session)
		return begin(key, -1, 1, 0);
	connection = connections.lookup(&session->connection);
	if (session->freed || !connection)
		return begin(key, -1, 1, 1);
	return connection;
}

static __always_inline int socket_alive(u64 sock, u64 born)
{
	struct fc_socket *life = sockets.lookup(&sock);

	return life && life->born == born;
}

/* What is known of a TCP socket, from now on if nothing was; 0 where there is no room. */
static __always_inline struct fc_socket *life_of(u64 sock)
{
	struct fc_socket *life = sockets.lookup(&sock);
	struct fc_socket fresh = {};

	if (life)
		return life;
	fresh.born = bpf_ktime_get_ns();
	sockets.insert(&sock, &fresh);
	return sockets.lookup(&sock);
}

static __always_inline void bind(struct fc_state *connection, u64 sock, u64 born, s32 fd)
{
	connection->sock = sock;
	connection->born = born;
	connection->fd = fd;
	connection->unwanted = 0;
	connection->announced = 0;
}

/* Says that `connection` uses `sock`. The first TCP socket stays for as long as it lives: an SSL object may read from one
 * and write to another, or ask a third for a revoked certificate. Only SSL_set_fd (`told`) moves it to another.
 */
static __always_inline void use_socket(struct fc_session_key *key, struct fc_state *connection, u64 sock, s32 fd, u32 told)
{
	struct fc_socket *life;
	int kind;

	life = sockets.lookup(&sock);
	if (life && connection->sock == sock && connection->born == life->born)
		return;
	kind = socket_kind(sock);
	if (kind < 0)
		return;
	if (kind == 0) {
		if (!connection->sock && connection->other != sock) {
			connection->other = sock;
			connection->fd = fd;
			connection->announced = 0;
		}
		return;
	}
	if (connection->sock) {
		if (!told && socket_alive(connection->sock, connection->born))
			return;
		if (has_moved(connection))
			connection = begin(key, fd, told, 1);
		if (!connection)
			return;
	}
	life = life_of(sock);
	if (life)
		bind(connection, sock, life->born, fd);
}

/* `version` stood first in the SSL object until OpenSSL 3.2, which has a small type number there. */
static __always_inline u32 tls_version(u64 ssl)
{
	u32 version = 0;

	bpf_probe_read_user(&version, sizeof(version), (void *)ssl);
	if ((version >= 0x0300 && version <= 0x0304) || (version >= 0xfefc && version <= 0xfeff))
		return version;
	return 0;
}

static __always_inline void describe_process(struct fc_connection *record)
{
	u64 leader = process_leader();
	u64 memory = read_u64(leader + AT_task_struct_mm);
	u64 arguments = read_u64(memory + AT_mm_struct_arg_start);
	u64 length = read_u64(memory + AT_mm_struct_arg_end) - arguments;
	u64 id = bpf_get_current_pid_tgid();

	record->tgid = id >> 32;
	record->tid = id;
	record->uid = bpf_get_current_uid_gid();
	record->parent = read_u32(read_u64(leader + AT_task_struct_real_parent) + AT_task_struct_tgid);
	record->process_start = read_u64(leader + AT_task_struct_start_boottime);
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), (void *)(leader + AT_task_struct_comm));
	record->command_line_length = length;
	if (length > FC_COMMAND_LINE_SIZE)
		length = FC_COMMAND_LINE_SIZE;
	if (!memory || bpf_probe_read_user(record->command_line, length, (void *)arguments))
		record->command_line_length = 0;
}

static __always_inline void describe_socket(struct fc_connection *record, struct fc_state *connection)
{
	struct fc_socket *life = sockets.lookup(&connection->sock);

	record->sock = 0;
	record->born = 0;
	record->opened = 0;
	record->role = FC_ROLE_UNKNOWN;
	/* A socket already destroyed will never be told closed: such a connection ends when idle. */
	if (!life || life->born != connection->born)
		return;
	life->captured = 1;
	record->sock = connection->sock;
	record->born = life->born;
	record->opened = life->opened;
	record->role = life->role;
}

enum announced {
	ANNOUNCED,
	UNWANTED,
	NO_ROOM,
};

/* Sends the record that must precede the connection's data, unless the filters refuse its addresses. */
static __always_inline enum announced announce(struct fc_state *connection, struct call *call)
{
	u64 sock = connection->sock ? connection->sock : connection->other;
	struct endpoints at = {};
	struct fc_connection *record;

	if (sock)
		read_endpoints(sock, &at);
	if (!endpoints_wanted(&at)) {
		connection->unwanted = connection->sock != 0;
		connection->begun = 0;
		return UNWANTED;
	}
	record = events.ringbuf_reserve(sizeof(*record));
	if (!record)
		return NO_ROOM;
	record->kind = FC_CONNECTION;
	record->connection = connection->id;
	record->first_seen = connection->first_seen;
	record->session = call->ssl;
	record->fd = connection->fd;
	record->begun = connection->begun;
	record->source = source_of(call->function);
	record->library = call->library;
	record->tls_version = record->source == FC_SOURCE_OPENSSL ? tls_version(call->ssl) : 0;
	record->inode = sock ? socket_inode(sock) : 0;
	record->local_port = at.local_port;
	record->remote_port = at.remote_port;
	__builtin_memcpy(record->local, at.local, 16);
	__builtin_memcpy(record->remote, at.remote, 16);
	describe_process(record);
	describe_socket(record, connection);
	connection->announced = 1;
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return ANNOUNCED;
}
