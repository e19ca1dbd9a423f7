/* Which processes and sockets are captured. A filter that was not asked for is not compiled in. */

#ifdef FILTER_PIDS
BPF_HASH(filter_pids, u32, u8, 1024);
#endif
#ifdef FILTER_UIDS
BPF_HASH(filter_uids, u32, u8, 1024);
#endif
#ifdef FILTER_PORTS
BPF_HASH(filter_ports, u32, u8, 1024);
#endif
#ifdef FILTER_CGROUPS
BPF_HASH(filter_cgroups, u64, u8, 1024);
#endif

/* Set when the tap stops: detaching takes seconds, in which nobody reads. */
BPF_ARRAY(stopped, u32, 1);

struct comm {
	char text[FC_COMM_SIZE];
};
#ifdef FILTER_COMMS
BPF_HASH(filter_comms, struct comm, u8, 1024);
#endif

/* An all-zero address stands for every address. */
struct denied_key {
	u8 address[16];
	u32 port;
};
BPF_HASH(denied, struct denied_key, u8, 256);

static __always_inline int comm_wanted(void)
{
#ifdef FILTER_COMMS
	struct comm thread = {}, leader = {};

	bpf_get_current_comm(thread.text, sizeof(thread.text));
	if (filter_comms.lookup(&thread))
		return 1;
	bpf_probe_read_kernel(leader.text, sizeof(leader.text), (void *)(process_leader() + AT_task_struct_comm));
	return filter_comms.lookup(&leader) != 0;
#else
	return 1;
#endif
}

/* A cgroup stands for all below it. FILTER_CGROUPS is the depth of the deepest one asked for. */
static __always_inline int cgroup_wanted(void)
{
#ifdef FILTER_CGROUPS
	int level;

	for (level = 0; level <= FILTER_CGROUPS; level++) {
		u64 group = bpf_get_current_ancestor_cgroup_id(level);

		if (group && filter_cgroups.lookup(&group))
			return 1;
	}
	return 0;
#else
	return 1;
#endif
}

static __always_inline int process_wanted(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	int first = 0;
	u32 *stop = stopped.lookup(&first);

	if (tgid == OWN_TGID || !stop || *stop)
		return 0;
#ifdef FILTER_PIDS
	if (!filter_pids.lookup(&tgid))
		return 0;
#endif
#ifdef FILTER_UIDS
	u32 uid = bpf_get_current_uid_gid();

	if (!filter_uids.lookup(&uid))
		return 0;
#endif
	return comm_wanted() && cgroup_wanted();
}

static __always_inline int endpoint_denied(u8 *address, u32 port)
{
	struct denied_key key = {};

	key.port = port;
	if (denied.lookup(&key))
		return 1;
	__builtin_memcpy(key.address, address, 16);
	return denied.lookup(&key) != 0;
}

static __always_inline int endpoints_wanted(struct endpoints *at)
{
	if (endpoint_denied(at->local, at->local_port) || endpoint_denied(at->remote, at->remote_port))
		return 0;
#ifdef FILTER_PORTS
	return filter_ports.lookup(&at->local_port) || filter_ports.lookup(&at->remote_port);
#else
	return 1;
#endif
}
