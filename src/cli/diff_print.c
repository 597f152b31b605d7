#include "cli/diff_print.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "cli/out.h"
#include "store/record.h"

static bool is_deleted(const struct entry *e)
{
	return e->verdict == ENTRY_DELETED || e->verdict == ENTRY_HIDDEN;
}

void diff_path(const char *prefix, const struct entry *e, struct buf *ret)
{
	buf_adds(ret, prefix);
	buf_adds(ret, "/");
	str_escape(ret, e->path, strlen(e->path));
	if (S_ISDIR(e->st.st_mode))
		buf_adds(ret, "/");
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "folder";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	default:
		return "file";
	}
}

/* " (" before the first of several, ", " before the others. */
static const char *between(size_t *n)
{
	return (*n)++ ? ", " : " (";
}

/* Bits that let others in: setuid, setgid, sticky, or writable by all. */
static bool has_risky_mode(const struct stat *st)
{
	return !S_ISLNK(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID | S_ISVTX | S_IWOTH);
}

bool diff_is_notable(const struct entry *e)
{
	if (e->verdict != ENTRY_ADDED)
		return false;
	return (!S_ISREG(e->st.st_mode) && !S_ISDIR(e->st.st_mode)) || has_risky_mode(&e->st);
}

/* Of what is new: what one would not expect of a file or folder. */
static void add_notes(const struct entry *e, struct buf *ret)
{
	size_t n = 0;

	if (!S_ISREG(e->st.st_mode) && !S_ISDIR(e->st.st_mode))
		buf_printf(ret, "%s%s", between(&n), type_name(e->st.st_mode));
	if (has_risky_mode(&e->st))
		buf_printf(ret, "%smode %04o", between(&n), e->st.st_mode & 07777);
	buf_adds(ret, ")");
}

/* What is different, unless it is the contents alone. */
static void add_words(const struct entry *e, struct buf *ret)
{
	const struct stat *was = e->was;
	size_t n = 0;

	if (diff_is_notable(e))
		add_notes(e, ret);
	if (e->verdict != ENTRY_MODIFIED || !was || e->what == CHANGE_CONTENT)
		return;
	if (e->what & CHANGE_TYPE)
		buf_printf(ret, "%s%s -> %s", between(&n), type_name(was->st_mode),
			   type_name(e->st.st_mode));
	if (e->what & CHANGE_CONTENT)
		buf_printf(ret, "%scontent", between(&n));
	if (e->what & CHANGE_TYPE && has_risky_mode(&e->st))
		buf_printf(ret, "%smode %04o", between(&n), e->st.st_mode & 07777);
	if (e->what & CHANGE_MODE)
		buf_printf(ret, "%smode %04o -> %04o", between(&n), was->st_mode & 07777,
			   e->st.st_mode & 07777);
	if (e->what & CHANGE_OWNER)
		buf_printf(ret, "%sowner %u:%u -> %u:%u", between(&n), was->st_uid, was->st_gid,
			   e->st.st_uid, e->st.st_gid);
	if (e->what & CHANGE_XATTR)
		buf_printf(ret, "%sattributes", between(&n));
	buf_adds(ret, ")");
}

static void add_change(const struct entry *e, struct buf *ret)
{
	const char *letter = e->verdict == ENTRY_ADDED ? "A " : "M ";

	buf_adds(ret, is_deleted(e) ? "D " : letter);
	diff_path("", e, ret);
	add_words(e, ret);
}

void diff_line(const struct entry *e, struct buf *ret)
{
	add_change(e, ret);
	buf_adds(ret, "\n");
}

/* Are there bytes of its own that are new? */
static bool has_new_bytes(const struct entry *e)
{
	if (!S_ISREG(e->st.st_mode))
		return false;
	return e->verdict == ENTRY_ADDED ||
	       (e->verdict == ENTRY_MODIFIED && (e->what & (CHANGE_CONTENT | CHANGE_TYPE)));
}

void diff_stat_line(const struct entry *e, struct buf *ret)
{
	add_change(e, ret);
	if (has_new_bytes(e)) {
		buf_adds(ret, "  ");
		if (e->was && S_ISREG(e->was->st_mode) && e->was->st_size != e->st.st_size) {
			out_size(ret, (uint64_t)e->was->st_size);
			buf_adds(ret, " -> ");
		}
		out_size(ret, (uint64_t)e->st.st_size);
	} else if (is_deleted(e) && S_ISREG(e->st.st_mode)) {
		buf_adds(ret, "  -");
		out_size(ret, (uint64_t)e->st.st_size);
	}
	buf_adds(ret, "\n");
}

void diff_add(struct diff_sums *sums, const struct entry *e)
{
	if (has_new_bytes(e))
		sums->bytes += (uint64_t)e->st.st_size;
	if (is_deleted(e))
		sums->deleted++;
	else if (e->verdict == ENTRY_ADDED)
		sums->added++;
	else
		sums->modified++;
}

void diff_sums_line(const struct diff_sums *sums, struct buf *ret)
{
	buf_printf(ret, "%zu added, %zu modified, %zu deleted, ", sums->added, sums->modified,
		   sums->deleted);
	out_size(ret, sums->bytes);
	buf_adds(ret, "\n");
}

static json_t *metadata(const struct stat *st)
{
	char mode[8];

	(void)snprintf(mode, sizeof(mode), "%04o", st->st_mode & 07777);
	return json_pack("{s:s, s:I, s:s, s:I, s:I}", "type", type_name(st->st_mode), "size",
			 S_ISREG(st->st_mode) ? (json_int_t)st->st_size : (json_int_t)0, "mode",
			 mode, "uid", (json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid);
}

static json_t *what(unsigned changes)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{CHANGE_CONTENT, "content"}, {CHANGE_MODE, "mode"}, {CHANGE_OWNER, "owner"},
		{CHANGE_XATTR, "xattr"},     {CHANGE_TYPE, "type"},
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (changes & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

json_t *diff_json(const struct entry *e)
{
	_cleanup_buf_ struct buf path = {0};
	json_t *o = json_object();
	json_t *exact;

	buf_printf(&path, "/%s", e->path);
	exact = json_string(path.p);
	json_object_set_new(o, "path", out_json_string(path.p));
	if (!exact)
		json_object_set_new(o, "path_bytes", record_bytes(path.p));
	json_decref(exact);
	if (is_deleted(e))
		json_object_set_new(o, "change", json_string("deleted"));
	else
		json_object_set_new(o, "change",
				    json_string(e->verdict == ENTRY_ADDED ? "added" : "modified"));
	json_object_update_new(o, metadata(&e->st));
	if (e->verdict == ENTRY_MODIFIED)
		json_object_set_new(o, "what", what(e->what));
	if (e->was)
		json_object_set_new(o, "was", metadata(e->was));
	json_object_set_new(o, "excluded", json_boolean(e->excluded));
	return o;
}
