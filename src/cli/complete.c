#include "cli/complete.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "cli/opt.h"

/* How far the line was understood. */
struct state {
	struct arena *a;
	const struct completer *c;
	const struct opt_table *table;
	const struct opt *pending; /* the next word is its value */
	const char *first;         /* the first argument of the command */
	size_t n_args;
	bool options_over, foreign; /* foreign: all else belongs to the command that is run */
	const char *current;
	struct buf *ret;
};

/* What the tables call a value, and what it is. A row with a command goes before the others. */
static const struct {
	const char *command, *name, *kind;
} kinds[] = {
	{"env", "NAME", "envs"}, /* an option's name stands in for the command's */
	{"fork", "NAME", ""},
	{"init", "PROFILE", "profiles"},
	{"profile", "NAME", "profiles"},
	{"tag", "NAME", "tags"},
	{NULL, "CMD", ":commands"},
	{NULL, "CONTEXT", ":dirs"},
	{NULL, "DIR", ":dirs"},
	{NULL, "DST", ":files"},
	{NULL, "FILE", ":files"},
	{NULL, "FOLDER", ":dirs"},
	{NULL, "ID", "ids"},
	{NULL, "KERNEL", "kernels"},
	{NULL, "LAYER", "layers"},
	{NULL, "PATH", ":files"},
	{NULL, "PORT", "ports"},
	{NULL, "PROFILE", "profiles"},
	{NULL, "REF", "images"},
	{NULL, "SRC", ":files"},
	{NULL, "TAG", "tags"},
	{NULL, "WHAT", "tags images"},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *kind_of(const char *command, const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (str_eq(kinds[i].name, name) &&
		    (!kinds[i].command || str_eq(kinds[i].command, command)))
			return kinds[i].kind;
	return "";
}

/* No shell needs to quote it, and no terminal obeys it: what is odd has to be typed. */
static bool is_plain(const char *word)
{
	for (const char *p = word; *p; p++)
		if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z') && (*p < '0' || *p > '9') &&
		    !strchr("-._:@/+,=%", *p))
			return false;
	return *word != '\0';
}

static void offer(const struct state *s, const char *prefix, const char *word, const char *help)
{
	if (!is_plain(word) || !str_starts(arena_printf(s->a, "%s%s", prefix, word), s->current))
		return;
	buf_printf(s->ret, "%s%s%s%s\n", prefix, word, help ? "\t" : "", help ? help : "");
}

/* What there is of the kinds, which are separated by blanks. */
static void offer_kinds(const struct state *s, const char *prefix, const char *names)
{
	while (*names) {
		size_t n = strcspn(names, " ");
		const char *kind = arena_strndup(s->a, names, n);
		struct strv found = {0};

		if (kind[0] == ':')
			buf_printf(s->ret, "%s\n", kind);
		else
			s->c->list(s->c->ctx, s->a, kind, &found);
		for (size_t i = 0; i < found.n; i++)
			offer(s, prefix, found.v[i], NULL);
		names += n + strspn(names + n, " ");
	}
}

static bool is_literal(const char *word)
{
	return word[0] >= 'a' && word[0] <= 'z';
}

/* A value by its name, "FILE", or one of several: "FILE|FOLDER|-", "gzip|zstd". */
static void offer_value(const struct state *s, const char *prefix, const char *command,
			const char *name)
{
	const char *at = name;

	for (;;) {
		size_t n = strcspn(at, "|");
		const char *one = arena_strndup(s->a, at, n);

		if (is_literal(one))
			offer(s, prefix, one, NULL);
		else
			offer_kinds(s, prefix, kind_of(command, one));
		if (!at[n])
			return;
		at += n + 1;
	}
}

static void offer_option_value(const struct state *s, const struct opt *o, const char *prefix)
{
	const char *blank = strchr(o->arg, ' ');
	const char *name = blank ? arena_strndup(s->a, o->arg, (size_t)(blank - o->arg)) : o->arg;

	offer_value(s, prefix, str_eq(o->name, "env") ? "env" : s->table->name,
		    o->values ? o->values : name);
}

static void offer_options(const struct state *s)
{
	for (const struct opt *o = s->table->opts; o->name; o++)
		offer(s, "--", o->name, o->help);
	offer(s, "--", "help", "show this text");
}

static void offer_commands(const struct state *s)
{
	const struct opt_table *t;

	for (size_t i = 0; (t = s->c->table(i)); i++)
		offer(s, "", t->name, t->summary);
	offer(s, "", "help", "say more of a command");
}

/* The words of a synopsis without its brackets; "..." repeats the one before it. */
static struct strv words_of(struct arena *a, const char *spec, bool *ret_repeats)
{
	struct strv words = {0};

	while (*spec) {
		size_t skip = strspn(spec, " []");
		size_t n = strcspn(spec + skip, " []");
		const char *word = arena_strndup(a, spec + skip, n);

		spec += skip + n;
		if (str_eq(word, "..."))
			*ret_repeats = true;
		else if (*word && !str_eq(word, "--") && !str_eq(word, "|"))
			strv_push(a, &words, word);
	}
	return words;
}

/* Of "list | show [NAME]", one of them. */
static void offer_of_alternative(const struct state *s, const char *spec)
{
	bool repeats = false;
	struct strv words = words_of(s->a, spec, &repeats);
	size_t at = s->n_args;

	if (words.n == 0)
		return;
	if (at > 0 && is_literal(words.v[0]) && !strchr(words.v[0], '|') &&
	    !str_eq(words.v[0], s->first))
		return;
	if (at >= words.n && repeats)
		at = words.n - 1;
	if (at < words.n)
		offer_value(s, "", s->table->name, words.v[at]);
}

/* Where the alternative ends: at a bar outside of brackets. */
static size_t alternative_length(const char *spec)
{
	size_t depth = 0;
	size_t n = 0;

	for (; spec[n]; n++) {
		depth += spec[n] == '[';
		depth -= spec[n] == ']' && depth > 0;
		if (depth == 0 && str_starts(spec + n, " | "))
			break;
	}
	return n;
}

static void offer_arguments(const struct state *s)
{
	const char *spec = s->table->args;

	while (spec && *spec) {
		size_t n = alternative_length(spec);

		offer_of_alternative(s, arena_strndup(s->a, spec, n));
		spec += n + strspn(spec + n, " |");
	}
}

static const struct opt_table *find_table(const struct completer *c, const char *name)
{
	const struct opt_table *t;

	for (size_t i = 0; (t = c->table(i)); i++)
		if (str_eq(t->name, name))
			return t;
	return NULL;
}

static const struct opt *find_option(const struct opt_table *t, const char *name)
{
	for (const struct opt *o = t->opts; o->name; o++)
		if (str_eq(o->name, name))
			return o;
	return NULL;
}

/* "-abVALUE": the option of which the value is still to come. */
static const struct opt *pending_letter(const struct opt_table *t, const char *letters)
{
	for (; *letters; letters++) {
		for (const struct opt *o = t->opts; o->name; o++)
			if (o->letter == *letters && o->arg)
				return letters[1] ? NULL : o;
	}
	return NULL;
}

static void take_option(struct state *s, const char *word)
{
	const struct opt *o;

	if (word[1] != '-') {
		s->pending = pending_letter(s->table, word + 1);
		return;
	}
	o = find_option(s->table, word + 2);
	s->pending = o && o->arg ? o : NULL;
}

static void take_argument(struct state *s, const char *word)
{
	if (s->table == s->c->global) {
		static const struct opt none[] = {{0}};
		static const struct opt_table nothing = {.name = "", .opts = none};
		const struct opt_table *t = find_table(s->c, word);

		s->table = t ? t : &nothing;
		return;
	}
	if (s->n_args++ == 0)
		s->first = word;
	s->options_over = s->options_over || s->table->leading;
	/* Of `run`, all the rest is the command's own. */
	s->foreign = s->table->leading && s->table->max_args == OPT_ANY_ARGS &&
		     strstr(s->table->args, "CMD [ARG") != NULL;
}

static void take(struct state *s, const char *word)
{
	if (s->pending)
		s->pending = NULL;
	else if (!s->options_over && str_eq(word, "--"))
		s->options_over = s->table != s->c->global;
	else if (!s->options_over && word[0] == '-' && word[1])
		take_option(s, word);
	else
		take_argument(s, word);
}

/* "--name=VALUE" */
static void offer_long_value(const struct state *s, const char *equals)
{
	size_t n = (size_t)(equals - s->current);
	const struct opt *o = find_option(s->table, arena_strndup(s->a, s->current, n) + 2);

	if (o && o->arg)
		offer_option_value(s, o, arena_strndup(s->a, s->current, n + 1));
}

void complete(struct arena *a, const struct completer *c, const char *const *words, size_t n,
	      struct buf *ret)
{
	struct state s = {.a = a, .c = c, .table = c->global, .ret = ret, .current = ""};
	const char *equals;

	for (size_t i = 0; i + 1 < n; i++) {
		/* `sbx help COMMAND` */
		if (s.table == c->global && str_eq(words[i], "help"))
			continue;
		take(&s, words[i]);
	}
	s.current = n > 0 ? words[n - 1] : "";
	equals = strchr(s.current, '=');
	if (s.foreign)
		buf_adds(ret, ":files\n");
	else if (s.pending)
		offer_option_value(&s, s.pending, "");
	else if (!s.options_over && str_starts(s.current, "--") && equals)
		offer_long_value(&s, equals);
	else if (!s.options_over && s.current[0] == '-')
		offer_options(&s);
	else if (s.table == c->global)
		offer_commands(&s);
	else
		offer_arguments(&s);
}
