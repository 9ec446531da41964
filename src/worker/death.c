/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/death.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"

/* Of a line of output in a message, which has other things to hold. */
#define LINE_SHOWN 160

enum remedy { DOCTOR, MEMORY, MODEL_FILE, OPTION, REBUILD, AGAIN, LOGS };

struct cause {
	const char *text; /* what its output contains */
	const char *meaning;
	enum remedy remedy;
};

/* The first that fits. Memory before "failed to load model", which follows it. */
/* clang-format off */
static const struct cause causes[] = {
	{"error while loading shared libraries", "a library is missing",               DOCTOR},
	{"RuntimeError: llama_cpp in environment", "the device is not there",          DOCTOR},
	{"ModuleNotFoundError",                  "a Python package is missing",        LOGS},
	{"undefined symbol",                     "a library does not fit",             REBUILD},
	{"invalid device",                       "the device is not there",            DOCTOR},
	{"ErrorOutOfDeviceMemory",               "out of memory",                      MEMORY},
	{"ErrorOutOfHostMemory",                 "out of memory",                      MEMORY},
	{"out of memory",                        "out of memory",                      MEMORY},
	{"insufficient memory",                  "out of memory",                      MEMORY},
	{"unable to allocate",                   "out of memory",                      MEMORY},
	{"failed to allocate",                   "out of memory",                      MEMORY},
	{"std::bad_alloc",                       "out of memory",                      MEMORY},
	{"ErrorDeviceLost",                      "the driver lost the device",         AGAIN},
	{"DeviceLostError",                      "the driver lost the device",         AGAIN},
	{"CUDA error",                           "the driver reported an error",       AGAIN},
	{"ROCm error",                           "the driver reported an error",       AGAIN},
	{"couldn't bind HTTP server socket",     "its socket could not be made",       LOGS},
	{"invalid argument:",                    "the engine refused an option",       OPTION},
	{"error while handling argument",        "the engine refused an option",       OPTION},
	{"failed to open GGUF file",             "the model file cannot be read",      MODEL_FILE},
	{"invalid magic characters",             "the model file is not a GGUF",       MODEL_FILE},
	{"error loading model",                  "the model cannot be loaded",         MODEL_FILE},
	{"GGML_ASSERT",                          "the engine found a fault in itself", LOGS},
	{"failed to load model",                 "the model cannot be loaded",         MODEL_FILE},
};

/* When the output says nothing, or whatever it says. */
static const struct {
	int signal;
	bool always;
	const char *meaning;
	enum remedy remedy;
} signals[] = {
	{SIGILL,  true,  "illegal instruction: built for another CPU",             REBUILD},
	{SIGKILL, true,  "killed, most likely by the kernel for want of memory",   MEMORY},
	{SIGBUS,  false, "its model file was cut short meanwhile, or the disk fails", MODEL_FILE},
	{SIGSEGV, false, "it crashed",                                             LOGS},
	{SIGABRT, false, "it gave up",                                             LOGS},
};
/* clang-format on */

static void advise(const struct death *d, enum remedy remedy, struct err *ret)
{
	switch (remedy) {
	case DOCTOR:
		(void)err_hint(ret, "shunt doctor %s", d->backend);
		break;
	case MEMORY:
		(void)err_hint(ret, "unload another model, or: shunt set %s n_ctx=2048", d->model);
		break;
	case MODEL_FILE:
		(void)err_hint(ret, "check the file: shunt rm %s, then add it again", d->model);
		break;
	case OPTION:
		(void)err_hint(ret, "shunt set %s KEY=VALUE", d->model);
		break;
	case REBUILD:
		(void)err_hint(ret, "build it on this machine: shunt env rebuild");
		break;
	case AGAIN:
		(void)err_hint(ret, "load it again; if it comes back: dmesg, shunt doctor %s",
			       d->backend);
		break;
	case LOGS:
		(void)err_hint(ret, "shunt logs %s", d->model);
		break;
	}
}

/* Past the time in "0.00.006.153 E gguf_init…"; *ret_level is 'E', 'W', 'I', or 0 without a time.
 */
static const char *past_time(const char *line, char *ret_level)
{
	size_t len = strspn(line, "0123456789.");

	*ret_level = 0;
	if (len < 8 || line[len] != ' ' || line[len + 1] == '\0' || line[len + 2] != ' ')
		return line;
	*ret_level = line[len + 1];
	return line + len + 3;
}

static const char *line_start(const char *text, const char *at)
{
	while (at > text && at[-1] != '\n')
		at--;
	return at;
}

/* The last line that is more than information; NULL when there is none. */
static const char *last_words(const char *text)
{
	const char *end = text + strlen(text);
	char level;

	while (end > text) {
		const char *start = line_start(text, end - 1);

		(void)past_time(start, &level);
		if (*start != '\n' && level != 'I')
			return start;
		end = start;
	}
	return NULL;
}

static char *status_name(int status)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (name)
		return mem_printf("SIG%s", name);
	return WIFSIGNALED(status) ? mem_printf("signal %d", WTERMSIG(status))
				   : mem_printf("exit status %d", WEXITSTATUS(status));
}

static void say(const struct death *d, const char *meaning, const char *at, struct err *ret)
{
	CLEANUP(free) char *how = status_name(d->status);
	char level;
	const char *line = at ? past_time(line_start(d->output, at), &level) : "";
	size_t len = strcspn(line, "\n");
	bool memory = strcmp(meaning, "out of memory") == 0;
	const char *device = strcmp(d->device, "none") == 0 ? "the CPU" : d->device;

	(void)err_set(ret, memory ? ERR_NO_SPACE : ERR_WORKER, "%s%s%s (%s)%s%.*s", meaning,
		      memory ? " on " : "", memory ? device : "", how, len > 0 ? ": " : "",
		      (int)(len < LINE_SHOWN ? len : LINE_SHOWN), line);
}

static bool by_signal(const struct death *d, bool always, struct err *ret)
{
	for (size_t i = 0; WIFSIGNALED(d->status) && i < ARRAY_LEN(signals); i++) {
		if (signals[i].signal != WTERMSIG(d->status) || (always && !signals[i].always))
			continue;
		say(d, signals[i].meaning, last_words(d->output), ret);
		advise(d, signals[i].remedy, ret);
		return true;
	}
	return false;
}

static bool by_output(const struct death *d, struct err *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		const char *at = strstr(d->output, causes[i].text);

		if (!at)
			continue;
		say(d, causes[i].meaning, at, ret);
		advise(d, causes[i].remedy, ret);
		return true;
	}
	return false;
}

void death_explain(const struct death *d, struct err *ret)
{
	if (by_signal(d, true, ret) || by_output(d, ret) || by_signal(d, false, ret))
		return;
	say(d, "it ended by itself", last_words(d->output), ret);
	advise(d, LOGS, ret);
}
