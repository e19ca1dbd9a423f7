/* Programs at the kernel's own tracepoints: which socket an SSL call uses, and how TCP sockets begin and end. */

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7

struct syscall_enter {
	u64 common;
	s32 number;
	u32 padding; /* not initialised by the kernel */
	u64 arguments[6];
};

static __always_inline void mark_encrypted(u64 sock)
{
#ifdef PLAIN
	struct fc_socket *life = sockets.lookup(&sock);

	if (life)
		life->encrypted = 1;
#endif
}

/* A socket call was made inside the thread's SSL calls: it belongs to each of them (TLS inside TLS). */
static __always_inline void inside_calls(struct thread *thread, u64 sock, s32 fd)
{
	u32 depth = thread->depth;
	int level;

	for (level = 0; level < MAX_DEPTH; level++) {
		struct fc_session_key key;
		struct fc_state *connection;

		if (level >= depth)
			break;
		key = session_of(thread->calls[level].ssl);
		connection = current_connection(&key);
		if (connection) {
			use_socket(&key, connection, sock, fd, 0);
			mark_encrypted(sock);
		}
	}
}

#ifdef TASK_REGISTERS
static u64 (*const current_task_btf)(void) = (void *)158; /* bpf_get_current_task_btf, 5.11 */
static u64 (*const task_registers)(u64 task) = (void *)175; /* bpf_task_pt_regs, 5.15 */

/* The first argument of the system call under way, where it is a descriptor of `sock`; else -1. */
static __always_inline s32 descriptor_of(u64 sock)
{
	s32 fd = read_u32(task_registers(current_task_btf()) + FIRST_ARGUMENT);

	return socket_of_fd(fd) == sock ? fd : -1;
}

#define R14 8 /* in struct pt_regs; Go's system calls leave their goroutine there */

static __always_inline struct thread *calling_goroutine(u32 tgid)
{
	struct goroutine key = {};

	if (!go_processes.lookup(&tgid))
		return 0;
	key.g = read_u64(task_registers(current_task_btf()) + R14);
	key.tgid = tgid;
	return goroutines.lookup(&key);
}
/* The system call under way sends on `sock`. */
static __always_inline void sent_by_this_call(u64 sock)
{
	u64 registers = task_registers(current_task_btf());

	sent_by_call(sock, descriptor_of(sock), read_u64(registers + CALL_NUMBER), read_u64(registers + SECOND_ARGUMENT),
		     read_u64(registers + THIRD_ARGUMENT));
}
#else
static __always_inline void sent_by_this_call(u64 sock)
{
}

static __always_inline struct thread *calling_goroutine(u32 tgid)
{
	return 0;
}

static __always_inline s32 descriptor_of(u64 sock)
{
	return -1;
}
#endif

static __always_inline struct thread *calling_thread(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = threads.lookup(&id);

	if (!thread)
		thread = calling_goroutine(id >> 32);
	return thread && thread->depth ? thread : 0;
}

/* sock:sock_send_length and sock:sock_recv_length (6.3): (struct sock *, int result, int flags) */
int socket_moved(struct bpf_raw_tracepoint_args *ctx)
{
	struct thread *thread = calling_thread();
	u64 sock = ctx->args[0];

	if (thread)
		inside_calls(thread, sock, descriptor_of(sock));
	return 0;
}

/* sock:sock_send_length, as above */
int socket_sent(struct bpf_raw_tracepoint_args *ctx)
{
	struct thread *thread = calling_thread();
	u64 sock = ctx->args[0];

	if (thread)
		inside_calls(thread, sock, descriptor_of(sock));
	else if ((s32)ctx->args[1] > 0 && runs_tls_in_memory())
		sent_by_this_call(sock);
	return 0;
}

/* syscalls:sys_enter_{read,write,…}, whose first argument is the descriptor; where the two above do not exist. */
int descriptor_used(struct syscall_enter *ctx)
{
	struct thread *thread = calling_thread();
	s32 fd = ctx->arguments[0];
	u64 sock;

	if (!thread && !runs_tls_in_memory())
		return 0;
	sock = socket_of_fd(fd);
	if (sock && thread)
		inside_calls(thread, sock, fd);
	else if (sock)
		sent_by_call(sock, fd, ctx->number, ctx->arguments[1], ctx->arguments[2]);
	return 0;
}

static __always_inline void tell_closed(u64 sock, struct fc_socket *life)
{
	u64 now = bpf_ktime_get_ns();
	struct fc_closed *record;

	if (!life->captured)
		return;
	record = events.ringbuf_reserve(sizeof(*record));
	if (!record) {
		struct fc_lost_close lost = {};
		u64 born = life->born;

		lost.sock = sock;
		lost.time = now;
		if (lost_closes.update(&born, &lost))
			lose(FC_LOSS_CLOSES, 1);
		return;
	}
	record->kind = FC_CLOSED;
	record->padding = 0;
	record->sock = sock;
	record->born = life->born;
	record->time = now;
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline void socket_opened(u64 sock, u32 role)
{
	struct fc_socket *life = sockets.lookup(&sock);
	struct fc_socket fresh = {};
	u64 now = bpf_ktime_get_ns();

	/* Named by SSL_set_fd before it was connected: the same socket. */
	if (life && !life->opened) {
		life->opened = now;
		life->role = role;
		return;
	}
	/* Connected anew without having been destroyed: another connection. */
	if (life)
		tell_closed(sock, life);
	fresh.born = now;
	fresh.opened = now;
	fresh.role = role;
	sockets.update(&sock, &fresh);
}

static __always_inline void socket_destroyed(u64 sock)
{
	struct fc_socket *life = sockets.lookup(&sock);

	if (!life)
		return;
	tell_closed(sock, life);
	sockets.delete(&sock);
}

/* sock:inet_sock_set_state: (const struct sock *, int old state, int new state) */
int socket_state(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sock = ctx->args[0];
	int old = ctx->args[1], new = ctx->args[2];

	if (new == TCP_ESTABLISHED && old == TCP_SYN_SENT)
		socket_opened(sock, FC_ROLE_CLIENT);
	else if (new == TCP_ESTABLISHED && old == TCP_SYN_RECV)
		socket_opened(sock, FC_ROLE_SERVER);
	/* Multipath TCP sockets pass no tcp_destroy_sock; this is the last that is seen of them. */
	else if (new == TCP_CLOSE && read_u16(sock + AT_sock_sk_protocol) == PROTOCOL_MPTCP)
		socket_destroyed(sock);
	return 0;
}

/* tcp:tcp_destroy_sock: (struct sock *) */
int socket_destroy(struct bpf_raw_tracepoint_args *ctx)
{
	socket_destroyed(ctx->args[0]);
	return 0;
}

/* sched:sched_process_exit: a thread may die inside a call, and its number be given to another. */
int thread_exit(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();

	threads.delete(&id);
	return 0;
}
