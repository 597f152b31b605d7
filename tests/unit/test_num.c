#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/num.h"

typedef int (*parser)(const char *, uint64_t *, struct err *);

static void gives(parser parse, const char *s, uint64_t want)
{
	struct err err = {0};
	uint64_t n = 99;

	assert_int_equal(parse(s, &n, &err), 0);
	assert_int_equal(n, want);
}

static void refuses(parser parse, const char *s, const char *msg)
{
	struct err err = {0};
	uint64_t n = 99;

	assert_int_equal(parse(s, &n, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_int_equal(n, 99); /* untouched */
}

static int port(const char *s, uint64_t *ret, struct err *err)
{
	return num_u64(s, 1, 65535, ret, err);
}

static int any(const char *s, uint64_t *ret, struct err *err)
{
	return num_u64(s, 0, UINT64_MAX, ret, err);
}

static void u64(void **state)
{
	(void)state;
	gives(port, "1", 1);
	gives(port, "65535", 65535);
	gives(port, "0080", 80);
	gives(any, "0", 0);
	gives(any, "18446744073709551615", UINT64_MAX);
	refuses(port, "0", "'0' is not in the range 1 to 65535");
	refuses(port, "65536", "'65536' is not in the range 1 to 65535");
	refuses(any, "18446744073709551616",
		"'18446744073709551616' is not in the range 0 to 18446744073709551615");
	refuses(any, "", "'' is not a number");
	refuses(any, "-1", "'-1' is not a number");
	refuses(any, "+1", "'+1' is not a number");
	refuses(any, " 1", "' 1' is not a number");
	refuses(any, "1 ", "'1 ' is not a number");
	refuses(any, "0x10", "'0x10' is not a number");
	refuses(any, "1e3", "'1e3' is not a number");
}

#define NO_SIZE(s) \
	refuses(num_size, s, "'" s "' is not a size: digits and K, M, G or T, as in 512M")
static void size(void **state)
{
	(void)state;
	gives(num_size, "0", 0);
	gives(num_size, "1000", 1000);
	gives(num_size, "12B", 12);
	gives(num_size, "1K", 1024);
	gives(num_size, "2kb", 2048);
	gives(num_size, "512M", 512ULL << 20);
	gives(num_size, "4G", 4ULL << 30);
	gives(num_size, "4GiB", 4ULL << 30);
	gives(num_size, "16777215T", 16777215ULL << 40);
	gives(num_size, "18446744073709551615", UINT64_MAX);
	refuses(num_size, "16777216T", "the size '16777216T' is too large");
	refuses(num_size, "18446744073709551616K", "the size '18446744073709551616K' is too large");
	NO_SIZE("");
	NO_SIZE("G");
	NO_SIZE("-1G");
	NO_SIZE("4 G");
	NO_SIZE("4.5G");
	NO_SIZE("4iB");
	NO_SIZE("4P");
	NO_SIZE("4GG");
}

#define NO_TIME(s) \
	refuses(num_duration, s, "'" s "' is not a time: digits and ms, s, m, h or d, as in 30s")
static void duration(void **state)
{
	(void)state;
	gives(num_duration, "0", 0);
	gives(num_duration, "30", 30000);
	gives(num_duration, "250ms", 250);
	gives(num_duration, "30s", 30000);
	gives(num_duration, "5m", 300000);
	gives(num_duration, "2h", 7200000);
	gives(num_duration, "1d", 86400000);
	gives(num_duration, "18446744073709551615ms", UINT64_MAX);
	refuses(num_duration, "18446744073709551615",
		"the time '18446744073709551615' is too long");
	refuses(num_duration, "213503982335d", "the time '213503982335d' is too long");
	gives(num_duration, "213503982334d", 213503982334ULL * 86400000);
	NO_TIME("");
	NO_TIME("s");
	NO_TIME("-1s");
	NO_TIME("1w");
	NO_TIME("1 s");
	NO_TIME("1m30s");
}

#define NO_CPUS(s) refuses(num_cpus, s, "'" s "' is not a number of CPUs, as in 2 or 0.5")
static void cpus(void **state)
{
	(void)state;
	gives(num_cpus, "2", 2000);
	gives(num_cpus, "0.5", 500);
	gives(num_cpus, "1.25", 1250);
	gives(num_cpus, "0.001", 1);
	gives(num_cpus, "100000", 100000000);
	refuses(num_cpus, "0", "'0' CPUs are too few: 0.001 at the least");
	refuses(num_cpus, "0.000", "'0.000' CPUs are too few: 0.001 at the least");
	refuses(num_cpus, "0.0001",
		"'0.0001' is too fine a number of CPUs: three decimals at most");
	refuses(num_cpus, "100001", "'100001' is more CPUs than any machine has");
	refuses(num_cpus, "99999999999999999999",
		"'99999999999999999999' is more CPUs than any machine has");
	NO_CPUS("");
	NO_CPUS(".5");
	NO_CPUS("1.");
	NO_CPUS("-1");
	NO_CPUS("1,5");
	NO_CPUS("1.5.5");
	NO_CPUS("nan");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u64),
		cmocka_unit_test(size),
		cmocka_unit_test(duration),
		cmocka_unit_test(cpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
