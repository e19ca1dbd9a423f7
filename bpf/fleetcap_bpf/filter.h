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

/* What is left out whatever the filters say. */
#ifdef EXCLUDE_PIDS
BPF_HASH(exclude_pids, u32, u8, 1024);
#endif
#ifdef EXCLUDE_UIDS
BPF_HASH(exclude_uids, u32, u8, 1024);
#endif
#ifdef EXCLUDE_PORTS
BPF_HASH(exclude_ports, u32, u8, 1024);
#endif
#ifdef EXCLUDE_CGROUPS
BPF_HASH(exclude_cgroups, u64, u8, 1024);
#endif
#ifdef FILTER_PROGRAMS
BPF_HASH(filter_programs, struct fc_file, u8, 1024);
#endif
#ifdef EXCLUDE_PROGRAMS
BPF_HASH(exclude_programs, struct fc_file, u8, 1024);
#endif

/* Set when the tap stops: detaching takes seconds, in which nobody reads. */
BPF_ARRAY(stopped, u32, 1);

struct comm {
	char text[FC_COMM_SIZE];
};
#ifdef FILTER_COMMS
BPF_HASH(filter_comms, struct comm, u8, 1024);
#endif
#ifdef EXCLUDE_COMMS
BPF_HASH(exclude_comms, struct comm, u8, 1024);
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

static __always_inline int comm_excluded(void)
{
#ifdef EXCLUDE_COMMS
	struct comm thread = {}, leader = {};

	bpf_get_current_comm(thread.text, sizeof(thread.text));
	if (exclude_comms.lookup(&thread))
		return 1;
	bpf_probe_read_kernel(leader.text, sizeof(leader.text), (void *)(process_leader() + AT_task_struct_comm));
	return exclude_comms.lookup(&leader) != 0;
#else
	return 0;
#endif
}

static __always_inline int cgroup_excluded(void)
{
#ifdef EXCLUDE_CGROUPS
	int level;

	for (level = 0; level <= EXCLUDE_CGROUPS; level++) {
		u64 group = bpf_get_current_ancestor_cgroup_id(level);

		if (group && exclude_cgroups.lookup(&group))
			return 1;
	}
#endif
	return 0;
}

/* By the file that the process runs, whatever it calls itself. */
static __always_inline int program_wanted(void)
{
#if defined(FILTER_PROGRAMS) || defined(EXCLUDE_PROGRAMS)
	u64 memory = read_u64(process_leader() + AT_task_struct_mm);
	u64 inode = read_u64(read_u64(memory + AT_mm_struct_exe_file) + AT_file_f_inode);
	struct fc_file program = {};

	program.inode = read_u64(inode + AT_inode_i_ino);
	program.device = read_u32(read_u64(inode + AT_inode_i_sb) + AT_super_block_s_dev);
#ifdef EXCLUDE_PROGRAMS
	if (exclude_programs.lookup(&program))
		return 0;
#endif
#ifdef FILTER_PROGRAMS
	if (!filter_programs.lookup(&program))
		return 0;
#endif
#endif
	return 1;
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
#ifdef EXCLUDE_PIDS
	if (exclude_pids.lookup(&tgid))
		return 0;
#endif
#if defined(FILTER_UIDS) || defined(EXCLUDE_UIDS)
	u32 uid = bpf_get_current_uid_gid();

#ifdef FILTER_UIDS
	if (!filter_uids.lookup(&uid))
		return 0;
#endif
#ifdef EXCLUDE_UIDS
	if (exclude_uids.lookup(&uid))
		return 0;
#endif
#endif
	return comm_wanted() && !comm_excluded() && cgroup_wanted() && !cgroup_excluded() && program_wanted();
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
#ifdef EXCLUDE_PORTS
	if (exclude_ports.lookup(&at->local_port) || exclude_ports.lookup(&at->remote_port))
		return 0;
#endif
#ifdef FILTER_PORTS
	return filter_ports.lookup(&at->local_port) || filter_ports.lookup(&at->remote_port);
#else
	return 1;
#endif
}
