#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/out.h"

#define FIRST_MS 500
#define EACH_MS 100

static uint64_t now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const char *what)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.what = what,
		.begun_ms = now_ms(),
		.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
	};
}

void progress_tell(void *ctx, uint64_t done, uint64_t total)
{
	_cleanup_buf_ struct buf b = {0};
	struct progress *p = ctx;
	uint64_t now;

	if (!p->terminal)
		return;
	now = now_ms();
	if (now - p->begun_ms < FIRST_MS || now - p->shown_ms < EACH_MS)
		return;
	p->shown_ms = now;
	p->shown = true;
	buf_printf(&b, "\rsbx: %s ", p->what);
	out_size(&b, done);
	buf_adds(&b, " of ");
	out_size(&b, total > done ? total : done);
	buf_adds(&b, "\033[K");
	(void)fs_write_all(STDERR_FILENO, b.p, b.len);
}

void progress_end(struct progress *p)
{
	static const char clear[] = "\r\033[K";

	if (p->shown)
		(void)fs_write_all(STDERR_FILENO, clear, sizeof(clear) - 1);
	p->shown = false;
}
