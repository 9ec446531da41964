/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

enum { LIMIT_MS = 2000, OUTPUT_MAX = 256 * 1024 };

/* --- why not ------------------------------------------------------------ */

/* nvmlReturn_t of nvmlInit. */
static const struct {
	int code;
	const char *why, *remedy;
} refusals[] = {
	{4, "we may not use NVIDIA's driver",
	 "give this user read and write access to /dev/nvidia*, and a container its devices"},
	{9, "NVIDIA's library is here, but its kernel module is not loaded",
	 "sudo modprobe nvidia; if that fails: install the module for this kernel, sign it where "
	 "secure boot is on, or give the container the GPU"},
	{15, "NVIDIA's driver has lost a GPU",
	 "restart the machine; sudo dmesg | grep NVRM says why"},
	{18, "NVIDIA's library and its kernel module are of two versions",
	 "restart the machine, which loads the new module; in a container: the library of the "
	 "host's driver"},
	{-1, "NVIDIA's library is too old to be asked", "install a driver of 2013 or later"},
};

static bool refused(const char *output, struct err *e)
{
	const char *code = strstr(output, "refused\t");
	int n = code ? (int)strtol(code + strlen("refused\t"), NULL, 10) : 0;

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (refusals[i].code != n)
			continue;
		(void)err_set(e, ERR_UNAVAILABLE, "%s", refusals[i].why);
		return err_hint(e, "%s", refusals[i].remedy);
	}
	(void)err_set(e, ERR_UNAVAILABLE, "NVIDIA's driver refuses to start (NVML error %d)", n);
	return err_hint(e, "sudo dmesg | grep NVRM says why");
}

static bool absent(const char *output, struct err *e)
{
	/* dlopen's words for one that is not there; any other is a broken one */
	if (!strstr(output, "No such file or directory")) {
		(void)err_set(e, ERR_UNAVAILABLE, "NVIDIA's library cannot be loaded: %.200s",
			      output);
		return err_hint(e, "install the NVIDIA driver again: shunt doctor cuda");
	}
	(void)err_set(e, ERR_NOT_FOUND, "no NVIDIA driver: there is no libnvidia-ml.so.1");
	return err_hint(e, "install the NVIDIA driver: shunt doctor cuda");
}

static bool hangs(struct err *e)
{
	(void)err_set(e, ERR_UNAVAILABLE, "NVIDIA's driver did not answer within %d s",
		      LIMIT_MS / 1000);
	return err_hint(e, "sudo nvidia-smi -pm 1 keeps slow ones awake; of one that hangs, sudo "
			   "dmesg | grep NVRM says why, and a restart helps");
}

static bool judge(int status, const char *output, struct err *e)
{
	char text[128];

	if (WIFEXITED(status) && WEXITSTATUS(status) == NVML_PROBE_NO_LIBRARY)
		return absent(output, e);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NVML_PROBE_REFUSED)
		return refused(output, e);
	(void)err_set(e, ERR_UNAVAILABLE, "asking NVIDIA's driver ended with %s",
		      proc_status_text(status, text, sizeof(text)));
	return err_hint(e, "install the NVIDIA driver again: shunt doctor cuda");
}

/* --- what it says ------------------------------------------------------- */

static int64_t bytes(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	return end == text || n < 0 ? -1 : (int64_t)n;
}

static void copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from);
}

static struct gpu *at_address(struct gpus *g, const char *pci)
{
	for (size_t i = 0; i < g->count; i++)
		if (pci[0] && strcmp(g->list[i].pci, pci) == 0)
			return &g->list[i];
	return gpus_add(g);
}

/* uuid, PCI address, compute capability, name, and of its own memory total, used, free */
static void take_gpu(struct gpus *g, char *const *f, size_t count)
{
	struct gpu *gpu = at_address(g, f[2]);

	gpu->vendor = "nvidia";
	copy(gpu->driver, sizeof(gpu->driver), "nvidia");
	copy(gpu->uuid, sizeof(gpu->uuid), f[1]);
	copy(gpu->pci, sizeof(gpu->pci), f[2]);
	copy(gpu->capability, sizeof(gpu->capability), f[3]);
	copy(gpu->name, sizeof(gpu->name), f[4]);
	if (count < 8)
		return;
	gpu->kind = GPU_DISCRETE;
	gpu->memory_bytes = bytes(f[5]);
	gpu->used_bytes = bytes(f[6]);
	gpu->free_bytes = bytes(f[7]);
}

/* The two lists of a GPU may have the same process: the same memory. */
static void take_process(struct gpus *g, char *const *f)
{
	struct gpu_process p = {.pid = (pid_t)strtol(f[2], NULL, 10), .bytes = bytes(f[3])};

	copy(p.uuid, sizeof(p.uuid), f[1]);
	for (size_t i = 0; i < g->process_count; i++)
		if (g->processes[i].pid == p.pid && strcmp(g->processes[i].uuid, p.uuid) == 0)
			return;
	if (p.bytes < 0)
		return;
	g->processes = mem_grow(g->processes, g->process_count + 1, sizeof(*g->processes));
	g->processes[g->process_count++] = p;
}

static void take_line(struct gpus *g, char *line)
{
	char *fields[8] = {line}, *rest = line;
	size_t count = 0;

	while (rest && count < ARRAY_LEN(fields))
		fields[count++] = strsep(&rest, "\t");
	if (strcmp(fields[0], "driver") == 0 && count == 2)
		copy(g->nvidia_driver, sizeof(g->nvidia_driver), fields[1]);
	else if (strcmp(fields[0], "cuda") == 0 && count == 2)
		copy(g->nvidia_cuda, sizeof(g->nvidia_cuda), fields[1]);
	else if (strcmp(fields[0], "gpu") == 0 && count >= 5)
		take_gpu(g, fields, count);
	else if (strcmp(fields[0], "process") == 0 && count == 4)
		take_process(g, fields);
}

static void take_all(struct gpus *g, char *text)
{
	while (text)
		take_line(g, strsep(&text, "\n"));
}

/* --- the child ---------------------------------------------------------- */

struct reader {
	struct buf output;
	int64_t deadline_ms;
};

static void add_line(void *arg, const char *line)
{
	struct reader *r = arg;

	if (r->output.len < OUTPUT_MAX)
		buf_printf(&r->output, "%s\n", line);
}

static bool too_late(void *arg)
{
	const struct reader *r = arg;

	return clock_ms() > r->deadline_ms;
}

/* The library may lie where only LD_LIBRARY_PATH says (NixOS, some containers). */
static void child_env(struct strv *env)
{
	const char *path = getenv("LD_LIBRARY_PATH");

	proc_clean_env(env);
	if (path)
		strv_printf(env, "LD_LIBRARY_PATH=%s", path);
}

bool nvml_read(const char *self, struct gpus *g, struct err *e)
{
	const char *const argv[] = {self, "probe-nvml", NULL};
	struct reader r = {.deadline_ms = clock_ms() + LIMIT_MS};
	CLEANUP(strv_done) struct strv env = {0};
	CLEANUP(free) char *output = NULL;
	struct proc_run run = {.argv = argv, .on_line = add_line, .cancelled = too_late, .arg = &r};
	struct err why = {0};
	int status = 0;
	bool ok;

	child_env(&env);
	run.env = strv_items(&env);
	ok = proc_run(&run, &status, &why);
	output = buf_steal(&r.output);
	if (!ok && why.kind == ERR_CANCELLED)
		return hangs(e);
	if (!ok)
		return err_set(e, why.kind, "asking NVIDIA's driver: %s", why.msg);
	if (status != 0)
		return judge(status, output, e);
	take_all(g, output);
	return true;
}
