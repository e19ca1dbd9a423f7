/* Tells user space of programs and libraries that begin to run, each file once, so that they are probed before they work. */

#define PROTECTION_EXECUTE 4

BPF_TABLE("lru_hash", struct fc_file, u8, told_files, 16384);
BPF_RINGBUF_OUTPUT(files, FILE_PAGES);

static __always_inline void tell_file(u64 file, u32 program)
{
	u64 inode = read_u64(file + AT_file_f_inode);
	struct fc_arrival arrival = {};
	u8 yes = 1;
	u64 name;

	arrival.file.inode = read_u64(inode + AT_inode_i_ino);
	arrival.file.device = read_u32(read_u64(inode + AT_inode_i_sb) + AT_super_block_s_dev);
	arrival.tgid = bpf_get_current_pid_tgid() >> 32;
	arrival.program = program;
	if (arrival.tgid == OWN_TGID || told_files.lookup(&arrival.file))
		return;
	name = read_u64(read_u64(file + AT_file_f_path_dentry) + AT_dentry_d_name_name);
	bpf_probe_read_kernel_str(arrival.name, sizeof(arrival.name), (void *)name);
	if (!files.ringbuf_output(&arrival, sizeof(arrival), BPF_RB_FORCE_WAKEUP))
		told_files.update(&arrival.file, &yes);
}

/* sched:sched_process_exec: (struct task_struct *, pid_t, struct linux_binprm *) */
int program_started(struct bpf_raw_tracepoint_args *ctx)
{
	tell_file(read_u64(ctx->args[2] + AT_linux_binprm_file), 1);
	return 0;
}

/* syscalls:sys_enter_mmap: address, length, protection, flags, descriptor, offset */
int file_mapped(struct syscall_enter *ctx)
{
	u64 file;

	if (!(ctx->arguments[2] & PROTECTION_EXECUTE) || (s32)ctx->arguments[4] < 0)
		return 0;
	file = file_of_fd(ctx->arguments[4]);
	if (file)
		tell_file(file, 0);
	return 0;
}
