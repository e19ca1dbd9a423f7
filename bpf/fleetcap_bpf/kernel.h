/* Reads of kernel structures. Offsets (AT_struct_member) come from the running kernel's BTF, never from its headers. */

#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define PROTOCOL_TCP 6
#define PROTOCOL_MPTCP 262
#define MODE_TYPE 0170000
#define MODE_SOCKET 0140000

struct endpoints {
	u8 local[16];
	u8 remote[16];
	u32 local_port;
	u32 remote_port;
};

static __always_inline u64 read_u64(u64 address)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline u32 read_u32(u64 address)
{
	u32 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline u16 read_u16(u64 address)
{
	u16 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

/* 1 for TCP, 0 for another Internet socket, -1 for anything else. */
static __always_inline int socket_kind(u64 sock)
{
	u16 family = read_u16(sock + AT_sock_skc_family);
	u16 protocol = read_u16(sock + AT_sock_sk_protocol);

	if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
		return -1;
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_MPTCP;
}

/* The struct file behind a descriptor of the current process, or 0. */
static __always_inline u64 file_of_fd(s32 fd)
{
	u64 files = read_u64(bpf_get_current_task() + AT_task_struct_files);
	u64 table = read_u64(files + AT_files_struct_fdt);

	if (fd < 0 || (u32)fd >= read_u32(table + AT_fdtable_max_fds))
		return 0;
	return read_u64(read_u64(table + AT_fdtable_fd) + 8ULL * (u32)fd);
}

/* The struct sock behind a descriptor of the current process, or 0. */
static __always_inline u64 socket_of_fd(s32 fd)
{
	u64 file = file_of_fd(fd);
	u64 inode, socket;

	if (!file)
		return 0;
	inode = read_u64(file + AT_file_f_inode);
	if ((read_u16(inode + AT_inode_i_mode) & MODE_TYPE) != MODE_SOCKET)
		return 0;
	socket = read_u64(file + AT_file_private_data);
	return socket ? read_u64(socket + AT_socket_sk) : 0;
}

static __always_inline u64 socket_inode(u64 sock)
{
	u64 socket = read_u64(sock + AT_sock_sk_socket);

	if (!socket)
		return 0;
	return read_u64(socket - AT_socket_alloc_socket + AT_socket_alloc_vfs_inode + AT_inode_i_ino);
}

static __always_inline void map_ipv4(u8 *address, u64 from)
{
	*(u64 *)address = 0;
	*(u16 *)(address + 8) = 0;
	*(u16 *)(address + 10) = 0xffff;
	*(u32 *)(address + 12) = read_u32(from);
}

static __always_inline void read_endpoints(u64 sock, struct endpoints *to)
{
	u16 port = read_u16(sock + AT_sock_skc_dport);

	to->local_port = read_u16(sock + AT_sock_skc_num);
	to->remote_port = (u16)(port << 8 | port >> 8);
#ifdef AT_sock_skc_v6_daddr
	if (read_u16(sock + AT_sock_skc_family) == FAMILY_IPV6) {
		bpf_probe_read_kernel(to->local, 16, (void *)(sock + AT_sock_skc_v6_rcv_saddr));
		bpf_probe_read_kernel(to->remote, 16, (void *)(sock + AT_sock_skc_v6_daddr));
		return;
	}
#endif
	map_ipv4(to->local, sock + AT_sock_skc_rcv_saddr);
	map_ipv4(to->remote, sock + AT_sock_skc_daddr);
}

static __always_inline u64 process_leader(void)
{
	return read_u64(bpf_get_current_task() + AT_task_struct_group_leader);
}
