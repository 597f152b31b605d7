/* The user among the accounts of an image, which knows nothing of him: passwd(5), group(5). */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/plan_parts.h"

/* The text of the number `n` of a line's fields, which are parted by ':'. */
static bool field_is(const char *line, size_t len, int n, const char *wanted)
{
	const char *end = line + len;
	size_t field;

	for (; n > 0; n--) {
		const char *colon = memchr(line, ':', (size_t)(end - line));

		if (!colon)
			return false;
		line = colon + 1;
	}
	field = strcspn(line, ":\n");
	return line + field <= end && field == strlen(wanted) && memcmp(line, wanted, field) == 0;
}

/*
 * The text with a line more, in which name and id are the first and the third field.  It comes before
 * the first line of that id, since that is the one that programs take; one of that name stays alone.
 */
static const char *with_line(struct arena *a, const char *text, const char *name, uint32_t id,
			     const char *line)
{
	const char *number = arena_printf(a, "%u", (unsigned)id);
	const char *at = NULL;
	const char *gap;

	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");

		if (field_is(p, len, 0, name))
			return text;
		if (!at && field_is(p, len, 2, number))
			at = p;
		p += len + (p[len] == '\n');
	}
	if (!at)
		at = text + strlen(text);
	gap = at > text && at[-1] != '\n' ? "\n" : "";
	return arena_printf(a, "%.*s%s%s\n%s", (int)(at - text), text, gap, line, at);
}

const char *plan_passwd(const struct making *m)
{
	const struct plan *plan = m->plan;
	const char *text = m->env->image->passwd;
	const char *line;

	if (!text)
		text = arena_printf(m->a, "root:x:0:0:root:/root:%s\n", plan->shell);
	line = arena_printf(m->a, "%s:x:%u:%u::%s:%s", plan->user, (unsigned)plan->self_uid,
			    (unsigned)plan->self_gid, plan->home, plan->shell);
	return with_line(m->a, text, plan->user, plan->self_uid, line);
}

const char *plan_group(const struct making *m)
{
	const struct plan *plan = m->plan;
	const char *text = m->env->image->group ? m->env->image->group : "root:x:0:\n";
	const char *line = arena_printf(m->a, "%s:x:%u:", plan->group, (unsigned)plan->self_gid);

	return with_line(m->a, text, plan->group, plan->self_gid, line);
}
