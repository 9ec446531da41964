/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify_crash.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/proc.h"

/* What the output betrays, the surest sign first. */
static const struct sign {
	const char *text, *meaning, *hint;
} signs[] = {
	{"error while loading shared libraries", "a shared library is missing",
	 "install the library that the message names; shunt doctor lists what a backend needs"},
	{"libcuda.so.1: cannot open", "no CUDA device: NVIDIA's driver is not here",
	 "shunt doctor cuda names what is missing; what was built stays, and is verified when it "
	 "works"},
	{"ErrorDeviceLost", "the driver lost the device",
	 "look at the kernel's log (dmesg); a newer driver may help"},
	{"an illegal memory access", "the device met an illegal memory access",
	 "look at the kernel's log (dmesg); a newer driver may help"},
	{"no kernel image is available", "the build has no code for this device",
	 "build it for this device's architecture"},
	{"driver version is insufficient", "the driver is older than the toolkit of the build",
	 "install a newer driver, or build with an older toolkit"},
	{"ErrorIncompatibleDriver", "no usable driver", "install the driver of the device"},
	{"invalid device", "it does not know the device", "shunt doctor lists the devices"},
};

static const struct death {
	int signal;
	const char *meaning, *hint;
} deaths[] = {
	{SIGILL, "an instruction that this CPU does not have: it was built for another CPU",
	 "build it again on this machine"},
	{SIGKILL, "the kernel ended it: out of memory?",
	 "free some memory and try again; dmesg tells whether memory ran out"},
	{SIGSEGV, "it crashed, often in a driver", "a newer driver may help"},
	{SIGBUS, "it crashed: a file was cut short, or a disk or memory failed",
	 "look at the kernel's log (dmesg)"},
	{SIGABRT, "it gave up on an error of its own", NULL},
};

static const char *const memory_signs[] = {
	"out of memory",          "OutOfDeviceMemory",      "OutOfHostMemory",
	"failed to allocate",     "unable to allocate",     "std::bad_alloc",
	"cannot allocate memory", "Cannot allocate memory",
};

bool verify_out_of_memory(const char *output)
{
	for (size_t i = 0; i < ARRAY_LEN(memory_signs); i++) {
		if (strstr(output, memory_signs[i]))
			return true;
	}
	return false;
}

static void explain(int status, const char *output, const char **meaning, const char **hint)
{
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (!*meaning && strstr(output, signs[i].text)) {
			*meaning = signs[i].meaning;
			*hint = signs[i].hint;
		}
	}
	if (!*meaning && verify_out_of_memory(output)) {
		*meaning = "memory ran out";
		*hint = "free some memory of the device and try again";
	}
	for (size_t i = 0; i < ARRAY_LEN(deaths) && WIFSIGNALED(status) && !*meaning; i++) {
		if (deaths[i].signal == WTERMSIG(status)) {
			*meaning = deaths[i].meaning;
			*hint = deaths[i].hint;
		}
	}
	if (!*meaning && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		*meaning = "the program or a library of it is missing";
}

/* The end of the output that fits into a message, from the start of a line where there is one. */
static const char *message_end(const char *output)
{
	enum { ROOM = 220 };
	size_t len = strlen(output);
	const char *from = len > ROOM ? output + len - ROOM : output;
	const char *line = strchr(from, '\n');

	return len > ROOM && line && line[1] ? line + 1 : from;
}

bool verify_crash(const char *who, int status, const char *output, struct err *e)
{
	const char *meaning = NULL, *hint = NULL, *end = message_end(output);
	char how[96];

	if (WIFSIGNALED(status)) /* its own words for it stand in the table */
		(void)snprintf(how, sizeof(how), "killed by SIG%s",
			       sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status))
							      : "?");
	else
		(void)proc_status_text(status, how, sizeof(how));
	explain(status, output, &meaning, &hint);
	(void)err_set(e, ERR_VERIFY, "%s: %s%s%s%s%s", who, how, meaning ? ": " : "",
		      meaning ? meaning : "", end[0] ? ": " : "", end);
	if (hint && e)
		(void)err_hint(e, "%s", hint);
	return false;
}
