#include "base/err.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/logins.h"
#include "store/authfile.h"

struct values {
	const char *authfile;
};

static const struct opt opts[] = {
	{"authfile", 0, "FILE", offsetof(struct values, authfile), "it is kept in FILE"},
	{0},
};

static int logout(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	const char *registry = cli->args.v[0];
	const struct auth nobody = {0};
	bool was_there = false;
	const char *file;

	if (logins_check_name(cli->a, registry, err) < 0 ||
	    authfile_own(cli->a, v->authfile, &file, err) < 0 ||
	    logins_set(cli->a, file, registry, &nobody, &was_there, err) < 0)
		return -1;
	if (!was_there) {
		err_set(err, "there is no login of '%s' in '%s'", registry, file);
		return err_hint(err,
				"--authfile FILE names another file; what 'docker login' keeps "
				"is removed by 'docker logout'");
	}
	log_info("removed the login of '%s' from '%s'", registry, file);
	return 0;
}

const struct command *cmd_logout(void)
{
	static const struct command row = {
		.table = {.name = "logout",
			  .args = "REGISTRY",
			  .summary = "forget the login to a registry",
			  .details = "Remove what `sbx login` kept.",
			  .opts = opts,
			  .min_args = 1,
			  .max_args = 1},
		.values_size = sizeof(struct values),
		.run = logout,
	};

	return &row;
}
