/* The calls that a thread has under way, whatever library they are of: entered, nested, left. */

static __always_inline u32 moves(u32 function)
{
	if (function == FN_READ || function == FN_READ_EX || function == FN_GNUTLS_READ || function == FN_GO_READ)
		return FC_RECEIVED;
	if (function == FN_HANDSHAKE || function == FN_NEW || function == FN_GNUTLS_HANDSHAKE)
		return 2;
	return FC_SENT;
}

static __always_inline u32 source_of(u32 function)
{
	if (function == FN_PLAIN)
		return FC_SOURCE_SOCKET;
	if (function >= FN_GO_READ)
		return FC_SOURCE_GO_TLS;
	return function >= FN_GNUTLS_READ ? FC_SOURCE_GNUTLS : FC_SOURCE_OPENSSL;
}

/* What user space attached the running probe with, by which it tells a library even where the process is gone by then. */
static __always_inline u32 attached_as(struct pt_regs *ctx)
{
#ifdef ATTACH_NUMBERS
	u64 (*cookie)(void *) = (void *)BPF_FUNC_get_attach_cookie;

	return cookie(ctx);
#else
	return 0;
#endif
}

/* The verifier needs to see the mask; the compiler, which knows the bound already, must not take it away. */
static __always_inline struct call *frame(struct thread *thread, u64 level)
{
	asm volatile("" : "+r"(level));
	return &thread->calls[level & (MAX_DEPTH - 1)];
}

/* The number of calls really under way. Frames below the stack pointer were left without returning (longjmp). */
static __always_inline u32 live_depth(struct thread *thread, u64 sp, u32 function)
{
	u32 depth = thread->depth & (2 * MAX_DEPTH - 1);
	int level;

	if (depth > MAX_DEPTH)
		depth = MAX_DEPTH;
	for (level = 0; level < MAX_DEPTH; level++) {
		struct call *last = frame(thread, depth - 1);

		if (!depth || last->sp > sp || (last->sp == sp && last->function != function))
			break;
		depth--;
	}
	return depth;
}

static __always_inline struct thread *this_thread(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = threads.lookup(&id);
	struct thread fresh = {};

	if (thread)
		return thread;
	threads.update(&id, &fresh);
	return threads.lookup(&id);
}

static __always_inline void enter(struct pt_regs *ctx, u32 function, u64 ssl, u64 buffer, u64 moved)
{
	struct thread *thread = this_thread();
	u64 sp = PT_REGS_SP(ctx);
	struct call *call, *outer;
	u32 depth;

	if (!thread) {
		lose(FC_LOSS_CALLS, 1);
		return;
	}
	depth = live_depth(thread, sp, function);
	if (depth >= MAX_DEPTH) {
		lose(FC_LOSS_CALLS, 1);
		return;
	}
	outer = frame(thread, depth - 1);
	call = frame(thread, depth);
	call->inner = depth && outer->ssl == ssl && moves(outer->function) == moves(function);
	call->ssl = ssl;
	call->buffer = buffer;
	call->moved = moved;
	call->time = bpf_ktime_get_ns();
	call->sp = sp;
	call->function = function;
	call->library = attached_as(ctx);
	thread->depth = depth + 1;
}

/* Takes the call that now returns. Between entry and return the stack pointer differs by the return address at most. */
static __always_inline int leave(struct pt_regs *ctx, u32 function, struct call *to)
{
	u64 id = bpf_get_current_pid_tgid();
	struct thread *thread = threads.lookup(&id);
	u64 sp = PT_REGS_SP(ctx);
	u32 depth;
	int level;

	if (!thread)
		return 0;
	depth = thread->depth & (2 * MAX_DEPTH - 1);
	if (depth > MAX_DEPTH)
		depth = MAX_DEPTH;
	for (level = 0; level < MAX_DEPTH; level++) {
		struct call *last = frame(thread, depth - 1);

		if (!depth)
			return 0;
		depth--;
		if (last->function == function && sp - last->sp <= 8) {
			*to = *last;
			thread->depth = depth;
			return 1;
		}
	}
	return 0;
}
