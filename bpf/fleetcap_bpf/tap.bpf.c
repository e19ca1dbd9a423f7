/* The tap's programs, in the order in which they build on each other.
 *
 * fleetcap_producer/source.py puts these files together into one text, because bcc rewrites map accesses in the main file
 * only. It defines RING_PAGES, FILE_PAGES, WAKE_BYTES, MAX_CONNECTIONS, MAX_CHUNKS, OWN_TGID, the FILTER_ switches, and AT_struct_member
 * for every offset.
 */
#include <asm/ptrace.h>

#include "record.h"
#include "maps.h"
#include "kernel.h"
#include "filter.h"
#include "calls.h"
#include "connection.h"
#include "payload.h"
#include "openssl.h"
#include "gnutls.h"
#include "golang.h"
#include "secrets.h"
#include "memory.h"
#include "sockets.h"
#include "plain.h"
#include "files.h"
