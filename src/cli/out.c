#include "cli/out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"

int out_write(const struct buf *text, struct err *err)
{
	if (text->len && fs_write_all(STDOUT_FILENO, text->p, text->len) < 0)
		return err_errno(err, errno, "cannot write to standard output");
	return 0;
}

int out_json(json_t *root, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf b = {0};

	/* ASCII alone: no bidirectional override or C1 control of a file name reaches a terminal. */
	if (root)
		text = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(root);
	if (!text)
		return err_set(err, "cannot write the result as JSON: no memory");
	buf_printf(&b, "%s\n", text);
	return out_write(&b, err);
}

json_t *out_json_string(const char *s)
{
	_cleanup_buf_ struct buf b = {0};

	if (!s)
		return json_null();

	json_t *plain = json_string(s);

	if (plain)
		return plain;
	str_escape(&b, s, strlen(s));
	return json_string(b.p);
}

void out_cell(struct buf *b, const char *s, size_t width)
{
	size_t start = b->len;

	str_escape(b, s, strlen(s));

	/* Columns, not bytes: a continuation byte of UTF-8 takes none. */
	size_t used = 0;

	for (size_t i = start; i < b->len; i++)
		used += ((unsigned char)b->p[i] & 0xc0) != 0x80;
	if (used < width)
		buf_printf(b, "%*s", (int)(width - used), "");
}

void out_size(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t unit = 1000;
	size_t i = 0;

	if (bytes < 1000) {
		buf_printf(b, "%" PRIu64 " B", bytes);
		return;
	}
	while (i + 1 < sizeof(units) / sizeof(units[0]) && bytes / unit >= 1000) {
		unit *= 1000;
		i++;
	}
	buf_printf(b, "%" PRIu64 ".%" PRIu64 " %s", bytes / unit, bytes % unit / (unit / 10),
		   units[i]);
}

void out_duration(struct buf *b, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s < 10)
		buf_printf(b, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 60)
		buf_printf(b, "%" PRIu64 "s", s);
	else if (s < 3600)
		buf_printf(b, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		buf_printf(b, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		buf_printf(b, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
}

bool out_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* What was typed, without blanks; NULL: nothing could be read. */
static const char *ask(const char *question, const char *choice, char *answer, size_t size)
{
	_cleanup_buf_ struct buf b = {0};
	ssize_t n;

	str_escape_text(&b, question, strlen(question));
	buf_adds(&b, choice);
	if (fs_write_all(STDERR_FILENO, b.p, b.len) < 0)
		return NULL;
	do
		n = read(STDIN_FILENO, answer, size - 1);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return NULL;
	answer[n] = '\0';
	return str_trim(answer);
}

static bool is_yes(const char *word)
{
	return strcmp(word, "y") == 0 || strcmp(word, "Y") == 0 || strcmp(word, "yes") == 0;
}

bool out_ask(const char *question)
{
	char answer[16] = "";
	const char *word = ask(question, " [y/N] ", answer, sizeof(answer));

	return word && is_yes(word);
}

bool out_ask_yes(const char *question)
{
	char answer[16] = "";
	const char *word = ask(question, " [Y/n] ", answer, sizeof(answer));

	return word && (*word == '\0' || is_yes(word));
}
