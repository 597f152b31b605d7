/*
 * fuzz_port — a published port: any bytes give one, which printed and read again is the same, or a message.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_free_ char *text = xmalloc(size + 1);
	_cleanup_buf_ struct buf again = {0};
	struct port_value v = {0};
	struct port_value w = {0};
	struct err err = {0};

	memcpy(text, data, size);
	text[size] = '\0';
	if (port_parse(a, text, PORT_ANY, &v, &err) < 0) {
		if (v.inside || err.msg[0] == '\0')
			abort();
		return 0;
	}
	port_print(&v, &again);
	if (v.inside == 0 || port_parse(a, again.p, PORT_ANY, &w, &err) < 0)
		abort();
	if (v.host != w.host || v.inside != w.inside || v.udp != w.udp ||
	    !str_eq(port_address(&v), port_address(&w)))
		abort();
	if (strlen(port_address(&v)) >= INET6_ADDRSTRLEN || (v.host && !port_clash(&v, &w)))
		abort();
	return 0;
}
