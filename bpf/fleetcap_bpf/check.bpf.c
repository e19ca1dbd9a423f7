/* The smallest program that shows whether this machine runs programs in uprobes; see fleetcap_producer/checks.py. */
#include <asm/ptrace.h>

BPF_ARRAY(hits, u64, 1);

int count_hit(struct pt_regs *ctx)
{
	int first = 0;
	u64 *count = hits.lookup(&first);

	if (count && bpf_get_current_pid_tgid() >> 32 == OWN_TGID)
		__sync_fetch_and_add(count, 1);
	return 0;
}
