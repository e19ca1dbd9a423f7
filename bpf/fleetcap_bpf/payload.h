/* Bytes of one call into the ring buffer, in chunks.
 *
 * Payload is copied from the process straight into reserved ring memory: a program in a uprobe can be preempted, so nothing
 * per CPU would be safe to copy through.
 */

/* Wakes the reader once when WAKE_BYTES wait; otherwise it comes by itself every few milliseconds. */
static __always_inline u64 wake_flags(u32 size)
{
	u64 waiting = bpf_ringbuf_query(EVENTS, BPF_RB_AVAIL_DATA);

	/* 16: the record's header in the ring, and its padding */
	if (waiting >= WAKE_BYTES && waiting - WAKE_BYTES < size + 16)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* `at.captured` bytes of `from`, in a reservation for `size`, a power of two that holds them. */
static __always_inline void submit(struct fc_data *at, u64 from, const u32 size)
{
	struct fc_data *record = events.ringbuf_reserve(sizeof(*record) + size);
	u32 length = at->captured;

	if (!record) {
		lose_bytes(FC_LOSS_RING_EVENTS, length);
		return;
	}
	*record = *at;
	/* The verifier wants the bound on the very register; both steps leave 1..size as it is. */
	if (length) {
		length = ((length - 1) & (size - 1)) + 1;
		if (bpf_probe_read_user((void *)record + sizeof(*record), length, (void *)from)) {
			lose_bytes(FC_LOSS_FAULT_EVENTS, length);
			record->captured = 0;
		}
	}
	events.ringbuf_submit(record, wake_flags(sizeof(*record) + size));
}

/* A few sizes, so that a small event takes little of the ring: the verifier allows no reservation of a variable size. */
static __always_inline void submit_sized(struct fc_data *at, u64 from)
{
	if (at->captured <= 128)
		submit(at, from, 128);
	else if (at->captured <= 512)
		submit(at, from, 512);
	else if (at->captured <= 2048)
		submit(at, from, 2048);
	else if (at->captured <= 8192)
		submit(at, from, 8192);
	else
		submit(at, from, FC_CHUNK_SIZE);
}

static __always_inline u64 advance(u64 *position, u64 by)
{
#ifdef ATOMIC_FETCH
	return __sync_fetch_and_add(position, by);
#else
	/* Before 5.12 no atomic gives the old value; OpenSSL's callers serialise the calls of one direction. */
	u64 before = *position;

	__sync_fetch_and_add(position, by);
	return before;
#endif
}

/* What is kept of the beginning of a turn when bodies are shed: most heads fit. */
#define HEAD_BYTES 4096

/* How many of `bytes` are captured: all, unless the ring buffer fills up. Then bodies go first, and then connections, each
 * whole and always the same ones, so that those that are left can be decoded; and room stays for openings and ends.
 */
static __always_inline u64 kept(struct fc_state *connection, u32 direction, u64 position, u64 bytes)
{
	u64 waiting = bpf_ringbuf_query(EVENTS, BPF_RB_AVAIL_DATA);
	u32 share = (u32)((connection->id * 0x9e3779b97f4a7c15ULL) >> 60);
	u64 head;

	if (connection->direction != direction) {
		connection->direction = direction;
		connection->turn = position;
	}
	if (waiting < RING_BYTES / 4 * 3)
		return bytes;
	/* From seven eighths on, in steps of a 32nd of the ring: 4 of 16 connections, 8, 12, all. */
	if (waiting >= RING_BYTES / 8 * 7 && share < 4 * ((waiting - RING_BYTES / 8 * 7) / (RING_BYTES / 32) + 1)) {
		lose_bytes(FC_LOSS_SHED_EVENTS, bytes);
		return 0;
	}
	head = position - connection->turn;
	head = head < HEAD_BYTES ? HEAD_BYTES - head : 0;
	if (bytes <= head)
		return bytes;
	lose_bytes(FC_LOSS_BODY_EVENTS, bytes - head);
	return head;
}

/* `missing` more bytes crossed behind those. */
static __always_inline void submit_chunks(struct fc_data *at, u64 from, u64 bytes, u64 missing)
{
	u64 left = bytes;
	int chunk;

	at->captured = FC_CHUNK_SIZE;
	at->length = FC_CHUNK_SIZE;
	for (chunk = 0; chunk < MAX_CHUNKS - 1 && left > FC_CHUNK_SIZE; chunk++) {
		submit(at, from, FC_CHUNK_SIZE);
		left -= FC_CHUNK_SIZE;
		from += FC_CHUNK_SIZE;
		at->position += FC_CHUNK_SIZE;
	}
	at->length = left + missing;
	if (left > FC_CHUNK_SIZE)
		lose_bytes(FC_LOSS_LIMIT_EVENTS, left - FC_CHUNK_SIZE);
	else
		at->captured = left;
	submit_sized(at, from);
}

/* What precedes `bytes` that a call moved, and how many of them are to be sent: 0 where none of them, and no gap, is. */
static __always_inline u64 admitted(struct fc_data *at, struct call *call, u32 direction, u64 time, u64 bytes)
{
	struct fc_session_key key = session_of(call->ssl);
	struct fc_state *connection = current_connection(&key);
	enum announced announced = ANNOUNCED;

	if (!connection) {
		lose_bytes(FC_LOSS_MAP_EVENTS, bytes);
		return 0;
	}
	if (connection->unwanted)
		return 0;
	if (!connection->announced)
		announced = announce(connection, call);
	if (announced == UNWANTED)
		return 0;
	at->position = advance(&connection->position[direction & 1], bytes);
	if (announced == NO_ROOM) {
		lose_bytes(FC_LOSS_RING_EVENTS, bytes);
		return 0;
	}
	at->kind = FC_DATA;
	at->direction = direction;
	at->connection = connection->id;
	at->time = time;
	at->tid = bpf_get_current_pid_tgid();
	bpf_get_current_comm(at->comm, sizeof(at->comm));
	return call->buffer ? kept(connection, direction, at->position, bytes) : bytes;
}

/* `bytes` that never were in the process's memory are only counted. */
static __always_inline void submit_unread(struct fc_data *at, u64 bytes)
{
	at->length = bytes;
	lose_bytes(FC_LOSS_UNREADABLE_EVENTS, bytes);
	submit(at, 0, 128);
}

/* Sends `bytes` that a call moved; `call->buffer` is 0 where they never were in the process's memory. */
static __always_inline void capture(struct call *call, u32 direction, u64 time, u64 bytes)
{
	struct fc_data at = {};
	u64 keep = admitted(&at, call, direction, time, bytes);

	if (!keep)
		return;
	if (call->buffer)
		submit_chunks(&at, call->buffer, keep, bytes - keep);
	else
		submit_unread(&at, bytes);
}
