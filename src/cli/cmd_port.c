#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/ports_show.h"
#include "cli/ports_taken.h"
#include "conf/port.h"
#include "run/ports.h"

struct values {
	struct where where;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

static int parse(struct arena *a, const char *word, unsigned flags, struct port *ret,
		 struct err *err)
{
	struct port_value v;

	if (port_parse(a, word, flags, &v, err) < 0) {
		if (err->kind == ERR_FAILED)
			err->kind = ERR_USAGE;
		return -1;
	}
	*ret = ports_of(&v);
	/* To remove one its number is enough. */
	if (!(flags & PORT_ANY) && !v.address)
		ret->address[0] = '\0';
	return 0;
}

static int no_sandbox(struct err *err)
{
	if (err->errnum != ENOENT || err->hint[0])
		return -1;
	return err_hint(err,
			"`sbx enter` starts it; with `ports` under [network] in sbx.ini a port is "
			"published from the start");
}

static int change_one(struct arena *a, const struct workplace *w, bool add, struct port *port,
		      struct err *err)
{
	if (!add)
		return ports_remove(&w->env, port, port, err);
	if (ports_add(&w->env, port, port, err) < 0)
		return ports_taken_explain(a, &w->store, &w->env, port, err);
	return 0;
}

/* Each word in turn: what was done before one that fails, stays. */
static int change(const struct cli *cli, const struct values *v, const struct workplace *w,
		  struct err *err)
{
	const bool add = str_eq(cli->args.v[0], "add");
	const size_t n = cli->args.n - 1;
	struct port *ports = arena_alloc(cli->a, n * sizeof(*ports));
	_cleanup_buf_ struct buf b = {0};
	size_t done = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if (parse(cli->a, cli->args.v[i + 1], add ? PORT_ANY : 0, &ports[i], err) < 0)
			return -1;
	for (; done < n && r == 0; done += r == 0)
		r = change_one(cli->a, w, add, &ports[done], err);
	/* Of more than one, those before the one that failed are told too. */
	if (add && v->json && (r == 0 || done > 0) &&
	    out_json(ports_json(ports, done), r < 0 ? NULL : err) < 0)
		return -1;
	if (add && !v->json)
		for (size_t i = 0; i < done; i++)
			buf_printf(&b, "%s\n", ports_name(cli->a, &ports[i]));
	if (b.len > 0 && out_write(&b, r < 0 ? NULL : err) < 0)
		return -1;
	return r < 0 ? no_sandbox(err) : 0;
}

static int list(const struct cli *cli, const struct values *v, const struct workplace *w,
		struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct port *ports;
	size_t n;

	if (ports_list(cli->a, &w->env, &ports, &n, err) < 0)
		return no_sandbox(err);
	if (v->json)
		return out_json(ports_json(ports, n), err);
	if (n == 0) {
		log_info("no port is published; sbx port add PORT publishes one");
		return 0;
	}
	buf_printf(&b, "%-24s %-8s %-12s %-8s %s\n", "HOST", "INSIDE", "CONNECTIONS", "FROM",
		   "STATE");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%-24s %-8u %-12u %-8s ", ports_name(cli->a, &ports[i]),
			   (unsigned)ports[i].inside, (unsigned)ports[i].connections,
			   ports[i].from_profile ? "profile" : "add");
		out_cell(&b, ports_taken_state(cli->a, &w->store, &w->env, &ports[i]), 0);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

static int check_words(const struct cli *cli, struct err *err)
{
	static const char *const words[] = {"add", "rm", "list", "remove", NULL};
	const char *word = cli->args.v[0];

	if (opt_word("port", word, words, err) < 0)
		return -1;
	if (str_eq(word, "list") && cli->args.n > 1)
		return err_kind(err, ERR_USAGE, "'sbx port list' has no use for the argument '%s'",
				cli->args.v[1]);
	if (!str_eq(word, "list") && cli->args.n < 2) {
		(void)err_kind(err, ERR_USAGE, "'sbx port %s' needs a port", word);
		return err_hint(err, "sbx port %s 8888", word);
	}
	return 0;
}

static int port(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;

	if (check_words(cli, err) < 0 || open_project(cli->a, &v->where, &w, err) < 0 ||
	    open_env(cli->a, &w, err) < 0)
		return -1;
	if (str_eq(cli->args.v[0], "list"))
		return list(cli, v, &w, err);
	return change(cli, v, &w, err);
}

const struct command *cmd_port(void)
{
	static const struct command row = {
		.table =
			{.name = "port",
			 .args = "add PORT ... | rm PORT ... | list",
			 .summary = "publish ports of the running sandbox on the host",
			 .details =
				 "add     publish ports while the sandbox runs, and print where:\n"
				 "        [ADDRESS:]PORT[:PORT-INSIDE][/udp], at 127.0.0.1 unless an address is\n"
				 "        given; port 0 is any that is free\n"
				 "rm      publish them no longer (or remove); connections that are open go on\n"
				 "list    what is published, by `ports` in sbx.ini and by `add`",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = OPT_ANY_ARGS},
		.values_size = sizeof(struct values),
		.run = port,
	};

	return &row;
}
