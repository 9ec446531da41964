/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify_probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "env/verify.h"
#include "env/verify_crash.h"

#define QUIET_MS 120000
#define ANSWER "registered: "

/* --- the child ---------------------------------------------------------- */

static int complain(const char *what)
{
	const char *why = dlerror();

	printf("%s: %s\n", what, why ? why : "no reason given");
	return 1;
}

/* A function of a library. C has no cast from object to function pointer: POSIX's way. */
static bool find(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);

	memcpy(ret_function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

int verify_probe_main(const char *base_dir, const char *module)
{
	CLEANUP(free) char *base = fs_join(base_dir, "libggml-base.so.0");
	void *(*init)(void);
	const char *(*name)(void *);
	void *library, *registered;

	/* The module needs it, and has no copy in its own folder. */
	library = dlopen(base, RTLD_NOW | RTLD_GLOBAL);
	if (!library || !find(library, "ggml_backend_reg_name", &name))
		return complain("loading the base");
	library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return complain("loading the module");
	if (!find(library, "ggml_backend_init", &init))
		return complain("the module is not one of llama.cpp");
	registered = init();
	if (!registered) {
		printf("the module refuses to start: no driver, or it was built for another "
		       "version of llama.cpp\n");
		return 1;
	}
	printf(ANSWER "%s\n", name(registered));
	return 0;
}

/* --- the parent --------------------------------------------------------- */

static bool judge(const struct env_run *run, int status, const char *output, struct err *e)
{
	const char *answer = strstr(output, ANSWER);

	if (status != 0) {
		CLEANUP(free) char *who = mem_printf("module '%s'", run->module);

		return verify_crash(who, status, output, e);
	}
	answer = answer ? answer + strlen(ANSWER) : "";
	if (strcmp(answer, run->backend->device_prefix) == 0)
		return true;
	(void)err_set(e, ERR_VERIFY, "module '%s' is one of '%s', not of %s", run->module, answer,
		      run->backend->title);
	return err_hint(e, "remove the environment and build it again");
}

bool verify_probe(const struct env_run *run, const char *self, bool (*cancelled)(void *), void *arg,
		  struct err *e)
{
	char tail[1024] = "";
	const char *const argv[] = {self, "probe-module", run->base_dir, run->module, NULL};
	struct proc_run probe = {
		.argv = argv,
		.env = strv_items(&run->environ),
		.cwd = run->base_dir,
		.quiet_ms = QUIET_MS,
		.cancelled = cancelled,
		.arg = arg,
		.tail = tail,
		.tail_size = sizeof(tail),
	};
	int status = 0;

	if (!proc_run(&probe, &status, e))
		return err_wrap(e, "loading module '%s'", run->module);
	while (tail[0] && tail[strlen(tail) - 1] == '\n')
		tail[strlen(tail) - 1] = '\0';
	return judge(run, status, tail, e);
}
