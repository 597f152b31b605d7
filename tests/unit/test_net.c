/* The network namespace of a sandbox; slirp4netns with a real one in tests/cli, a script here. */
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "plan/plan.h"
#include "run/net.h"
#include "run/service.h"
#include "run_world.h"

static bool lo_is_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo"};

	return fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP;
}

static int prepare(const struct world *w)
{
	const struct plan plan = {.rung = RUNG_SINGLE};

	(void)w;
	if (unshare(CLONE_NEWNET) < 0)
		return NOT_HAD;
	REQUIRE(!lo_is_up());
	REQUIRE(has_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n"));
	net_prepare(&plan);
	REQUIRE(lo_is_up());
	REQUIRE(has_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n"));
	/* The one group that there is. */
	REQUIRE(has_text("/proc/sys/net/ipv4/ping_group_range", "0\t0\n"));
	REQUIRE(access("/proc/sys/net/unix/max_dgram_qlen", W_OK) < 0 ||
		has_text("/proc/sys/net/unix/max_dgram_qlen", "2147483647\n"));
	return 0;
}

static void lo_is_up_and_low_ports_are_free(void **state)
{
	in_namespace(*state, prepare);
}

/* It tells its arguments and the namespace it was given, says that the network is up, and waits. */
static const char stand_in[] = "echo \"$@\" >\"$0.args\"\n"
			       "readlink \"/proc/$$/fd/${9##*/}\" >\"$0.ns\"\n"
			       "echo 1 >\"/proc/$$/fd/$8\"\n"
			       "exec sleep 1000\n";

static int start_slirp(const struct world *w)
{
	const char *program = world_script(w, "slirp", stand_in);
	const struct plan plan = {.slirp4netns = program};
	struct service slirp = SERVICE_NONE;
	_cleanup_buf_ struct buf args = {0};
	char ns[64] = "";
	char said[16];
	struct err err = {0};
	int ready = -1;
	int status;

	REQUIRE(program != NULL);
	REQUIRE_DONE(net_start_slirp(&plan, getpid(), &slirp, &ready, &err));
	REQUIRE(readable(ready) && read(ready, said, sizeof(said)) > 0 && said[0] == '1');
	REQUIRE_DONE(fs_read_at(AT_FDCWD, "slirp.args", 4096, &args, &err));
	REQUIRE(str_starts(args.p, "--configure --mtu=65520 --disable-host-loopback "
				   "--enable-sandbox --enable-seccomp --netns-type=path "
				   "--ready-fd "));
	REQUIRE(strstr(args.p, " /proc/self/fd/") && str_ends(args.p, " tap0\n"));
	REQUIRE(readlink("/proc/self/ns/net", ns, sizeof(ns) - 2) > 0);
	REQUIRE(has_text("slirp.ns", strcat(ns, "\n")));
	REQUIRE(kill(slirp.pid, SIGKILL) == 0);
	REQUIRE_DONE(proc_wait(slirp.pid, &status, &err));
	/* It held the other end alone. */
	REQUIRE(readable(ready) && read(ready, said, 1) == 0);
	service_done(&slirp);
	(void)close(ready);
	return 0;
}

static void slirp4netns_is_told_where_and_says_when(void **state)
{
	in_namespace(*state, start_slirp);
}

/* It tells its arguments, and writes its pid file as the last thing. */
static const char pasta_stand_in[] = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-\n"
				     "echo \"$@\" >\"$0.args\"\n"
				     "while [ \"$1\" != --pid ]; do shift; done\n"
				     "readlink \"/proc/$$/fd/${4##*/}\" >\"$0.ns\"\n"
				     "echo $$ >\"$2\"\n"
				     "exec sleep 1000\n";

static int start_pasta(const struct world *w)
{
	const struct plan plan = {.pasta = world_script(w, "pasta.sh", pasta_stand_in),
				  .env_dir = w->dir};
	_cleanup_fd_ int run = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct service pasta = SERVICE_NONE;
	_cleanup_buf_ struct buf args = {0};
	char ns[64] = "";
	char said[16];
	struct err err = {0};
	int ready = -1;
	int status;

	REQUIRE(plan.pasta != NULL && run >= 0);
	REQUIRE_DONE(net_start_pasta(&plan, getpid(), run, &pasta, &ready, &err));
	REQUIRE(readable(ready) && read(ready, said, sizeof(said)) > 0);
	REQUIRE_DONE(fs_read_at(AT_FDCWD, "pasta.sh.args", 4096, &args, &err));
	REQUIRE(str_starts(args.p, "--foreground --stderr --quiet --config-net --netns-only "
				   "--no-netns-quit --no-map-gw --tcp-ports=none --udp-ports=none "
				   "--tcp-ns=none --udp-ns=none --dns-forward=169.254.1.1 "));
	REQUIRE(readlink("/proc/self/ns/net", ns, sizeof(ns) - 2) > 0);
	REQUIRE(has_text("pasta.sh.ns", strcat(ns, "\n")));
	REQUIRE(kill(pasta.pid, SIGKILL) == 0);
	REQUIRE_DONE(proc_wait(pasta.pid, &status, &err));
	service_done(&pasta);
	(void)close(ready);
	return 0;
}

static void pasta_is_told_where_and_says_when(void **state)
{
	in_namespace(*state, start_pasta);
}

static void a_namespace_that_is_gone_is_told(void **state)
{
	const struct plan plan = {.slirp4netns = "/bin/true"};
	struct service slirp = SERVICE_NONE;
	struct err err = {0};
	int ready = -1;

	(void)state;
	assert_int_equal(net_start_slirp(&plan, 0, &slirp, &ready, &err), -1);
	assert_string_equal(err.msg,
			    "cannot open the network namespace: No such file or directory");
	assert_int_equal(ready, -1);
	assert_int_equal(slirp.pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lo_is_up_and_low_ports_are_free),
		TEST(slirp4netns_is_told_where_and_says_when),
		TEST(pasta_is_told_where_and_says_when),
		TEST(a_namespace_that_is_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
