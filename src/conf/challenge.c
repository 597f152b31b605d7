#include "conf/challenge.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define CHALLENGE_MAX 8192
#define TOKEN                        \
	"!#$%&'*+-.^_`|~0123456789"  \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct reader {
	const char *s;
	struct arena *a;
};

static void skip(struct reader *r, const char *what)
{
	r->s += strspn(r->s, what);
}

static const char *token(struct reader *r)
{
	size_t n = strspn(r->s, TOKEN);
	const char *t = n > 0 ? arena_strndup(r->a, r->s, n) : NULL;

	r->s += n;
	return t;
}

/* A token, or a quoted string with its escapes undone; NULL: neither. */
static const char *value(struct reader *r)
{
	char *out, *at;

	if (*r->s != '"')
		return token(r);
	out = at = arena_alloc(r->a, strlen(r->s) + 1);
	for (r->s++; *r->s != '"'; r->s++) {
		if (*r->s == '\\' && r->s[1] != '\0')
			r->s++;
		if (*r->s == '\0')
			return NULL;
		*at++ = *r->s;
	}
	r->s++;
	return out;
}

static int scheme_of(const char *word)
{
	if (strcasecmp(word, "bearer") == 0)
		return CHALLENGE_BEARER;
	return strcasecmp(word, "basic") == 0 ? CHALLENGE_BASIC : CHALLENGE_OTHER;
}

/* name = value, … up to what is no such pair; false: it cannot be read. */
static bool parameters(struct reader *r, struct challenge *c)
{
	for (;;) {
		const char *begin, *name, *v;

		skip(r, " \t,");
		begin = r->s;
		name = token(r);
		skip(r, " \t");
		if (!name || *r->s != '=') {
			r->s = begin; /* the next scheme, or the end */
			return true;
		}
		r->s++;
		skip(r, " \t");
		v = value(r);
		if (!v)
			return false;
		if (strcasecmp(name, "realm") == 0)
			c->realm = v;
		else if (strcasecmp(name, "service") == 0)
			c->service = v;
	}
}

int challenge_parse(struct arena *a, const char *text, struct challenge *ret, struct err *err)
{
	struct reader r = {.s = text, .a = a};

	if (strlen(text) > CHALLENGE_MAX)
		return err_set(err, "it has more than %d bytes", CHALLENGE_MAX);
	for (;;) {
		struct challenge c = {.realm = "", .service = ""};
		const char *word;

		skip(&r, " \t,");
		word = token(&r);
		if (!word)
			break;
		c.scheme = scheme_of(word);
		if (!parameters(&r, &c))
			break;
		if (c.scheme != CHALLENGE_OTHER) {
			*ret = c;
			return 0;
		}
	}
	return err_set(err, "it asks for neither Basic nor Bearer: '%.200s'", text);
}
