/* "did you mean …?" */
#include <string.h>

#include "base/str.h"

#define WORD_MAX 63

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/*
 * Damerau-Levenshtein distance (optimal string alignment): insertions,
 * deletions, changes and swaps of neighbours.  Case does not count.  Both words are at
 * most WORD_MAX long.
 */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0];
	size_t *above = rows[1];
	size_t *row = rows[2];
	size_t n = strlen(a);
	size_t m = strlen(b);

	memset(rows, 0, sizeof(rows));
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *oldest = before;
		before = above;
		above = row;
		row = oldest;
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			char x = lower(a[i - 1]);
			char y = lower(b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
				row[j] = min3(row[j], before[j - 2] + 1, row[j]);
		}
	}
	return row[m];
}

const char *str_nearest(const char *word, const char *const *names)
{
	const char *best = NULL;
	size_t len = strlen(word);
	size_t best_distance;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	/* One slip in three letters; in a word of one or two letters only its case. */
	best_distance = len < 3 ? 1 : len / 3 + 1;
	for (; *names; names++) {
		size_t d;

		if (strlen(*names) > WORD_MAX)
			continue;
		d = distance(word, *names);
		if (d < best_distance) {
			best_distance = d;
			best = *names;
		}
	}
	return best;
}
