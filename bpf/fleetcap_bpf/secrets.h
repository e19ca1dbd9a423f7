/* Programs where TLS libraries hand their secrets to their key log: they call it for each secret, and only inside it look
 * whether anybody wanted one. Compiled in only where key material was asked for.
 */

#ifdef SECRETS

BPF_ARRAY(secret_layouts, struct fc_secret_layout, FC_SECRET_LAYOUTS);

static __always_inline struct fc_secret *begin_secret(u64 label, u32 label_size, u64 length)
{
	struct fc_secret *record;
	u64 id = bpf_get_current_pid_tgid();

	if (!length || length > FC_SECRET_SIZE)
		return 0;
	record = events.ringbuf_reserve(sizeof(*record));
	if (!record) {
		lose(FC_LOSS_RING_EVENTS, 1);
		return 0;
	}
	record->kind = FC_SECRET;
	record->tgid = id >> 32;
	record->tid = id;
	record->length = length;
	record->connection = 0;
	record->time = bpf_ktime_get_ns();
	__builtin_memset(record->label, 0, sizeof(record->label));
	if (label_size)
		bpf_probe_read_user(record->label, label_size & (FC_LABEL_SIZE / 2 - 1), (void *)label);
	else
		bpf_probe_read_user_str(record->label, sizeof(record->label), (void *)label);
	return record;
}

static __always_inline void end_secret(struct fc_secret *record, u64 random, u64 secret)
{
	/* The verifier wants the bound on the very register; both steps leave 1..FC_SECRET_SIZE as it is. */
	u32 length = ((record->length - 1) & (FC_SECRET_SIZE - 1)) + 1;

	if (bpf_probe_read_user(record->client_random, sizeof(record->client_random), (void *)random) ||
	    bpf_probe_read_user(record->secret, length, (void *)secret)) {
		lose(FC_LOSS_FAULT_EVENTS, 1);
		events.ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	events.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* (session, label, secret, its length), of OpenSSL, BoringSSL and GnuTLS alike. */
static __always_inline int secret_logged(struct pt_regs *ctx, int slot)
{
	struct fc_secret_layout *layout = secret_layouts.lookup(&slot);
	struct fc_session_key key = session_of(PT_REGS_PARM1(ctx));
	u64 random = key.ssl;
	struct fc_session *session;
	struct fc_secret *record;

	if (!layout || !process_wanted())
		return 0;
	if (layout->pointer != FC_NO_POINTER && bpf_probe_read_user(&random, sizeof(random), (void *)(random + layout->pointer)))
		return 0;
	record = begin_secret(PT_REGS_PARM2(ctx), 0, PT_REGS_PARM4(ctx));
	if (!record)
		return 0;
	session = sessions.lookup(&key);
	if (session)
		record->connection = session->connection;
	end_secret(record, random + layout->client_random, PT_REGS_PARM3(ctx));
	return 0;
}

/* A program cannot tell in which of many files it was hit, so each layout of a session has one of its own. */
#define SECRET_LOGGED(slot) \
	int secret_logged_##slot(struct pt_regs *ctx) \
	{ \
		return secret_logged(ctx, slot); \
	}
SECRET_LOGGED(0)
SECRET_LOGGED(1)
SECRET_LOGGED(2)
SECRET_LOGGED(3)
SECRET_LOGGED(4)
SECRET_LOGGED(5)
SECRET_LOGGED(6)
SECRET_LOGGED(7)

#ifdef bpf_target_x86
/* crypto/tls.(*Config).writeKeyLog(label string, clientRandom, secret []byte), by Go's convention; see golang.h. */
int go_secret_logged(struct pt_regs *ctx)
{
	struct fc_secret *record;
	u64 size = ctx->cx;

	/* The labels of RFC 9850 are shorter than half of the field, whose mask then bounds the copy. */
	if (!process_wanted() || !size || size >= FC_LABEL_SIZE / 2 || ctx->si != FC_RANDOM_SIZE)
		return 0;
	record = begin_secret(ctx->bx, size, ctx->r10);
	if (record)
		end_secret(record, ctx->di, ctx->r9);
	return 0;
}
#endif

#endif
