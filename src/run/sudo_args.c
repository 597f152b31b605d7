#include "run/sudo_args.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

/* SUDO_COMMAND is for reading; sudo(8) cuts it there, too. */
#define SUDO_COMMAND_MAX 4096U

enum takes { NOTHING, A_WORD, MAYBE_A_WORD };

/* What is ignored makes no difference where nobody is asked for a password and every
 * variable is passed on. */
enum does {
	IGNORED,
	REFUSED,
	USER,
	GROUP,
	DIR,
	LOGIN,
	SHELL,
	FORGET,
	LIST,
	VALIDATE,
	HELP,
	VERSION
};

static const struct option {
	char letter;
	const char *name;
	enum takes takes; /* MAYBE_A_WORD: only as --name=word */
	enum does does;
} options[] = {
	{'A', "askpass", NOTHING, IGNORED},
	{'b', "background", NOTHING, REFUSED},
	{'B', "bell", NOTHING, IGNORED},
	{'C', "close-from", A_WORD, REFUSED},
	{'D', "chdir", A_WORD, DIR},
	{'e', "edit", NOTHING, REFUSED},
	{'E', "preserve-env", MAYBE_A_WORD, IGNORED},
	{'g', "group", A_WORD, GROUP},
	{'h', "help", NOTHING, HELP},
	{'H', "set-home", NOTHING, IGNORED},
	{'i', "login", NOTHING, LOGIN},
	{'k', "reset-timestamp", NOTHING, FORGET},
	{'K', "remove-timestamp", NOTHING, VALIDATE},
	{'l', "list", NOTHING, LIST},
	{'n', "non-interactive", NOTHING, IGNORED},
	{'N', "no-update", NOTHING, IGNORED},
	{'p', "prompt", A_WORD, IGNORED},
	{'P', "preserve-groups", NOTHING, REFUSED},
	{'r', "role", A_WORD, REFUSED},
	{'R', "chroot", A_WORD, REFUSED},
	{'s', "shell", NOTHING, SHELL},
	{'S', "stdin", NOTHING, IGNORED},
	{'t', "type", A_WORD, REFUSED},
	{'T', "command-timeout", A_WORD, REFUSED},
	{'u', "user", A_WORD, USER},
	{'U', "other-user", A_WORD, IGNORED},
	{'v', "validate", NOTHING, VALIDATE},
	{'V', "version", NOTHING, VERSION},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* Where in the command line the reading is. */
struct reader {
	const char *const *argv;
	struct sudo_args args;
	bool forget; /* -k: alone it is all that is done, with a command it changes nothing */
};

static int apply(struct reader *r, const struct option *o, const char *word, struct err *err)
{
	struct sudo_args *args = &r->args;

	switch (o->does) {
	case IGNORED:
		break;
	case REFUSED:
		return err_kind(err, ERR_USAGE,
				"sudo: the option -%c (--%s) does not work in a sandbox", o->letter,
				o->name);
	case USER:
		args->user = word;
		break;
	case GROUP:
		args->group = word;
		break;
	case DIR:
		args->dir = word;
		break;
	case LOGIN:
		args->login = true;
		break;
	case SHELL:
		args->shell = true;
		break;
	case FORGET:
		r->forget = true;
		break;
	case LIST:
		args->mode = SUDO_LIST;
		break;
	case VALIDATE:
		args->mode = SUDO_NOTHING;
		break;
	case HELP:
		args->mode = SUDO_HELP;
		break;
	case VERSION:
		args->mode = SUDO_VERSION;
		break;
	}
	return 0;
}

static int needs_word(const char *option, struct err *err)
{
	return err_kind(err, ERR_USAGE, "sudo: the option %s needs a word", option);
}

/* "--name", "--name=word" or "--name word". */
static int read_long(struct reader *r, struct err *err)
{
	const char *text = *r->argv++;
	size_t n = strcspn(text + 2, "=");
	const char *word = text[2 + n] ? text + 2 + n + 1 : NULL;
	const struct option *o = NULL;

	for (size_t i = 0; !o && i < N_OPTIONS; i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, text + 2, n) == 0)
			o = &options[i];
	if (!o)
		return err_kind(err, ERR_USAGE, "sudo: unknown option '%s'", text);
	if (word && o->takes == NOTHING)
		return err_kind(err, ERR_USAGE, "sudo: the option --%s takes no word", o->name);
	if (o->takes == A_WORD && !word) {
		word = *r->argv;
		if (!word)
			return needs_word(text, err);
		r->argv++;
	}
	return apply(r, o, word, err);
}

static const struct option *find_short(char letter)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (options[i].letter == letter)
			return &options[i];
	return NULL;
}

/* "-nE", "-uroot" or "-u root". */
static int read_short(struct reader *r, struct err *err)
{
	const char *text = *r->argv++;

	for (const char *p = text + 1; *p; p++) {
		const struct option *o = find_short(*p);
		const char *word = NULL;

		if (!o)
			return err_kind(err, ERR_USAGE, "sudo: unknown option '-%c'", *p);
		if (o->takes == A_WORD) {
			word = p[1] ? p + 1 : *r->argv++;
			if (!word)
				return needs_word(text, err);
		}
		if (apply(r, o, word, err) < 0)
			return -1;
		if (word)
			break;
	}
	return 0;
}

static bool is_variable(const char *word)
{
	return word[0] != '/' && word[0] != '=' && strchr(word, '=');
}

static int read_all(struct arena *a, struct reader *r, struct strv *vars, struct err *err)
{
	while (*r->argv) {
		const char *word = *r->argv;
		int result = 0;

		if (str_eq(word, "--")) {
			r->argv++;
			break;
		}
		if (str_starts(word, "--")) {
			result = read_long(r, err);
		} else if (word[0] == '-' && word[1]) {
			result = read_short(r, err);
		} else if (is_variable(word)) {
			strv_push(a, vars, word);
			r->argv++;
		} else {
			break;
		}
		if (result < 0)
			return -1;
	}
	return 0;
}

static const char *const *list_of(struct arena *a, const struct strv *list)
{
	return list->v ? (const char *const *)list->v : arena_alloc(a, sizeof(char *));
}

int sudo_args_read(struct arena *a, const char *const *argv, struct sudo_args *ret, struct err *err)
{
	struct reader r = {.argv = argv};
	struct strv vars = {0};

	if (read_all(a, &r, &vars, err) < 0)
		return -1;
	r.args.vars = list_of(a, &vars);
	r.args.command = r.argv;
	if (r.args.login && r.args.shell)
		return err_kind(err, ERR_USAGE, "sudo: -i and -s exclude each other");
	if (r.args.mode == SUDO_RUN && !r.args.command[0] && !r.args.login && !r.args.shell) {
		if (!r.forget)
			return err_kind(err, ERR_USAGE, "sudo: no command was given");
		r.args.mode = SUDO_NOTHING;
	}
	*ret = r.args;
	return 0;
}

bool sudo_args_id(const char *text, uint32_t *ret_id)
{
	uint64_t id;

	/* -1 means "leave it as it is" to the kernel. */
	if (text[0] != '#' || num_u64(text + 1, 0, UINT32_MAX - 1, &id, NULL) < 0)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

/* As sudo(8) quotes for a shell: all but what is harmless, and '$'. */
static void add_quoted(struct buf *b, const char *word)
{
	for (const char *p = word; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			     (*p >= 'A' && *p <= 'Z') || strchr("_-$", *p);

		/* A newline behind a backslash is none at all. */
		if (*p == '\n')
			buf_adds(b, "'\n'");
		else
			buf_printf(b, plain ? "%c" : "\\%c", *p);
	}
}

static const char *joined(struct arena *a, const char *const *words, bool quoted)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; words[i]; i++) {
		if (i > 0)
			buf_adds(&b, " ");
		if (quoted)
			add_quoted(&b, words[i]);
		else
			buf_adds(&b, words[i]);
	}
	return arena_strdup(a, b.p ? b.p : "");
}

const char *const *sudo_args_command(struct arena *a, const struct sudo_args *args,
				     const char *shell)
{
	struct strv v = {0};

	if (!args->login && !args->shell)
		return args->command;
	strv_push(a, &v, shell);
	if (args->login)
		strv_push(a, &v, "-l");
	if (args->command[0]) {
		strv_push(a, &v, "-c");
		strv_push(a, &v, joined(a, args->command, true));
	}
	return (const char *const *)v.v;
}

static void put_about(struct arena *a, struct strv *env, const char *name, const char *value)
{
	strv_put_env(a, env, arena_printf(a, "%s=%s", name, value));
}

static void put_command(struct arena *a, struct strv *env, const char *const *command)
{
	const char *text = joined(a, command, false);

	put_about(a, env, "SUDO_COMMAND", arena_strndup(a, text, strnlen(text, SUDO_COMMAND_MAX)));
}

const char *const *sudo_args_env(struct arena *a, const struct sudo_args *args,
				 const char *const *env, const struct sudo_user *target,
				 const struct sudo_user *caller)
{
	struct strv v = {0};

	for (size_t i = 0; env[i]; i++)
		if (strchr(env[i], '='))
			strv_push(a, &v, env[i]);
	put_about(a, &v, "HOME", target->home);
	put_about(a, &v, "USER", target->name);
	put_about(a, &v, "LOGNAME", target->name);
	put_about(a, &v, "SHELL", target->shell);
	put_about(a, &v, "MAIL", arena_printf(a, "/var/mail/%s", target->name));
	put_about(a, &v, "XDG_RUNTIME_DIR", arena_printf(a, "/run/user/%u", target->uid));
	put_about(a, &v, "SUDO_USER", caller->name);
	put_about(a, &v, "SUDO_UID", arena_printf(a, "%u", caller->uid));
	put_about(a, &v, "SUDO_GID", arena_printf(a, "%u", caller->gid));
	put_command(a, &v, sudo_args_command(a, args, target->shell));
	for (size_t i = 0; args->vars[i]; i++)
		strv_put_env(a, &v, args->vars[i]);
	return (const char *const *)v.v;
}
