/* Everything the programs remember between hits, and the counters of what they lose.
 *
 * All maps are bounded. Those that could fill up with what nobody ends are LRU; user space deletes what it knows to be over.
 */

/* First of all maps, because EVENTS below names it by its number: bcc numbers maps -1, -2 … until they are created. */
BPF_RINGBUF_OUTPUT(events, RING_PAGES);
#define EVENTS ((void *)bpf_pseudo_fd(1, -1))

enum function {
	FN_NONE = 0,
	FN_READ,
	FN_READ_EX,
	FN_WRITE,
	FN_WRITE_EX,
	FN_SENDFILE,
	FN_HANDSHAKE,
	FN_NEW,
	FN_GNUTLS_READ,
	FN_GNUTLS_WRITE,
	FN_GNUTLS_UNCORK,
	FN_GNUTLS_HANDSHAKE,
	FN_GO_READ,
	FN_GO_WRITE,
	FN_PLAIN,
};

/* One SSL_* call under way. */
struct call {
	u64 ssl;
	u64 buffer;
	u64 moved; /* where an _ex function will write its size_t */
	u64 time;
	u64 sp;
	u32 function;
	u32 inner; /* made by another call that moves the same bytes */
	u32 library; /* number of the library or program whose function it is; 0 where not known */
	u32 padding;
};

/* Calls nest where TLS runs inside TLS (an HTTPS proxy): three levels would do, four make a mask. */
#define MAX_DEPTH 4

struct thread {
	u32 depth;
	u32 padding;
	struct call calls[MAX_DEPTH];
};

BPF_TABLE("lru_hash", struct fc_session_key, struct fc_session, sessions, MAX_CONNECTIONS);
BPF_TABLE("lru_hash", u64, struct fc_state, connections, MAX_CONNECTIONS);
BPF_TABLE("lru_hash", u64, struct fc_socket, sockets, MAX_CONNECTIONS);
BPF_TABLE("lru_hash", u64, struct thread, threads, 16384);
/* A goroutine's calls, as a thread's; its address is that of its runtime's g. */
struct goroutine {
	u64 g;
	u32 tgid;
	u32 padding;
};
BPF_TABLE("lru_hash", struct goroutine, struct thread, goroutines, 16384);
BPF_TABLE("lru_hash", u32, u8, go_processes, 1024);

BPF_TABLE("hash", u64, struct fc_lost_close, lost_closes, 4096);
BPF_PERCPU_ARRAY(losses, u64, FC_LOSS_COUNT);

/* Atomic though per CPU: a program can be preempted by another on its CPU. */
static __always_inline void lose(u32 cause, u64 amount)
{
	u64 *count = losses.lookup(&cause);

	if (count)
		__sync_fetch_and_add(count, amount);
}

static __always_inline void lose_bytes(u32 events_cause, u64 bytes)
{
	lose(events_cause, 1);
	lose(events_cause + 1, bytes);
}
