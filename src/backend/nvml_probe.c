/* SPDX-License-Identifier: Apache-2.0 */
/* The child that asks NVML. Its types are those of nvml.h, which is not needed to build us. */

#include <stdio.h>

#include "backend/nvml.h"
#include "backend/probe.h"

#define LIBRARY "libnvidia-ml.so.1"
enum { PROCESSES_MAX = 1024 };

typedef int answer; /* nvmlReturn_t */

struct pci_info {
	char bus_id_legacy[16];
	unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
	char bus_id[32];
};
struct memory {
	unsigned long long total, free, used;
};
struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};
typedef answer processes_fn(void *device, unsigned *count, struct process *list);

struct nvml {
	answer (*init)(void);
	answer (*shutdown)(void);
	answer (*driver)(char *text, unsigned size);
	answer (*cuda)(int *version);
	answer (*count)(unsigned *count);
	answer (*handle)(unsigned index, void **device);
	answer (*name)(void *device, char *text, unsigned size);
	answer (*uuid)(void *device, char *text, unsigned size);
	answer (*pci)(void *device, struct pci_info *info);
	answer (*capability)(void *device, int *major, int *minor);
	answer (*memory)(void *device, struct memory *memory);
	processes_fn *compute, *graphics;
};

static const struct probe_function functions[] = {
	{offsetof(struct nvml, init), "nvmlInit_v2", NULL},
	{offsetof(struct nvml, shutdown), "nvmlShutdown", NULL},
	{offsetof(struct nvml, driver), "nvmlSystemGetDriverVersion", NULL},
	{offsetof(struct nvml, cuda), "nvmlSystemGetCudaDriverVersion_v2",
	 "nvmlSystemGetCudaDriverVersion"},
	{offsetof(struct nvml, count), "nvmlDeviceGetCount_v2", NULL},
	{offsetof(struct nvml, handle), "nvmlDeviceGetHandleByIndex_v2", NULL},
	{offsetof(struct nvml, name), "nvmlDeviceGetName", NULL},
	{offsetof(struct nvml, uuid), "nvmlDeviceGetUUID", NULL},
	{offsetof(struct nvml, pci), "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2"},
	{offsetof(struct nvml, capability), "nvmlDeviceGetCudaComputeCapability", NULL},
	{offsetof(struct nvml, memory), "nvmlDeviceGetMemoryInfo", NULL},
	{offsetof(struct nvml, compute), "nvmlDeviceGetComputeRunningProcesses_v3",
	 "nvmlDeviceGetComputeRunningProcesses_v2"},
	{offsetof(struct nvml, graphics), "nvmlDeviceGetGraphicsRunningProcesses_v3",
	 "nvmlDeviceGetGraphicsRunningProcesses_v2"},
};

/* Calls what an old library may not have; true: it answered. */
#define ASK(fn, ...) ((fn) && (fn)(__VA_ARGS__) == 0)

static void print_processes(processes_fn *ask, void *device, const char *uuid)
{
	static struct process list[PROCESSES_MAX];
	unsigned count = PROCESSES_MAX;

	if (!ASK(ask, device, &count, list))
		return;
	for (unsigned i = 0; i < count && i < PROCESSES_MAX; i++)
		if (list[i].used != ~0ULL) /* Windows' driver (WSL) does not know */
			printf("process\t%s\t%u\t%llu\n", uuid, list[i].pid, list[i].used);
}

static void print_gpu(const struct nvml *n, void *device)
{
	char name[96] = "", uuid[96] = "", pci[32] = "", capability[32] = "";
	struct pci_info info = {0};
	struct memory m = {0};
	int major = 0, minor = 0;

	(void)ASK(n->name, device, name, sizeof(name));
	(void)ASK(n->uuid, device, uuid, sizeof(uuid));
	if (ASK(n->pci, device, &info)) /* a GPU is always a card's function 0 */
		(void)snprintf(pci, sizeof(pci), "%04x:%02x:%02x.0", info.domain, info.bus,
			       info.device);
	if (ASK(n->capability, device, &major, &minor))
		(void)snprintf(capability, sizeof(capability), "%d.%d", major, minor);
	printf("gpu\t%s\t%s\t%s\t%s", uuid, pci, capability, name);
	if (ASK(n->memory, device, &m)) /* one that has none of its own can't say */
		printf("\t%llu\t%llu\t%llu", m.total, m.used, m.free);
	puts("");
	/* One that computes in Vulkan is in the second list, or in both. */
	print_processes(n->compute, device, uuid);
	print_processes(n->graphics, device, uuid);
}

static void print_all(const struct nvml *n)
{
	char driver[96];
	int cuda = 0;
	unsigned count = 0;
	void *device;

	if (ASK(n->driver, driver, sizeof(driver)))
		printf("driver\t%s\n", driver);
	if (ASK(n->cuda, &cuda))
		printf("cuda\t%d.%d\n", cuda / 1000, cuda % 1000 / 10);
	if (!ASK(n->count, &count))
		return;
	for (unsigned i = 0; i < count; i++)
		if (ASK(n->handle, i, &device))
			print_gpu(n, device);
}

int nvml_probe_main(void)
{
	struct nvml n = {0};
	answer a;

	if (!probe_open(LIBRARY, functions, ARRAY_LEN(functions), &n))
		return PROBE_NO_LIBRARY;
	a = n.init ? n.init() : -1;
	if (a != 0)
		return probe_refuse(a);
	print_all(&n);
	if (n.shutdown)
		(void)n.shutdown();
	return 0;
}
