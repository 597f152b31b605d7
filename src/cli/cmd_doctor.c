#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/doctor.h"
#include "cli/out.h"

struct values {
	bool json;
};

static const struct opt opts[] = {
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

static int print_json(const struct check *v, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "name", out_json_string(v[i].name));
		json_object_set_new(o, "for", out_json_string(v[i].what));
		json_object_set_new(o, "needed", json_boolean(v[i].needed));
		json_object_set_new(o, "ok", json_boolean(v[i].ok));
		json_object_set_new(o, "found", out_json_string(v[i].found));
		json_object_set_new(o, "fix", out_json_string(v[i].fix));
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static int print_text(const struct check *v, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%-9s ", v[i].ok ? "ok" : v[i].needed ? "MISSING" : "optional");
		out_cell(&b, v[i].name, 16);
		if (v[i].found) {
			buf_adds(&b, " ");
			out_cell(&b, v[i].found, 0);
		}
		buf_adds(&b, "\n");
		if (v[i].ok)
			continue;
		buf_printf(&b, "          for: %s\n", v[i].what);
		if (v[i].fix) {
			buf_adds(&b, "          fix: ");
			out_cell(&b, v[i].fix, 0);
			buf_adds(&b, "\n");
		}
	}
	return out_write(&b, err);
}

static int doctor(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	struct check *checks;
	int status = 0;
	size_t n;

	if (doctor_look(cli->a, &checks, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (checks[i].needed && !checks[i].ok)
			status = 1;
	}
	if ((v->json ? print_json(checks, n, err) : print_text(checks, n, err)) < 0)
		return -1;
	return status;
}

const struct command *cmd_doctor(void)
{
	static const struct command row = {
		.table =
			{.name = "doctor",
			 .summary = "say what this machine lacks, and what mends it",
			 .details =
				 "Look at each thing that sbx needs of this machine, and print the command that mends\n"
				 "what is not right.  Exit status 0: all that is needed is there; 1: it is not.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = doctor,
	};

	return &row;
}
