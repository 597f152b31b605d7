/*
 * What inih 55 does as Debian 12 builds it, tried out; each fact explains a part of this file.
 *   - A line is cut to 200 bytes with '\n' and NUL, and the rest is read as a line of its own:
 *     "k=xxx…xxx = y" gave two keys.  `num` of the reader tells the size; longer lines are handed
 *     over in pieces.
 *   - A line that begins with white space continues the value of the key before it, an indented
 *     "key = value" too, and its comment stays in the value.  So indentation is cut off here,
 *     and this feature carries the pieces of long lines.  A piece is trimmed at both ends and may
 *     not begin like a comment; its name is cut to 49 bytes.
 *   - The first of '=' and ':' separates.  ':' is hidden from it.
 *   - White space and ';' begin a comment in a value (not without the white space; '#' never
 *     does), in a key and in a section too.  '#' and ';' at the start of a line do as well.
 *   - "[a] junk" is "[a]", "[" without "]" is a bad line, a section name is cut to 49 bytes, and a
 *     section without keys is not told of.  So sections are looked at here first.
 *   - A bad line does not stop it, and the handler is not told of lines: they are counted here.
 *   - "k" without '=' is a bad line, "k=" has the value "", "=v" has the key "".
 *   - Quotes, backslashes and a key given twice mean nothing to it; a BOM is skipped.
 */
#include "conf/lines.h"

#include <string.h>

#include <ini.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/bytes.h"
#include "conf/profile.h"

/* Stand for bytes that inih must not see in a key; no checked line holds them. */
#define HIDDEN_EQUALS '\x01'
#define HIDDEN_COLON '\x02'
#define HIDDEN_SEMI '\x03'

struct reader {
	struct arena *a;
	const struct profile_source *src;
	const struct lines_handler *h;
	struct err *err;
	size_t pos; /* of the next line in the text */
	int line;
	bool failed;
	const char *rest; /* the pieces of this line that inih has not had yet, or NULL */
	bool started;     /* inih has had the first piece */
	bool keyed;       /* the handler has had the first piece */
	bool commented;
	const char *key; /* of the line whose pieces come */
	struct buf value;
};

bool lines_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void reader_done(struct reader *r)
{
	buf_done(&r->value);
}

/* With what r->err says: the end, unless bad lines are only to be told of. */
static int bad_line(struct reader *r)
{
	r->rest = NULL;
	if (!r->h->bad) {
		r->failed = true;
		return -1;
	}
	r->h->bad(r->h->ctx, r->err);
	*r->err = (struct err){0};
	return -1;
}

/* All errors of the reader pass here: "FILE:LINE: ". */
static int fail_here(struct reader *r)
{
	(void)err_prefix(r->err, "%s:%d", r->src->file, r->line);
	return bad_line(r);
}

static int fail(struct reader *r, const char *msg, const char *hint)
{
	err_set(r->err, "%s", msg);
	if (hint)
		err_hint(r->err, "%s", hint);
	return fail_here(r);
}

/* The length of `s` without the comment behind a blank, from `from` on, and without blanks at the end. */
static size_t without_comment(const char *s, size_t from, bool *ret_commented)
{
	size_t n = strlen(s);

	*ret_commented = false;
	for (size_t i = from ? from : 1; i < n; i++)
		if (s[i] == ';' && lines_is_blank(s[i - 1])) {
			*ret_commented = true;
			n = i;
		}
	while (n > 0 && lines_is_blank(s[n - 1]))
		n--;
	return n;
}

static int read_section(struct reader *r, char *line)
{
	bool commented = false;
	char *end;

	line[without_comment(line, 0, &commented)] = '\0';
	end = strchr(line, ']');
	if (!end)
		return fail(r, "a section's name ends with ']'", NULL);
	if (end[1])
		return fail(r, "nothing may follow the ']' of a section",
			    "write the key on a line of its own");
	*end = '\0';
	/* Where a bad one is left out, its keys are still not those of the section before it. */
	if (r->h->section(r->h->ctx, line + 1, r->line, r->err) < 0 && bad_line(r) < 0 && r->failed)
		return -1;
	*end = ']';
	r->rest = line;
	r->started = false;
	return 0;
}

/* A key in quotes: hide from inih what would end it.  The offset behind the closing quote, or 0. */
static size_t hide_quoted(char *line)
{
	size_t i = 1;

	for (; line[i] && line[i] != '"'; i++) {
		if (line[i] == '\\' && (line[i + 1] == '"' || line[i + 1] == '\\'))
			i++;
		else if (line[i] == '=')
			line[i] = HIDDEN_EQUALS;
		else if (line[i] == ';')
			line[i] = HIDDEN_SEMI;
	}
	return line[i] == '"' ? i + 1 : 0;
}

static int read_entry(struct reader *r, char *line)
{
	size_t from = 0;
	char *equals;

	if (line[0] == '"' && (from = hide_quoted(line)) == 0)
		return fail(r, "the quote that begins the key is not closed", NULL);
	line[without_comment(line, from, &r->commented)] = '\0';
	equals = strchr(line, '=');
	if (!equals)
		return fail(r, "this is neither 'key = value' nor '[section]'", NULL);
	if (equals == line)
		return fail(r, "there is no key before '='", NULL);
	for (char *p = line + from; from && p < equals; p++)
		if (!lines_is_blank(*p))
			return fail(r, "only '=' may follow a key in quotes", NULL);
	for (char *p = line; p < equals; p++)
		if (*p == ':')
			*p = HIDDEN_COLON;
	r->rest = line;
	r->started = r->keyed = false;
	return 0;
}

/* Take the next line of the text.  0, with r->rest set if inih is to see it, or -1. */
static int next_line(struct reader *r)
{
	const char *s = r->src->text + r->pos;
	size_t left = r->src->len - r->pos;
	const char *newline = memchr(s, '\n', left);
	size_t n = newline ? (size_t)(newline - s) : left;
	char *line;

	r->pos += n + (newline ? 1 : 0);
	r->line++;
	if (n > LINES_MAX_LINE) {
		err_set(r->err, "the line is longer than %d bytes", LINES_MAX_LINE);
		return fail_here(r);
	}
	if (r->line == 1 && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		n -= 3;
	}
	if (bytes_check(s, n, r->err) < 0)
		return fail_here(r);
	while (n > 0 && lines_is_blank(*s)) {
		s++;
		n--;
	}
	if (n == 0 || *s == ';' || *s == '#')
		return 0;
	line = arena_strndup(r->a, s, n);
	return line[0] == '[' ? read_section(r, line) : read_entry(r, line);
}

/* Where to end a piece of `s` so that trimming and comments change nothing; 0: nowhere. */
static size_t cut_at(const char *s, size_t max)
{
	for (size_t i = max; i > 0; i--)
		if (!lines_is_blank(s[i - 1]) && !lines_is_blank(s[i]) && s[i] != ';' &&
		    s[i] != '#')
			return i;
	return 0;
}

/* fgets(3) for inih, of `num` bytes: see ini_reader in ini.h. */
static char *hand_over(char *str, int num, void *stream)
{
	struct reader *r = stream;
	size_t lead, n, room;

	while (!r->failed && !r->rest && r->pos < r->src->len)
		(void)next_line(r);
	if (r->failed || !r->rest || num < 16)
		return NULL;
	/* A later piece begins with a blank, which makes it a continuation. */
	lead = r->started ? 1 : 0;
	room = (size_t)num - 2 - lead;
	n = strlen(r->rest);
	if (n > room)
		n = cut_at(r->rest, room);
	if (n == 0 || (!r->started && r->rest[0] != '[' && !memchr(r->rest, '=', n))) {
		/* No cut behind the '=', though there was room for a blank and a word: only blanks there. */
		bool blanks = r->started || memchr(r->rest, '=', room - 3);

		fail(r, blanks ? "there are too many blanks in a row" : "the key is too long",
		     NULL);
		return r->failed ? NULL : hand_over(str, num, stream);
	}
	r->started = true;
	memcpy(str, " ", lead);
	memcpy(str + lead, r->rest, n);
	memcpy(str + lead + n, "\n", 2);
	r->rest = r->rest[n] ? r->rest + n : NULL;
	return str;
}

/* The key as it was meant: hidden bytes shown again, quotes taken off. */
static const char *plain_key(struct arena *a, const char *name)
{
	char *key = arena_strdup(a, name);
	char *out = key;
	const char *in = key;
	bool quoted = *in == '"';

	if (quoted)
		in++;
	for (; *in && !(quoted && *in == '"'); in++) {
		if (quoted && *in == '\\' && (in[1] == '"' || in[1] == '\\'))
			in++;
		*out++ = *in == HIDDEN_EQUALS  ? '='
			 : *in == HIDDEN_COLON ? ':'
			 : *in == HIDDEN_SEMI  ? ';'
					       : *in;
	}
	*out = '\0';
	return key;
}

static int take_piece(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	struct entry e = {.section = section, .line = r->line, .commented = r->commented};

	if (r->failed)
		return 0;
	if (!r->keyed) {
		r->key = plain_key(r->a, name);
		buf_done(&r->value);
		r->keyed = true;
	}
	buf_adds(&r->value, value ? value : "");
	if (r->rest)
		return 1;
	e.key = r->key;
	e.value = arena_strdup(r->a, r->value.p ? r->value.p : "");
	if (r->h->entry(r->h->ctx, &e, r->err) < 0)
		(void)bad_line(r);
	return r->failed ? 0 : 1;
}

int lines_read(struct arena *a, const struct profile_source *src, const struct lines_handler *h,
	       struct err *err)
{
	__attribute__((cleanup(reader_done))) struct reader r = {.a = a, .src = src, .h = h};
	struct err own = {0};
	int bad;

	r.err = err ? err : &own;
	if (src->len > LINES_MAX_TEXT)
		return err_set(r.err, "%s: the profile is larger than %u KiB", src->file,
			       LINES_MAX_TEXT / 1024);
	/* The one structure is both streams: inih passes `r` to the reader and to the handler. */
	bad = ini_parse_stream(hand_over, &r, take_piece, &r);
	if (r.failed)
		return -1;
	/* Not seen with any text: every line that inih refuses is refused before. */
	if (bad != 0)
		return err_set(r.err, "%s: inih cannot read it (%d)", src->file, bad);
	return 0;
}
