/* Finds the sockets of connections whose TLS runs in memory, where no socket call is made inside a TLS call.
 *
 * What a TLS library writes into memory inside a call, the program itself sends later. So the beginning of each TLS record
 * that is written is remembered with its connection, and looked for at the beginning of what the process sends: part of it
 * is a random number or ciphertext, which no other connection has. A sighting is used up, so that a program that passes
 * the bytes on over another socket is not taken for their source. Two sightings on one socket, and none on another, make
 * it the connection's.
 */

/* TLSPlaintext (RFC 8446, section 5.1): type, version, length; then 19 bytes, of a hello 13 of them random. */
#define RECORD_HEADER 5
#define RECORD_BEGINNING 24
#define CONTENT_CHANGE_CIPHER_SPEC 20
#define CONTENT_APPLICATION_DATA 23
#define CHANGE_CIPHER_SPEC_RECORD (RECORD_HEADER + 1)
#define ENOUGH_SIGHTINGS 2

struct written_key {
	u32 tgid;
	u8 beginning[RECORD_BEGINNING];
};

struct written {
	u64 connection;
	u64 ssl;
};

/* Where a connection's records were sent so far. */
struct sighting {
	u64 sock;
	u64 born;
	u32 count;
	u32 conflict;
};

BPF_TABLE("lru_hash", u32, u8, memory_processes, 1024);
BPF_TABLE("lru_hash", struct written_key, struct written, written_records, 8192);
BPF_TABLE("lru_hash", u64, struct sighting, sightings, 8192);

/* The beginning of the first TLS record in a process's memory that says something; 0 where there is none. A
 * change_cipher_spec is the same on every connection, so what follows it is taken.
 */
static __always_inline int record_beginning(struct written_key *key, u64 from, u64 bytes)
{
	u8 *header = key->beginning;

	if (bytes < RECORD_BEGINNING || bpf_probe_read_user(header, RECORD_BEGINNING, (void *)from))
		return 0;
	if (header[0] == CONTENT_CHANGE_CIPHER_SPEC) {
		if (bytes < CHANGE_CIPHER_SPEC_RECORD + RECORD_BEGINNING)
			return 0;
		if (bpf_probe_read_user(header, RECORD_BEGINNING, (void *)(from + CHANGE_CIPHER_SPEC_RECORD)))
			return 0;
	}
	if (header[0] <= CONTENT_CHANGE_CIPHER_SPEC || header[0] > CONTENT_APPLICATION_DATA || header[1] != 3 || header[2] > 4)
		return 0;
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	return 1;
}

/* BIO_write, or what it comes down to for memory: (BIO *, const void *data, int length) */
int bio_write_enter(struct pt_regs *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = threads.lookup(&id);
	struct written_key key = {};
	struct fc_session_key session_key;
	struct fc_state *connection;
	struct written written = {};
	u32 tgid = id >> 32;
	u8 yes = 1;

	if (!thread || !thread->depth)
		return 0;
	written.ssl = frame(thread, thread->depth - 1)->ssl;
	session_key = session_of(written.ssl);
	connection = current_connection(&session_key);
	if (!connection || connection->sock || !record_beginning(&key, PT_REGS_PARM2(ctx), (s32)PT_REGS_PARM3(ctx)))
		return 0;
	written.connection = connection->id;
	written_records.update(&key, &written);
	if (!memory_processes.lookup(&tgid))
		memory_processes.update(&tgid, &yes);
	return 0;
}

/* The connection was seen on `sock`: whether that is now sure. */
static __always_inline int sighted(u64 connection, u64 sock, u64 born)
{
	struct sighting *known = sightings.lookup(&connection);
	struct sighting first = {};

	if (!known) {
		first.sock = sock;
		first.born = born;
		first.count = 1;
		sightings.update(&connection, &first);
		return 0;
	}
	if (known->sock != sock || known->born != born)
		known->conflict = 1;
	known->count++;
	return !known->conflict && known->count >= ENOUGH_SIGHTINGS;
}

/* The process sent `bytes` of its memory at `from`, and perhaps more behind them, on `sock`. */
static __always_inline void sent_from(u64 sock, s32 fd, u64 from, u64 bytes)
{
	struct fc_session_key session_key;
	struct written_key key = {};
	struct written *found, written;
	struct fc_state *connection;
	struct fc_session *session;
	struct fc_socket *life;
	struct call call = {};
	u32 announced;

	if (!record_beginning(&key, from, bytes))
		return;
	found = written_records.lookup(&key);
	if (!found)
		return;
	written = *found;
	written_records.delete(&key);
	session_key = session_of(written.ssl);
	session = sessions.lookup(&session_key);
	connection = connections.lookup(&written.connection);
	if (!session || !connection || session->connection != written.connection || connection->sock)
		return;
	life = socket_kind(sock) > 0 ? life_of(sock) : 0;
	if (!life)
		return;
	life->encrypted = 1;
	if (!sighted(written.connection, sock, life->born))
		return;
	call.ssl = written.ssl;
	call.function = FN_WRITE;
	announced = connection->announced;
	bind(connection, sock, life->born, fd);
	/* Nothing more may cross it that would bring the news. */
	if (announced)
		announce(connection, &call);
}

/* Where a system call's arguments say that the bytes are, by its number: write and sendto, else writev, sendmsg. */
static __always_inline void sent_by_call(u64 sock, s32 fd, u64 number, u64 second, u64 third)
{
	u64 vector[2] = {second, third};

	if (number == NR_SENDMSG && bpf_probe_read_user(&second, sizeof(second), (void *)(second + MSGHDR_IOV)))
		return;
	if (number == NR_SENDMSG || number == NR_WRITEV) {
		if (bpf_probe_read_user(vector, sizeof(vector), (void *)second))
			return;
	} else if (number != NR_WRITE && number != NR_SENDTO) {
		return;
	}
	sent_from(sock, fd, vector[0], vector[1]);
}

static __always_inline int runs_tls_in_memory(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return memory_processes.lookup(&tgid) != 0;
}
