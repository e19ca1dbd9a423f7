/* Programs in Go's crypto/tls. Calls belong to goroutines, which change threads; registers are those of Go's own convention
 * (ABIInternal, since 1.17): arguments in AX, BX, CX …, the goroutine in R14, results from AX on. A return is a probe on each
 * RET, because a return probe's changed return address is one that Go's runtime finds when it copies a stack.
 */

#ifdef bpf_target_x86

static __always_inline struct thread *entering_goroutine(struct pt_regs *ctx)
{
	struct goroutine key = {};
	struct thread *thread;
	struct thread fresh = {};
	u8 yes = 1;

	key.g = ctx->r14;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	thread = goroutines.lookup(&key);
	if (thread)
		return thread;
	go_processes.update(&key.tgid, &yes);
	goroutines.update(&key, &fresh);
	return goroutines.lookup(&key);
}

/* A panic leaves calls without their returning, so a frame of the same function and object is an old one. */
static __always_inline void go_enter(struct pt_regs *ctx, u32 function)
{
	struct thread *thread = entering_goroutine(ctx);
	struct call *call;
	u32 depth, level;

	if (!thread)
		return;
	depth = thread->depth & (2 * MAX_DEPTH - 1);
	if (depth > MAX_DEPTH)
		depth = MAX_DEPTH;
	for (level = 0; level < MAX_DEPTH; level++) {
		call = frame(thread, level);
		if (level < depth && call->function == function && call->ssl == ctx->ax)
			depth = level;
	}
	if (depth >= MAX_DEPTH) {
		lose(FC_LOSS_CALLS, 1);
		depth = 0;
	}
	call = frame(thread, depth);
	call->ssl = ctx->ax;
	call->buffer = ctx->bx;
	call->moved = 0;
	call->time = bpf_ktime_get_ns();
	call->sp = 0;
	call->function = function;
	call->inner = 0;
	call->library = attached_as(ctx);
	thread->depth = depth + 1;
}

static __always_inline void go_leave(struct pt_regs *ctx, u32 function)
{
	s64 result = ctx->ax;
	struct goroutine key = {};
	struct thread *thread;
	struct call call = {};
	u32 depth, level, found = 0;

	key.g = ctx->r14;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	thread = goroutines.lookup(&key);
	if (!thread)
		return;
	depth = thread->depth & (2 * MAX_DEPTH - 1);
	if (depth > MAX_DEPTH)
		depth = MAX_DEPTH;
	for (level = 0; level < MAX_DEPTH; level++) {
		struct call *last = frame(thread, depth - 1);

		if (!depth)
			break;
		depth--;
		if (last->function == function) {
			call = *last;
			thread->depth = depth;
			found = 1;
			break;
		}
	}
	if (!found || result <= 0)
		return;
	if (function == FN_GO_WRITE)
		capture(&call, FC_SENT, call.time, result);
	else
		capture(&call, FC_RECEIVED, bpf_ktime_get_ns(), result);
}

int go_read_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		go_enter(ctx, FN_GO_READ);
	return 0;
}

int go_read_leave(struct pt_regs *ctx)
{
	go_leave(ctx, FN_GO_READ);
	return 0;
}

int go_write_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		go_enter(ctx, FN_GO_WRITE);
	return 0;
}

int go_write_leave(struct pt_regs *ctx)
{
	go_leave(ctx, FN_GO_WRITE);
	return 0;
}

/* A Conn has one handshake, so what its address carried before was another. */
int go_handshake_enter(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(ctx->ax);
	struct fc_state *connection;

	if (!process_wanted())
		return 0;
	connection = session_begins(&key);
	if (connection && has_moved(connection))
		begin(&key, -1, 1, 1);
	return 0;
}

#endif
