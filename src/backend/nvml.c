/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/probe.h"
#include "base/mem.h"

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

static bool refused(int n, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (refusals[i].code != n)
			continue;
		(void)err_set(e, ERR_UNAVAILABLE, "%s", refusals[i].why);
		return err_hint(e, "%s", refusals[i].remedy);
	}
	(void)err_set(e, ERR_UNAVAILABLE, "NVIDIA's driver refuses to start (NVML error %d)", n);
	return err_hint(e, "sudo dmesg | grep NVRM says why");
}

static const struct probe probe = {
	.word = "probe-nvml",
	.driver = "NVIDIA's driver",
	.library = "NVIDIA's library",
	.absent = "no NVIDIA driver: there is no libnvidia-ml.so.1",
	.absent_remedy = "install the NVIDIA driver: shunt doctor cuda",
	.again = "install the NVIDIA driver again: shunt doctor cuda",
	.hangs =
		"sudo nvidia-smi -pm 1 keeps slow ones awake; of one that hangs, sudo dmesg | grep "
		"NVRM says why, and a restart helps",
	.refused = refused,
};

/* --- what it says ------------------------------------------------------- */

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
	(void)snprintf(gpu->driver_version, sizeof(gpu->driver_version), "%s", g->nvidia_driver);
	if (count < 8)
		return;
	gpu->kind = GPU_DISCRETE;
	gpu->memory_bytes = probe_number(f[5]);
	gpu->used_bytes = probe_number(f[6]);
	gpu->free_bytes = probe_number(f[7]);
}

/* The two lists of a GPU may have the same process: the same memory. */
static void take_process(struct gpus *g, char *const *f)
{
	struct gpu_process p = {.pid = (pid_t)strtol(f[2], NULL, 10), .bytes = probe_number(f[3])};

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
	char *fields[8];
	size_t count = probe_fields(line, fields, ARRAY_LEN(fields));

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

bool nvml_read(const char *self, struct gpus *g, struct err *e)
{
	CLEANUP(free) char *output = NULL;

	if (!probe_ask(&probe, self, &output, e))
		return false;
	take_all(g, output);
	return true;
}
