/* Programs at OpenSSL's functions, entry and return. Which program goes where is a table in fleetcap_producer/points.py. */

static __always_inline void finish(struct pt_regs *ctx, u32 function, u32 with_size)
{
	s32 result = PT_REGS_RC(ctx);
	struct call call = {};
	u64 bytes = result;

	if (!leave(ctx, function, &call)) {
		if (result > 0 && process_wanted())
			lose(FC_LOSS_CALLS, 1);
		return;
	}
	if (result <= 0 || call.inner)
		return;
	if (with_size && bpf_probe_read_user(&bytes, sizeof(bytes), (void *)call.moved)) {
		lose(FC_LOSS_FAULT_EVENTS, 1);
		return;
	}
	if (!bytes)
		return;
	if (moves(function) == FC_SENT)
		capture(&call, FC_SENT, call.time, bytes);
	else
		capture(&call, FC_RECEIVED, bpf_ktime_get_ns(), bytes);
}

int ssl_read_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_READ, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
	return 0;
}

int ssl_read_leave(struct pt_regs *ctx)
{
	finish(ctx, FN_READ, 0);
	return 0;
}

int ssl_write_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_WRITE, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
	return 0;
}

int ssl_write_leave(struct pt_regs *ctx)
{
	finish(ctx, FN_WRITE, 0);
	return 0;
}

int ssl_read_ex_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_READ_EX, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM4(ctx));
	return 0;
}

int ssl_read_ex_leave(struct pt_regs *ctx)
{
	finish(ctx, FN_READ_EX, 1);
	return 0;
}

int ssl_write_ex_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_WRITE_EX, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM4(ctx));
	return 0;
}

/* An inner function that takes flags before the pointer (OpenSSL 3.3). */
int ssl_write_ex_enter_at_4(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_WRITE_EX, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM5(ctx));
	return 0;
}

int ssl_write_ex_leave(struct pt_regs *ctx)
{
	finish(ctx, FN_WRITE_EX, 1);
	return 0;
}

/* The kernel encrypts a file's bytes itself: they are counted, so that later positions are right. */
int ssl_sendfile_enter(struct pt_regs *ctx)
{
	if (process_wanted())
		enter(ctx, FN_SENDFILE, PT_REGS_PARM1(ctx), 0, 0);
	return 0;
}

int ssl_sendfile_leave(struct pt_regs *ctx)
{
	s64 bytes = PT_REGS_RC(ctx);
	struct call call = {};

	if (!leave(ctx, FN_SENDFILE, &call) || bytes <= 0)
		return 0;
	call.buffer = 0; /* it is; said again to keep the copying out of this program */
	capture(&call, FC_SENT, call.time, bytes);
	return 0;
}

/* The socket calls inside a handshake tell the socket before there is data. */
int ssl_handshake_enter(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));

	if (!process_wanted())
		return 0;
	session_begins(&key);
	enter(ctx, FN_HANDSHAKE, key.ssl, 0, 0);
	return 0;
}

int ssl_handshake_leave(struct pt_regs *ctx)
{
	struct call call = {};

	leave(ctx, FN_HANDSHAKE, &call);
	return 0;
}

int ssl_new_leave(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(PT_REGS_RC(ctx));
	struct fc_state *connection;

	if (!key.ssl || !process_wanted())
		return 0;
	connection = session_begins(&key);
	if (connection && (has_moved(connection) || connection->sock))
		begin(&key, -1, 1, 1);
	return 0;
}

/* Called at every handshake's start too: only an object that has carried data is being reused. */
int ssl_clear_enter(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));
	struct fc_state *connection;

	if (!process_wanted())
		return 0;
	connection = session_begins(&key);
	if (connection && has_moved(connection))
		begin(&key, -1, 1, 1);
	return 0;
}

/* The object may have other owners, so its session is only marked; whoever reuses the address begins a new one. */
int ssl_free_enter(struct pt_regs *ctx)
{
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));
	struct fc_session *session = sessions.lookup(&key);
	struct fc_state *connection;

	if (!session)
		return 0;
	session->freed = 1;
	connection = connections.lookup(&session->connection);
	if (connection && connection->announced)
		return 0;
	forget_untold(session);
	sessions.delete(&key);
	return 0;
}

static __always_inline int fd_told(struct pt_regs *ctx, u32 both)
{
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));
	s32 fd = PT_REGS_PARM2(ctx);
	struct fc_state *connection;
	struct fc_session *session;
	u64 sock;

	if (!process_wanted())
		return 0;
	connection = session_begins(&key);
	session = sessions.lookup(&key);
	if (!connection || !session)
		return 0;
	session->fd = fd;
	if (!connection->sock)
		connection->fd = fd;
	sock = socket_of_fd(fd);
	if (sock)
		use_socket(&key, connection, sock, fd, both);
	return 0;
}

int ssl_set_fd_enter(struct pt_regs *ctx)
{
	return fd_told(ctx, 1);
}

/* One direction only: must not take the connection from the socket the other direction uses. */
int ssl_set_one_fd_enter(struct pt_regs *ctx)
{
	return fd_told(ctx, 0);
}
