/*
 * The instructions of a Containerfile: which there are, and what each takes.
 */
#include "conf/containerfile.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/containerfile_parts.h"

#define NO_FLAGS ((const char *const[]){NULL})

struct making {
	struct cf_text t;
	struct cf_step *v;
	size_t n, cap;
	size_t stages;
};

struct instruction {
	const char *name;
	int (*take)(struct making *m, struct cf_step *s, const char *rest, struct err *err);
	enum cf_kind kind;
	bool heredocs;
	const char *const *flags; /* that it may have */
};

static const char *const *list(const struct strv *words)
{
	static const char *const none[] = {NULL};

	return words->v ? (const char *const *)words->v : none;
}

static void put_args(struct cf_step *s, const struct strv *words)
{
	s->args = list(words);
	s->n_args = words->n;
}

static void one_arg(struct making *m, struct cf_step *s, const char *arg)
{
	struct strv words = {0};

	strv_push(m->t.a, &words, arg);
	put_args(s, &words);
}

/* ---- what the instructions take ---- */

static int need(const char *rest, struct err *err)
{
	return *rest ? 0 : err_set(err, "it needs an argument");
}

/* ${x} may hold blanks, so these are one word, whatever stands in it. */
static int take_text(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	if (need(rest, err) < 0)
		return -1;
	one_arg(m, s, rest);
	return 0;
}

static int take_words(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};

	if (need(rest, err) < 0)
		return -1;
	s->exec = cf_json(m->t.a, rest, &words);
	if (!s->exec)
		cf_words(m->t.a, rest, m->t.escape, false, &words);
	put_args(s, &words);
	return 0;
}

static int take_command(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};

	if (s->n_heredocs == 0 && cf_json(m->t.a, rest, &words)) {
		s->exec = true;
		put_args(s, &words);
		return 0;
	}
	return take_text(m, s, rest, err);
}

/* A command with here-documents is the shell's to read; one that is nothing but one is its text. */
static int take_run(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (s->n_heredocs == 0)
		return take_command(m, s, rest, err);
	if (s->n_heredocs == 1 && !strpbrk(rest, " \t")) {
		if (str_starts(s->heredocs[0].text, "#!")) {
			err_set(err, "a here-document that names its interpreter is not supported");
			return err_hint(err, "write: RUN python3 <<EOF");
		}
		one_arg(m, s, s->heredocs[0].text);
		return 0;
	}
	buf_printf(&b, "%s\n", rest);
	for (size_t i = 0; i < s->n_heredocs; i++)
		buf_printf(&b, "%s%s\n", s->heredocs[i].text, s->heredocs[i].name);
	one_arg(m, s, b.p);
	return 0;
}

static int take_shell(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};

	if (!cf_json(m->t.a, rest, &words) || words.n == 0) {
		err_set(err, "it must be a JSON array of strings");
		return err_hint(err, "write: SHELL [\"/bin/bash\", \"-c\"]");
	}
	s->exec = true;
	put_args(s, &words);
	return 0;
}

static int take_healthcheck(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	size_t n = strcspn(rest, " \t");

	if (n == 4 && strncasecmp(rest, "NONE", n) == 0 && !rest[n + strspn(rest + n, " \t")])
		return 0;
	if (n != 3 || strncasecmp(rest, "CMD", n) != 0)
		return err_set(err, "it must be NONE, or CMD and a command");
	return take_command(m, s, rest + n + strspn(rest + n, " \t"), err);
}

static int take_copy(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv kept = {0};

	if (take_words(m, s, rest, err) < 0)
		return -1;
	for (const char *const *arg = s->args; *arg; arg++) {
		struct cf_heredoc doc;
		bool tabs;

		if (s->exec || !cf_is_heredoc(m->t.a, *arg, &doc, &tabs))
			strv_push(m->t.a, &kept, *arg);
	}
	put_args(s, &kept);
	if (s->n_args + s->n_heredocs < 2 || s->n_args < 1)
		return err_set(err, "it needs what is copied, and where to");
	return 0;
}

static void push_pair(struct making *m, struct cf_step *s, const char *name, const char *value)
{
	struct cf_pair *v = arena_alloc(m->t.a, (s->n_pairs + 1) * sizeof(*v));

	if (s->n_pairs > 0)
		memcpy(v, s->pairs, s->n_pairs * sizeof(*v));
	v[s->n_pairs++] = (struct cf_pair){name, value};
	s->pairs = v;
}

static int push_word(struct making *m, struct cf_step *s, const char *word, bool bare,
		     struct err *err)
{
	const char *eq = strchr(word, '=');

	if (eq == word)
		return err_set(err, "there is no name before '%s'", word);
	if (!eq && !bare)
		return err_set(err, "'%s' is not NAME=VALUE", word);
	push_pair(m, s, eq ? arena_strndup(m->t.a, word, (size_t)(eq - word)) : word,
		  eq ? eq + 1 : NULL);
	return 0;
}

/* NAME=VALUE …, or the older NAME VALUE, where the value is the rest. */
static int take_pairs(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};
	size_t n;

	if (need(rest, err) < 0)
		return -1;
	cf_words(m->t.a, rest, m->t.escape, true, &words);
	if (strchr(words.v[0], '=')) {
		for (size_t i = 0; i < words.n; i++)
			if (push_word(m, s, words.v[i], false, err) < 0)
				return -1;
		return 0;
	}
	n = strlen(words.v[0]);
	if (words.n < 2)
		return err_set(err, "'%s' is not NAME=VALUE", words.v[0]);
	push_pair(m, s, words.v[0], rest + n + strspn(rest + n, " \t"));
	return 0;
}

static int take_arg(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};

	if (need(rest, err) < 0)
		return -1;
	cf_words(m->t.a, rest, m->t.escape, true, &words);
	for (size_t i = 0; i < words.n; i++)
		if (push_word(m, s, words.v[i], true, err) < 0)
			return -1;
	return 0;
}

static const char *lower(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *c = copy; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

static int check_stage(const struct making *m, const char *name, struct err *err)
{
	if (!(*name >= 'a' && *name <= 'z') ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-")])
		return err_set(err, "'%s' cannot be the name of a stage", name);
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].kind == CF_FROM && str_eq(m->v[i].as, name))
			return err_set(err, "a stage has the name '%s' already, in line %d", name,
				       m->v[i].line);
	return 0;
}

static int take_from(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct strv words = {0};

	cf_words(m->t.a, rest, m->t.escape, true, &words);
	if (words.n != 1 && (words.n != 3 || strcasecmp(words.v[1], "AS") != 0))
		return err_set(err, "it must be IMAGE, or IMAGE AS NAME");
	if (words.n == 3) {
		s->as = lower(m->t.a, words.v[2]);
		if (check_stage(m, s->as, err) < 0)
			return -1;
	}
	one_arg(m, s, words.v[0]);
	m->stages++;
	return 0;
}

static const char *const from_flags[] = {"platform", NULL};
static const char *const copy_flags[] = {"from", "chown", "chmod", "link", NULL};
static const char *const add_flags[] = {"chown", "chmod", "link", NULL};
static const char *const health_flags[] = {"interval",       "timeout", "start-period",
					   "start-interval", "retries", NULL};
static const char *const no_flags[] = {NULL};

/* In the order of enum cf_kind. */
static const struct instruction instructions[] = {
	{"FROM", take_from, CF_FROM, false, from_flags},
	{"ARG", take_arg, CF_ARG, false, NULL},
	{"RUN", take_run, CF_RUN, true, no_flags},
	{"COPY", take_copy, CF_COPY, true, copy_flags},
	{"ADD", take_copy, CF_ADD, true, add_flags},
	{"ENV", take_pairs, CF_ENV, false, NULL},
	{"LABEL", take_pairs, CF_LABEL, false, NULL},
	{"WORKDIR", take_text, CF_WORKDIR, false, NULL},
	{"USER", take_text, CF_USER, false, NULL},
	{"EXPOSE", take_words, CF_EXPOSE, false, NULL},
	{"VOLUME", take_words, CF_VOLUME, false, NULL},
	{"CMD", take_command, CF_CMD, false, NULL},
	{"ENTRYPOINT", take_command, CF_ENTRYPOINT, false, NULL},
	{"SHELL", take_shell, CF_SHELL, false, NULL},
	{"HEALTHCHECK", take_healthcheck, CF_HEALTHCHECK, false, health_flags},
	{"STOPSIGNAL", take_text, CF_STOPSIGNAL, false, NULL},
	{"MAINTAINER", take_text, CF_MAINTAINER, false, NULL},
};

#define N_INSTRUCTIONS (sizeof(instructions) / sizeof(instructions[0]))

const char *cf_kind_name(enum cf_kind kind)
{
	return instructions[kind].name;
}

const char *cf_flag(const struct cf_step *step, const char *name)
{
	for (size_t i = 0; i < step->n_flags; i++)
		if (str_eq(step->flags[i].name, name))
			return step->flags[i].value;
	return NULL;
}

/* ---- an instruction ---- */

static const struct instruction *find(const char *word)
{
	for (size_t i = 0; i < N_INSTRUCTIONS; i++)
		if (strcasecmp(word, instructions[i].name) == 0)
			return &instructions[i];
	return NULL;
}

static int not_there(const char *word, struct err *err)
{
	const char *names[N_INSTRUCTIONS + 1] = {NULL};
	const char *near;
	char upper[16] = "";

	if (strcasecmp(word, "ONBUILD") == 0) {
		err_set(err, "ONBUILD is not supported");
		return err_hint(err, "write its instruction in the Containerfiles that build on "
				     "this image");
	}
	for (size_t i = 0; i < N_INSTRUCTIONS; i++)
		names[i] = instructions[i].name;
	for (size_t i = 0; word[i] && i + 1 < sizeof(upper); i++)
		upper[i] = word[i] >= 'a' && word[i] <= 'z' ? (char)(word[i] - 'a' + 'A') : word[i];
	near = str_nearest(upper, names);
	err_set(err, "there is no instruction '%s'", word);
	return near ? err_hint(err, "did you mean %s?", near) : -1;
}

static int push_flag(struct making *m, struct cf_step *s, const struct instruction *in,
		     const char *word, struct err *err)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	struct cf_flag *v = arena_alloc(m->t.a, (s->n_flags + 1) * sizeof(*v));
	const char *name = arena_strndup(m->t.a, word + 2, n - 2);
	bool known = false;

	for (size_t i = 0; in->flags[i]; i++)
		known = known || str_eq(in->flags[i], name);
	if (!known)
		return err_set(err, "%s --%s is not supported", in->name, name);
	if (cf_flag(s, name))
		return err_set(err, "--%s is given twice", name);
	if (s->n_flags > 0)
		memcpy(v, s->flags, s->n_flags * sizeof(*v));
	v[s->n_flags++] = (struct cf_flag){name, eq ? eq + 1 : ""};
	s->flags = v;
	return 0;
}

/* Take --name=value off the front of *rest. */
static int take_flags(struct making *m, struct cf_step *s, const struct instruction *in,
		      const char **ret_rest, struct err *err)
{
	while (in->flags && str_starts(*ret_rest, "--")) {
		size_t n = strcspn(*ret_rest, " \t");
		const char *word = arena_strndup(m->t.a, *ret_rest, n);

		*ret_rest += n + strspn(*ret_rest + n, " \t");
		if (str_eq(word, "--"))
			return 0;
		if (push_flag(m, s, in, word, err) < 0)
			return -1;
	}
	return 0;
}

static int take_heredocs(struct making *m, struct cf_step *s, const char *rest, struct err *err)
{
	struct cf_heredoc *v;
	struct strv words = {0};

	if (*rest == '[')
		return 0;
	cf_words(m->t.a, rest, m->t.escape, true, &words);
	v = arena_alloc(m->t.a, (words.n + 1) * sizeof(*v));
	for (size_t i = 0; i < words.n; i++) {
		struct cf_heredoc *doc = &v[s->n_heredocs];
		bool tabs;

		if (!cf_is_heredoc(m->t.a, words.v[i], doc, &tabs))
			continue;
		if (cf_text_heredoc(&m->t, doc->name, tabs, &doc->text, err) < 0)
			return -1;
		s->n_heredocs++;
	}
	s->heredocs = v;
	return 0;
}

static int take(struct making *m, const struct cf_line *line, struct cf_step *s, struct err *err)
{
	struct err why = {0};
	const struct instruction *in = find(line->word);
	const char *rest = line->rest;

	if (!in) {
		(void)not_there(line->word, err);
		return err_prefix(err, "%s:%d", m->t.file, line->line);
	}
	*s = (struct cf_step){.kind = in->kind, .line = line->line, .args = NO_FLAGS};
	s->text = *rest ? arena_printf(m->t.a, "%s %s", in->name, rest) : in->name;
	/* Its messages have a line of their own. */
	if (in->heredocs && take_heredocs(m, s, rest, err) < 0)
		return -1;
	if (m->stages == 0 && in->kind != CF_FROM && in->kind != CF_ARG)
		err_set(&why, "it stands before the first FROM");
	else if (take_flags(m, s, in, &rest, &why) == 0 && in->take(m, s, rest, &why) == 0)
		return 0;
	*err = why;
	return err_prefix(err, "%s:%d: %s", m->t.file, line->line, in->name);
}

int containerfile_step(struct arena *a, enum cf_kind kind, const char *text, struct cf_step *ret,
		       struct err *err)
{
	struct making m = {.t = {.a = a, .escape = '\\'}, .stages = 1};
	const struct instruction *in = &instructions[kind];
	struct cf_step s = {.kind = kind, .args = NO_FLAGS};

	s.text = arena_printf(a, "%s %s", in->name, text);
	if (kind == CF_RUN) {
		if (take_text(&m, &s, text, err) < 0)
			return -1;
	} else if (take_flags(&m, &s, in, &text, err) < 0 || in->take(&m, &s, text, err) < 0) {
		return -1;
	}
	*ret = s;
	return 0;
}

static void push(struct making *m, const struct cf_step *s)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 32;
		struct cf_step *v = arena_alloc(m->t.a, cap * sizeof(*v));

		if (m->n > 0)
			memcpy(v, m->v, m->n * sizeof(*v));
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n++] = *s;
}

int containerfile_parse(struct arena *a, const char *file, const char *text, size_t len,
			struct containerfile *ret, struct err *err)
{
	struct making m = {.t = {.a = a, .file = file, .p = text, .end = text + len}};
	struct err local = {0};
	struct err *e = err ? err : &local;

	if (len > CONTAINERFILE_MAX)
		return err_set(e, "%s: it is longer than %zu bytes", file, CONTAINERFILE_MAX);
	if (cf_text_begin(&m.t, e) < 0)
		return -1;
	for (;;) {
		struct cf_line line;
		struct cf_step s;
		bool end;

		if (cf_text_next(&m.t, &line, &end, e) < 0)
			return -1;
		if (end)
			break;
		if (m.n == CONTAINERFILE_STEPS)
			return err_set(e, "%s:%d: there are more than %u instructions", file,
				       line.line, CONTAINERFILE_STEPS);
		if (take(&m, &line, &s, e) < 0)
			return -1;
		push(&m, &s);
	}
	if (m.stages == 0)
		return err_set(e, "%s: there is no FROM in it", file);
	*ret = (struct containerfile){
		.file = arena_strdup(a, file), .v = m.v, .n = m.n, .escape = m.t.escape};
	return 0;
}
