#include "cli/beside.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"

const char *beside_find(struct arena *a, const char *folder, const char *name)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';

	char *slash = strrchr(exe, '/');

	if (!slash)
		return NULL;
	*slash = '\0';

	/* Installed: bin/sbx and libexec/sbx/sudo.  In the build folder: src/cli/sbx and src/run/sudo. */
	const char *const places[] = {
		arena_printf(a, "%s/../libexec/sbx/%s", exe, name),
		arena_printf(a, "%s/../%s/%s", exe, folder, name),
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (access(places[i], X_OK) == 0)
			return path_clean(a, places[i]);
	}
	log_debug("no '%s' beside '%s'", name, exe);
	return NULL;
}
