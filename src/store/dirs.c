#include "store/dirs.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/path.h"

int dirs_home(struct arena *a, const char **ret, struct err *err)
{
	const char *home = getenv("HOME");
	const char *clean;

	if (!home || home[0] == '\0') {
		_cleanup_file_ FILE *f = names_ask("passwd", getuid());
		const struct passwd *pw = f ? fgetpwent(f) : NULL;

		if (!pw) {
			err_set(err,
				"cannot tell your home folder: HOME is not set and user %u has "
				"no entry in the password file",
				(unsigned)getuid());
			return err_hint(err, "set HOME to an absolute path");
		}
		home = pw->pw_dir;
	}
	clean = path_clean(a, home);
	if (!clean) {
		err_set(err, "cannot use the home folder '%s': it is not an absolute path", home);
		return err_hint(err, "set HOME to an absolute path");
	}
	*ret = clean;
	return 0;
}

static int xdg_dir(struct arena *a, const char *variable, const char *below_home, const char **ret,
		   struct err *err)
{
	const char *value = getenv(variable);
	const char *home = NULL;

	if (value && value[0] == '/') {
		*ret = path_clean(a, value);
		return 0;
	}
	if (dirs_home(a, &home, err) < 0)
		return -1;
	*ret = path_join(a, home, below_home);
	return 0;
}

int dirs_data(struct arena *a, const char **ret, struct err *err)
{
	return xdg_dir(a, "XDG_DATA_HOME", ".local/share", ret, err);
}

int dirs_config(struct arena *a, const char **ret, struct err *err)
{
	return xdg_dir(a, "XDG_CONFIG_HOME", ".config", ret, err);
}
