#include "registry/event.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"

#define EACH_MS 100

static uint64_t now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void event_init(struct events *e, int fd)
{
	*e = (struct events){.fd = fd};
	(void)pthread_mutex_init(&e->lock, NULL);
}

void event_done(struct events *e)
{
	(void)pthread_mutex_destroy(&e->lock);
}

/* With the lock in hand.  Nobody may be listening any more: then there is nobody to be told. */
static void tell(struct events *e, json_t *o)
{
	_cleanup_free_ char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	_cleanup_buf_ struct buf line = {0};

	json_decref(o);
	if (!text)
		return;
	buf_adds(&line, text);
	buf_adds(&line, "\n");
	(void)fs_write_all(e->fd, line.p, line.len);
}

/* A server's words may be any bytes; what is not UTF-8 is shown as \xNN. */
static json_t *words(const char *s)
{
	_cleanup_buf_ struct buf b = {0};
	json_t *as_it_is = json_string(s);

	if (as_it_is)
		return as_it_is;
	str_escape_text(&b, s, strlen(s));
	return json_string(b.p ? b.p : "");
}

static void tell_locked(struct events *e, json_t *o)
{
	(void)pthread_mutex_lock(&e->lock);
	tell(e, o);
	(void)pthread_mutex_unlock(&e->lock);
}

void event_moved(struct events *e, int64_t bytes)
{
	uint64_t now = now_ms();

	(void)pthread_mutex_lock(&e->lock);
	e->done += (uint64_t)bytes;
	if (now - e->told_ms >= EACH_MS) {
		e->told_ms = now;
		tell(e, json_pack("{s:s,s:I,s:I}", "event", "progress", "done", (json_int_t)e->done,
				  "total", (json_int_t)e->total));
	}
	(void)pthread_mutex_unlock(&e->lock);
}

void event_note(struct events *e, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell_locked(e, json_pack("{s:s,s:o}", "event", "note", "text", words(text)));
}

void event_error(struct events *e, const struct err *err)
{
	tell_locked(e, json_pack("{s:s,s:b,s:i,s:o,s:o}", "event", "error", "usage",
				 err->kind == ERR_USAGE, "errnum", err->errnum, "message",
				 words(err->msg), "hint", words(err->hint)));
}

void event_result(struct events *e, const char *manifest, uint64_t moved, uint64_t reused)
{
	tell_locked(e, json_pack("{s:s,s:s,s:I,s:I}", "event", "done", "manifest", manifest,
				 "moved", (json_int_t)moved, "reused", (json_int_t)reused));
}
