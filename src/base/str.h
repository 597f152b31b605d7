/*
 * str — strings: a growing buffer, escaping for people, nearest names.
 */
#ifndef SBX_BASE_STR_H
#define SBX_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

/* A growing byte buffer; zeroed is empty.  `p` is always NUL-terminated once
 * anything was added, and may hold NUL bytes of its own. */
struct buf {
	char *p;
	size_t len;
	size_t cap;
};
void buf_done(struct buf *b); /* frees and zeroes */
#define _cleanup_buf_ __attribute__((cleanup(buf_done)))
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), nonnull(2)));

/*
 * Add `s` so that a terminal shows it harmlessly: control bytes, DEL, invalid
 * UTF-8, C1 controls, bidirectional overrides (U+202A–202E, U+2066–2069,
 * U+200E/F, U+061C), line separators (U+2028/9) and invisible characters
 * (U+FEFF, U+FFF9–FFFB, U+E0000–E007F) become \xNN or \u{NNNN}, a backslash \\.
 * Newline becomes \n, tab \t.
 */
void str_escape(struct buf *b, const char *s, size_t n);

/* Like str_escape, but newline, tab and backslash pass: for whole messages, whose
 * names may have been escaped already and whose hints hold commands to copy. */
void str_escape_text(struct buf *b, const char *s, size_t n);

/* Quote for a POSIX shell where needed: abc -> abc, a b -> 'a b'. */
void str_shell_quote(struct buf *b, const char *s);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_eq(const char *a, const char *b); /* NULL equals only NULL */

/* Cut white space off both ends, in place; returns the new start. */
char *str_trim(char *s);

/* The element of the NULL-terminated `names` nearest to `word` (Damerau-
 * Levenshtein), or NULL when none is near enough to be meant. */
const char *str_nearest(const char *word, const char *const *names);

#endif
