/*
 * fuzz_reference — an image's name: any bytes give its parts, which put together again are it, or a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_free_ char *text = xmalloc(size + 1);
	_cleanup_buf_ struct buf again = {0};
	struct image_ref ref = {0};
	struct image_ref twice = {0};
	struct err err = {0};

	memcpy(text, data, size);
	text[size] = '\0';
	if (image_ref_parse(a, text, &ref, &err) < 0) {
		if (ref.registry || err.msg[0] == '\0')
			abort();
		return 0;
	}
	/* What becomes a path of an address holds nothing that ends or leaves it. */
	if (strpbrk(ref.repository, "?#%@: \\") || strstr(ref.repository, "..") ||
	    ref.repository[0] == '/')
		abort();
	buf_printf(&again, "%s/%s", ref.registry, ref.repository);
	if (ref.tag)
		buf_printf(&again, ":%s", ref.tag);
	if (ref.digest)
		buf_printf(&again, "@sha256:%s", ref.digest);
	if (!str_eq(again.p, ref.full) || !str_starts(ref.full, text))
		abort();
	if (image_ref_parse(a, ref.full, &twice, &err) < 0 || !str_eq(twice.full, ref.full))
		abort();
	return 0;
}
