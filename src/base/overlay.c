#include "base/overlay.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void add_name(struct buf *b, const char *name)
{
	for (const char *c = name; *c; c++) {
		if (strchr(":,\\", *c))
			buf_adds(b, "\\");
		buf_add(b, c, 1);
	}
}

const char *overlay_options(struct arena *a, const struct overlay *o)
{
	_cleanup_buf_ struct buf b = {0};

	for (const char *const *lower = o->lower; *lower; lower++) {
		buf_adds(&b, lower == o->lower ? "lowerdir=" : ":");
		add_name(&b, *lower);
	}
	if (o->upper) {
		buf_adds(&b, ",upperdir=");
		add_name(&b, o->upper);
		buf_adds(&b, ",workdir=");
		add_name(&b, o->work);
	}
	if (o->more[0])
		buf_printf(&b, ",%s", o->more);
	return arena_strdup(a, b.p);
}
