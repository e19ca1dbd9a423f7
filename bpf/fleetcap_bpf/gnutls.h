/* Programs at GnuTLS's functions. The socket is that of the system calls inside them; see sockets.h. */

static __always_inline void gnutls_finish(struct pt_regs *ctx, u32 function)
{
	s64 result = PT_REGS_RC(ctx);
	struct call call = {};

	if (!leave(ctx, function, &call)) {
		if (result > 0 && process_wanted())
			lose(FC_LOSS_CALLS, 1);
		return;
	}
	if (result <= 0 || call.inner)
		return;
	if (moves(function) == FC_SENT)
		capture(&call, FC_SENT, call.time, result);
	else
		capture(&call, FC_RECEIVED, bpf_ktime_get_ns(), result);
}

int gnutls_read_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_GNUTLS_READ, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
	return 0;
}

/* gnutls_record_recv_packet hands out the library's own memory, which is counted only. */
int gnutls_packet_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_GNUTLS_READ, PT_REGS_PARM1(ctx), 0, 0);
	return 0;
}

int gnutls_read_leave(struct pt_regs *ctx)
{
	gnutls_finish(ctx, FN_GNUTLS_READ);
	return 0;
}

/* Without a buffer it goes on with what an earlier call left unsent; those bytes are counted only. */
int gnutls_write_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_GNUTLS_WRITE, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
	return 0;
}

int gnutls_write_leave(struct pt_regs *ctx)
{
	gnutls_finish(ctx, FN_GNUTLS_WRITE);
	return 0;
}

/* Sends what corked calls took, by calls of its own: those bytes were seen before. */
int gnutls_uncork_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_GNUTLS_UNCORK, PT_REGS_PARM1(ctx), 0, 0);
	return 0;
}

int gnutls_uncork_leave(struct pt_regs *ctx)
{
	struct call call = {};

	leave(ctx, FN_GNUTLS_UNCORK, &call);
	return 0;
}

int gnutls_handshake_enter(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));

	if (!process_wanted())
		return 0;
	session_begins(&key);
	enter(ctx, FN_GNUTLS_HANDSHAKE, key.ssl, 0, 0);
	return 0;
}

int gnutls_handshake_leave(struct pt_regs *ctx)
{
	struct call call = {};

	leave(ctx, FN_GNUTLS_HANDSHAKE, &call);
	return 0;
}
