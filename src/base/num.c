#include "base/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits at the start of s; *ret_end points behind them.  -1 with errno EINVAL or ERANGE. */
static int digits(const char *s, uint64_t *ret_n, const char **ret_end)
{
	char *end = NULL;
	uint64_t n;

	/* strtoull takes white space, signs and, with base 0, prefixes: none of that here. */
	if (*s < '0' || *s > '9') {
		errno = EINVAL;
		return -1;
	}
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno)
		return -1;
	*ret_n = n;
	*ret_end = end;
	return 0;
}

int num_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret_n, struct err *err)
{
	const char *end = s + strspn(s, "0123456789");
	uint64_t n = 0;

	if (end == s || *end)
		return err_set(err, "'%s' is not a number", s);
	if (digits(s, &n, &end) < 0 || n < lo || n > hi)
		return err_set(err, "'%s' is not in the range %" PRIu64 " to %" PRIu64, s, lo, hi);
	*ret_n = n;
	return 0;
}

/* Digits and one of the units (case does not count). -1 with errno EINVAL or ERANGE. */
static int with_unit(const char *s, const struct unit *units, uint64_t *ret_n)
{
	const char *end = s;
	uint64_t n = 0;

	if (digits(s, &n, &end) < 0)
		return -1;
	for (; units->name; units++) {
		if (strcasecmp(end, units->name) != 0)
			continue;
		if (n > UINT64_MAX / units->factor) {
			errno = ERANGE;
			return -1;
		}
		*ret_n = n * units->factor;
		return 0;
	}
	errno = EINVAL;
	return -1;
}

int num_size(const char *s, uint64_t *ret_bytes, struct err *err)
{
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"K", 1ULL << 10},
		{"KB", 1ULL << 10},
		{"KiB", 1ULL << 10},
		{"M", 1ULL << 20},
		{"MB", 1ULL << 20},
		{"MiB", 1ULL << 20},
		{"G", 1ULL << 30},
		{"GB", 1ULL << 30},
		{"GiB", 1ULL << 30},
		{"T", 1ULL << 40},
		{"TB", 1ULL << 40},
		{"TiB", 1ULL << 40},
		{NULL, 0},
	};

	if (with_unit(s, units, ret_bytes) == 0)
		return 0;
	if (errno == ERANGE)
		return err_set(err, "the size '%s' is too large", s);
	return err_set(err, "'%s' is not a size: digits and K, M, G or T, as in 512M", s);
}

int num_duration(const char *s, uint64_t *ret_ms, struct err *err)
{
	static const struct unit units[] = {
		{"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
		{"h", 3600000}, {"d", 86400000}, {NULL, 0},
	};

	if (with_unit(s, units, ret_ms) == 0)
		return 0;
	if (errno == ERANGE)
		return err_set(err, "the time '%s' is too long", s);
	return err_set(err, "'%s' is not a time: digits and ms, s, m, h or d, as in 30s", s);
}

int num_cpus(const char *s, uint64_t *ret_millicpus, struct err *err)
{
	static const uint64_t most = 100000; /* CPUs; a kernel has at most 8192 today */
	const char *end = s;
	uint64_t whole = 0;
	uint64_t part = 0;
	uint64_t scale = 1000;

	if (digits(s, &whole, &end) < 0) {
		if (errno != ERANGE)
			return err_set(err, "'%s' is not a number of CPUs, as in 2 or 0.5", s);
		whole = UINT64_MAX;
	}
	if (whole > most)
		return err_set(err, "'%s' is more CPUs than any machine has", s);
	if (*end == '.') {
		const char *p = end + 1;

		for (; *p >= '0' && *p <= '9' && scale > 1; p++) {
			scale /= 10;
			part += (uint64_t)(*p - '0') * scale;
		}
		if (p > end + 1)
			end = p;
	}
	if (*end >= '0' && *end <= '9')
		return err_set(err, "'%s' is too fine a number of CPUs: three decimals at most", s);
	if (*end)
		return err_set(err, "'%s' is not a number of CPUs, as in 2 or 0.5", s);
	if (whole * 1000 + part == 0)
		return err_set(err, "'%s' CPUs are too few: 0.001 at the least", s);
	*ret_millicpus = whole * 1000 + part;
	return 0;
}
