/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu_vulkan.h"
#include "backend/nvml.h"
#include "base/log.h"
#include "cli/cli.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/doctor_here.h"
#include "env/verify.h"

/* What stands before the command, or among serve's flags. */
struct line {
	const char *config_file;
	struct cli_options cli;
};

static int fail(const struct err *e)
{
	fprintf(stderr, "shunt: %s\n", e->msg);
	if (e->hint[0])
		fprintf(stderr, "  try: %s\n", e->hint);
	return err_exit_code(e->kind);
}

static bool set_log_level(const char *name, struct err *e)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0) {
			log_set_level((enum log_level)i);
			return true;
		}
	}
	return err_set(e, ERR_INVALID, "log_level '%s': expected error, warn, info or debug", name);
}

/* Where "--" stands, behind which nothing is ours: shunt chat tiny -- "--json means what?" */
static int options_end(int argc, char **argv)
{
	int end = 1;

	while (end < argc && strcmp(argv[end], "--") != 0)
		end++;
	return end;
}

/* Moves what begins at end, the NULL too, to kept. */
static void close_gap(int *argc, char **argv, int kept, int end)
{
	memmove(&argv[kept], &argv[end], (size_t)(*argc - end + 1) * sizeof(argv[0]));
	*argc -= end - kept;
}

/* "--key value" and "--key=value" of the configuration, wherever they stand; takes them out of
 * argv. */
static bool take_settings(struct config *c, int *argc, char **argv, struct err *e)
{
	int end = options_end(*argc, argv);
	int kept = 1;

	for (int i = 1; i < end; i++) {
		CLEANUP(free)
		char *name = strncmp(argv[i], "--", 2) == 0 ? mem_dup(argv[i] + 2) : NULL;
		char *equals = name ? strchr(name, '=') : NULL;

		if (equals)
			*equals++ = '\0';
		if (!name || !name[0] || !config_has(name)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!equals && i + 1 >= end)
			return err_set(e, ERR_INVALID, "--%s needs a value", name);
		if (!config_set(c, name, equals ? equals : argv[++i], e))
			return false;
	}
	close_gap(argc, argv, kept, end);
	return true;
}

/* --config F must be known before the settings are read. Takes the plain flags out of argv. */
static bool take_flags(struct line *l, int *argc, char **argv, struct err *e)
{
	int end = options_end(*argc, argv);
	int kept = 1;

	for (int i = 1; i < end; i++) {
		if (strcmp(argv[i], "--json") == 0)
			l->cli.json = true;
		else if (strcmp(argv[i], "--quiet") == 0)
			l->cli.quiet = true;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < end)
			l->config_file = argv[++i];
		else if (strncmp(argv[i], "--config=", 9) == 0)
			l->config_file = argv[i] + 9;
		else if (strcmp(argv[i], "--config") == 0)
			return err_set(e, ERR_INVALID, "--config needs a file");
		else
			argv[kept++] = argv[i];
	}
	close_gap(argc, argv, kept, end);
	return true;
}

static int show_config(const struct config *c)
{
	CLEANUP(buf_done) struct buf out = {0};

	config_show(c, &out);
	fputs(out.data, stdout);
	return 0;
}

static int serve(const struct config *c, int argc, char **argv)
{
	struct err e = {0};

	if (argc > 2) {
		(void)err_set(&e, ERR_INVALID, "serve: unknown argument '%s'", argv[2]);
		return fail(&e);
	}
	if (!set_log_level(c->log_level, &e) || !daemon_run(c, &e))
		return fail(&e);
	return 0;
}

/* What works with a broken configuration too. False: nothing of that kind. */
static bool answer_about_ourselves(int argc, char **argv, int *ret_status)
{
	*ret_status = 0;
	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
		cli_help();
		*ret_status = argc < 2 ? 2 : 0;
		return true;
	}
	if (strcmp(argv[1], "version") != 0 && strcmp(argv[1], "--version") != 0)
		return false;
	puts("shunt " SHUNT_VERSION);
	return true;
}

static int run(struct line *l, struct config *c, int argc, char **argv)
{
	int status = 0;

	l->cli.socket = c->socket;
	l->cli.setting = config_key;
	l->cli.doctor = doctor_here;
	l->cli.config = c;
	if (answer_about_ourselves(argc, argv, &status)) /* settings stood before the word */
		return status;
	if (strcmp(argv[1], "serve") == 0)
		return serve(c, argc, argv);
	if (strcmp(argv[1], "config") == 0 && argc == 3 && strcmp(argv[2], "show") == 0)
		return show_config(c);
	return cli_main(&l->cli, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	struct line l = {0};
	struct config c = {0};
	struct err e = {0};
	int status;

	if (argc == 4 && strcmp(argv[1], "probe-module") == 0)
		return verify_probe_main(argv[2], argv[3]);
	if (argc == 2 && strcmp(argv[1], "probe-nvml") == 0)
		return nvml_probe_main();
	if (argc == 2 && strcmp(argv[1], "probe-vulkan") == 0)
		return vulkan_probe_main();
	if (!take_flags(&l, &argc, argv, &e))
		return fail(&e);
	if (answer_about_ourselves(argc, argv, &status))
		return status;
	if (!config_load(l.config_file, &c, &e) || !take_settings(&c, &argc, argv, &e))
		status = fail(&e);
	else
		status = run(&l, &c, argc, argv);
	config_done(&c);
	return status;
}
