/*
 * fuzz_containerfile — a Containerfile is a stranger's text: any bytes give instructions or a message, and each of
 * its words expands or fails.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/containerfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *ctx, const char *name)
{
	(void)ctx;
	if (str_eq(name, "set"))
		return "value with blanks";
	return str_eq(name, "empty") ? "" : NULL;
}

static void expand(struct arena *a, const struct containerfile *f, const char *word)
{
	struct cf_expand how = {.escape = f->escape, .lookup = lookup};
	struct err err = {0};
	const char *out = NULL;

	for (int i = 0; i < 2; i++) {
		how.keep_quotes = i == 1;
		if (containerfile_expand(a, &how, word, &out, &err) < 0 && err.msg[0] == '\0')
			abort();
	}
}

static void expand_all(struct arena *a, const struct containerfile *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct cf_step *s = &f->v[i];

		if (s->line < 1 || strlen(cf_kind_name(s->kind)) == 0)
			abort();
		for (size_t j = 0; j < s->n_args; j++)
			expand(a, f, s->args[j]);
		for (size_t j = 0; j < s->n_pairs; j++)
			expand(a, f, s->pairs[j].value ? s->pairs[j].value : "");
		for (size_t j = 0; j < s->n_heredocs; j++)
			expand(a, f, s->heredocs[j].text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct containerfile f = {0};
	struct err err = {0};

	if (containerfile_parse(a, "Containerfile", (const char *)data, size, &f, &err) < 0) {
		/* The contract: nothing comes back but a message. */
		if (f.n || err.msg[0] == '\0')
			abort();
		return 0;
	}
	expand_all(a, &f);
	return 0;
}
