#include "cli/opt.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define HELP_COLUMN 24
#define HELP_WIDTH 80

/* What one parse needs at hand. */
struct parse {
	struct arena *a;
	const struct opt_table *table;
	const char *const *next; /* the argument to read next */
	char *values;
	bool help;
};

static void store_flag(const struct parse *p, const struct opt *o)
{
	bool on = true;

	memcpy(p->values + o->offset, &on, sizeof(on));
}

static void store_value(const struct parse *p, const struct opt *o, const char *value)
{
	if (str_ends(o->arg, " ..."))
		strv_push(p->a, (struct strv *)(void *)(p->values + o->offset), value);
	else
		memcpy(p->values + o->offset, &value, sizeof(value));
}

static const struct opt *find_name(const struct opt_table *t, const char *name, size_t len)
{
	for (const struct opt *o = t->opts; o->name; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static const struct opt *find_letter(const struct opt_table *t, char letter)
{
	for (const struct opt *o = t->opts; o->name; o++) {
		if (o->letter == letter)
			return o;
	}
	return NULL;
}

/* How a message calls what the table belongs to: "sbx run", or "sbx" for the global options. */
static const char *title(const struct parse *p)
{
	return p->table->name[0] ? arena_printf(p->a, "sbx %s", p->table->name) : "sbx";
}

/* Those of sbx itself (main.c), which no command has. */
static int before_command(const struct parse *p, const char *option, struct err *err)
{
	return err_hint(err, "it stands before the command: sbx %s %s", option, p->table->name);
}

static int unknown_option(const struct parse *p, const char *name, struct err *err)
{
	struct strv names = {0};

	for (const struct opt *o = p->table->opts; o->name; o++)
		strv_push(p->a, &names, o->name);
	strv_push(p->a, &names, "help");
	err_kind(err, ERR_USAGE, "unknown option '--%s' of '%s'", name, title(p));
	if (p->table->name[0] &&
	    (str_eq(name, "quiet") || str_eq(name, "debug") || str_eq(name, "version")))
		return before_command(p, arena_printf(p->a, "--%s", name), err);

	const char *near = str_nearest(name, (const char *const *)names.v);

	if (near)
		return err_hint(err, "did you mean '--%s'?", near);
	return err_hint(err, "%s --help", title(p));
}

/* "--name", "--name=VALUE" or "--name" "VALUE"; `word` is behind the dashes. */
static int parse_long(struct parse *p, const char *word, struct err *err)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct opt *o = find_name(p->table, word, len);

	if (strcmp(word, "help") == 0) {
		p->help = true;
		return 0;
	}
	if (!o)
		return unknown_option(p, arena_strndup(p->a, word, len), err);
	if (!o->arg && equals)
		return err_kind(err, ERR_USAGE, "option '--%s' takes no value", o->name);
	if (!o->arg) {
		store_flag(p, o);
		return 0;
	}
	const char *value = equals ? equals + 1 : *p->next;

	if (!value)
		return err_kind(err, ERR_USAGE, "option '--%s' needs a value: %s", o->name, o->arg);
	if (!equals)
		p->next++;
	store_value(p, o, value);
	return 0;
}

static int unknown_letter(const struct parse *p, const char *letter, struct err *err)
{
	/* A byte of a longer character alone would be unreadable: show it all. */
	err_kind(err, ERR_USAGE, "unknown option '-%s' of '%s'",
		 (unsigned char)*letter < 0x80 ? arena_strndup(p->a, letter, 1) : letter, title(p));
	if (p->table->name[0] && *letter == 'q')
		return before_command(p, "-q", err);
	return err_hint(err, "%s --help", title(p));
}

/* "-a", "-ab", "-eVALUE" or "-e" "VALUE"; `letters` is behind the dash. */
static int parse_letters(struct parse *p, const char *letters, struct err *err)
{
	for (const char *c = letters; *c; c++) {
		const struct opt *o = find_letter(p->table, *c);

		if (*c == 'h' && !o) {
			p->help = true;
			return 0;
		}
		if (!o)
			return unknown_letter(p, c, err);
		if (!o->arg) {
			store_flag(p, o);
			continue;
		}
		const char *value = c[1] ? c + 1 : *p->next;

		if (!value)
			return err_kind(err, ERR_USAGE, "option '-%c' needs a value: %s", *c,
					o->arg);
		if (!c[1])
			p->next++;
		store_value(p, o, value);
		return 0;
	}
	return 0;
}

static int check_count(const struct opt_table *t, const struct strv *args, struct err *err)
{
	if (args->n < t->min_args) {
		err_kind(err, ERR_USAGE, "'sbx %s' needs more arguments: %s", t->name, t->args);
		return err_hint(err, "sbx %s --help", t->name);
	}
	if (args->n > t->max_args) {
		err_kind(err, ERR_USAGE, "'sbx %s' has no use for the argument '%s'", t->name,
			 args->v[t->max_args]);
		return err_hint(err, "sbx %s --help", t->name);
	}
	return 0;
}

int opt_read(struct arena *a, const struct opt_table *t, const char *const *argv, void *values,
	     struct opt_args *ret, struct err *err)
{
	struct parse p = {.a = a, .table = t, .next = argv, .values = values};
	struct strv args = {0};
	bool options = true;

	while (*p.next) {
		const char *word = *p.next++;

		if (options && strcmp(word, "--") == 0) {
			options = false;
			continue;
		}
		/* A lone "-" is an argument, as everywhere. */
		if (!options || word[0] != '-' || word[1] == '\0') {
			strv_push(a, &args, word);
			options = options && !t->leading;
			continue;
		}
		int r = word[1] == '-' ? parse_long(&p, word + 2, err)
				       : parse_letters(&p, word + 1, err);

		if (r < 0)
			return -1;
		if (p.help)
			break;
	}
	if (!p.help && check_count(t, &args, err) < 0)
		return -1;
	ret->v = args.n ? (const char *const *)args.v : argv + (p.next - argv);
	ret->n = args.n;
	ret->help = p.help;
	return 0;
}

void opt_synopsis(const struct opt_table *t, struct buf *ret)
{
	buf_printf(ret, "sbx%s%s", t->name[0] ? " " : "", t->name);
	for (const struct opt *o = t->opts; o->name; o++) {
		if (o->letter)
			buf_printf(ret, " [-%c", o->letter);
		else
			buf_printf(ret, " [--%s", o->name);
		buf_printf(ret, "%s%s]", o->arg ? " " : "", o->arg ? o->arg : "");
	}
	if (t->args)
		buf_printf(ret, " %s", t->args);
}

/* Behind the next word; in a synopsis "[-e NAME]" is one. */
static const char *word_end(const char *text, bool brackets)
{
	size_t depth = 0;

	for (; *text && (*text != ' ' || depth > 0) && *text != '\n'; text++) {
		depth += brackets && *text == '[';
		depth -= depth > 0 && *text == ']';
	}
	return text;
}

/* Words, broken where a line would be too long; `indent` blanks are before all lines but the first. */
static void fill(struct buf *ret, const char *text, size_t column, size_t indent, bool brackets)
{
	const char *end;

	for (char before = '\0'; *text; text = end) {
		const char *word = text;
		size_t blanks, n;

		while (*word == ' ' || *word == '\n')
			word++;
		end = word_end(word, brackets);
		n = (size_t)(end - word);
		/* Lines in the source may end anywhere; behind a full stop are two blanks. */
		blanks = *text != '\n' ? (size_t)(word - text) : before == '.' ? 2 : 1;
		if (column + blanks + n > HELP_WIDTH && n > 0) {
			buf_printf(ret, "\n%*s", (int)indent, "");
			column = indent;
		} else {
			buf_printf(ret, "%*s", (int)blanks, "");
			column += blanks;
		}
		buf_add(ret, word, n);
		column += n;
		before = n > 0 ? end[-1] : before;
	}
	buf_adds(ret, "\n");
}

static void help_line(const struct opt *o, struct buf *ret)
{
	size_t start = ret->len;
	size_t used;

	if (o->letter)
		buf_printf(ret, "  -%c, --%s", o->letter, o->name);
	else
		buf_printf(ret, "      --%s", o->name);
	if (o->arg)
		buf_printf(ret, " %s", o->arg);
	used = ret->len - start;
	if (used + 1 < HELP_COLUMN)
		buf_printf(ret, "%*s", (int)(HELP_COLUMN - used), "");
	else
		buf_printf(ret, "\n%*s", HELP_COLUMN, "");
	fill(ret, o->help, HELP_COLUMN, HELP_COLUMN, false);
}

/* What is in columns is as it is written. */
static bool has_columns(const char *text)
{
	return strstr(text, "   ") != NULL;
}

void opt_help(const struct opt_table *t, struct buf *ret)
{
	static const struct opt help = {"help", 'h', NULL, 0, "show this text"};
	const char *details = t->details ? t->details : t->summary;
	_cleanup_buf_ struct buf synopsis = {0};

	buf_adds(ret, "usage: ");
	opt_synopsis(t, &synopsis);
	fill(ret, synopsis.p, strlen("usage: "), strlen("usage: "), true);
	buf_adds(ret, "\n");
	if (has_columns(details))
		buf_printf(ret, "%s\n", details);
	else
		fill(ret, details, 0, 0, false);
	buf_adds(ret, "\n");
	for (const struct opt *o = t->opts; o->name; o++)
		help_line(o, ret);
	help_line(&help, ret);
}

/* What other tools call it: docker, podman, git, virtualenv, direnv. */
static const char *known_elsewhere(const char *word, const char *const *words)
{
	static const char *const pairs[][2] = {
		/* clang-format off */
		{"activate", "enter"}, {"attach", "enter"}, {"checkout", "reset"}, {"clone", "fork"}, {"create", "init"},
		{"delete", "rm"}, {"down", "stop"}, {"exec", "run"}, {"export", "save"}, {"history", "log"},
		{"import", "load"}, {"info", "status"}, {"kill", "stop"}, {"ls", "list"}, {"new", "init"},
		{"prune", "gc"}, {"ps", "list"}, {"remove", "rm"}, {"shell", "enter"}, {"start", "enter"},
		{"trust", "allow"}, {"uninstall", "rm"}, {"up", "enter"},
		/* clang-format on */
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (size_t k = 0; str_eq(pairs[i][0], word) && words[k]; k++)
			if (str_eq(pairs[i][1], words[k]))
				return words[k];
	return NULL;
}

int opt_word(const char *command, const char *word, const char *const *words, struct err *err)
{
	const char *blank = command[0] ? " " : "";
	const char *near = known_elsewhere(word, words);

	near = near ? near : str_nearest(word, words);

	for (size_t i = 0; words[i]; i++)
		if (str_eq(words[i], word))
			return 0;
	(void)err_kind(err, ERR_USAGE, "unknown command '%s%s%s'", command, blank, word);
	if (near)
		return err_hint(err, "did you mean 'sbx %s%s%s'?", command, blank, near);
	if (command[0])
		return err_hint(err, "sbx %s --help", command);
	return err_hint(err, "sbx --help lists the commands");
}
