#include "cli/shell.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/shell_scripts.h"

#define SCRIPT_COUNT (sizeof(shell_scripts) / sizeof(shell_scripts[0]))

const char *shell_self(struct arena *a)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	return strchr(exe, '\n') || str_ends(exe, " (deleted)") ? NULL : arena_strdup(a, exe);
}

/* This program; where its name is one that not every shell reads alike, the one on the PATH. */
static const char *own_path(struct arena *a)
{
	const char *exe = shell_self(a);
	_cleanup_buf_ struct buf quoted = {0};

	if (!exe || strpbrk(exe, "\\'"))
		return "sbx";
	str_shell_quote(&quoted, exe);
	return arena_strdup(a, quoted.p);
}

/* Add the text with `key` replaced. */
static void add_replaced(struct buf *ret, const char *text, const char *key, const char *value)
{
	const char *at;

	while ((at = strstr(text, key))) {
		buf_add(ret, text, (size_t)(at - text));
		buf_adds(ret, value);
		text = at + strlen(key);
	}
	buf_adds(ret, text);
}

static const char *find(struct arena *a, const char *what, const char *shell)
{
	for (size_t i = 0; i < SCRIPT_COUNT; i++)
		if (str_eq(shell_scripts[i].what, what) && str_eq(shell_scripts[i].shell, shell))
			return arena_strndup(a, (const char *)shell_scripts[i].text,
					     shell_scripts[i].len);
	return NULL;
}

int shell_script(struct arena *a, const char *what, const char *shell, struct buf *ret,
		 struct err *err)
{
	const char *text = find(a, what, shell);

	if (!text) {
		(void)err_kind(err, ERR_USAGE, "cannot make a %s for the shell '%s'", what, shell);
		return err_hint(err, "there is one for bash, zsh and fish");
	}
	add_replaced(ret, text, "@SBX@", own_path(a));
	return 0;
}

static int is_plain(unsigned char c)
{
	return c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || strchr("._+-", c);
}

const char *shell_name(struct arena *a, const char *name)
{
	_cleanup_buf_ struct buf b = {0};

	str_escape(&b, name, strlen(name));
	buf_adds(&b, "");
	for (size_t i = 0; i < b.len; i++)
		if (!is_plain((unsigned char)b.p[i]))
			b.p[i] = '?';
	return arena_strdup(a, b.p);
}

const char *const *shell_inside(struct arena *a, const char *name, int leave)
{
	_cleanup_buf_ struct buf prompt = {0};
	struct strv v = {0};

	name = shell_name(a, name);
	add_replaced(&prompt, find(a, "inside", "bash"), "@NAME@", name);
	/* Debian's bashrc shows it before the prompt; of others, the prompt is changed. */
	strv_pushf(a, &v, "debian_chroot=sbx:%s", name);
	strv_pushf(a, &v, "PROMPT_COMMAND=%s", prompt.p);
	if (leave)
		strv_push(a, &v, "SBX_LEAVE=1");
	return (const char *const *)v.v;
}

const char *const *shell_inside_argv(struct arena *a, const char *name, const char *shell)
{
	_cleanup_buf_ struct buf text = {0};
	struct strv v = {0};

	if (!shell || (!str_ends(shell, "/zsh") && !str_ends(shell, "/fish")))
		return NULL;
	add_replaced(&text, find(a, "inside", "sh"), "@NAME@", shell_name(a, name));
	strv_push(a, &v, "sh");
	strv_push(a, &v, "-c");
	strv_push(a, &v, arena_strdup(a, text.p));
	return (const char *const *)v.v;
}
