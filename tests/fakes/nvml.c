/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's libnvidia-ml.so.1, as far as Shunt asks it. Beside the library a file `nvml.fake` says
 * how it behaves, a line each: `gpus N` (two), `init CODE` (what nvmlInit answers), `hang` (for
 * ever), `crash`, `name TEXT`, `own-memory no` (as a GPU that uses the machine's), `process GPU PID
 * BYTES`, `driver VERSION`, `cuda NUMBER` (12020 is 12.2), `capability 8.9` (a line for each GPU,
 * the last for those that follow). Names, ids and numbers are an H200's.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, PROCESSES = 16 };

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

static struct {
	int init, gpus, shared, cuda, count;
	int capabilities[8][2], capability_count;
	struct {
		int gpu;
		struct process is;
	} processes[PROCESSES];
} fake = {.gpus = 2, .cuda = 13000, .capabilities = {{9, 0}}};
static char name[96] = "NVIDIA H200", driver[32] = "580.159.04";
static int gpus[64]; /* a handle is the address of one */

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *text, unsigned size);
int nvmlSystemGetCudaDriverVersion_v2(int *version);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetName(void *device, char *text, unsigned size);
int nvmlDeviceGetUUID(void *device, char *text, unsigned size);
int nvmlDeviceGetPciInfo_v3(void *device, struct pci_info *info);
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor);
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list);
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, struct process *list);

/* What follows the word, which the line begins with; NULL: it does not. */
static const char *after(const char *line, const char *word)
{
	size_t len = strlen(word);

	return strncmp(line, word, len) == 0 ? line + len : NULL;
}

static void add_process(const char *text)
{
	struct process p = {.gpu_instance = ~0U, .compute_instance = ~0U};
	char *end;

	if (fake.count == PROCESSES)
		return;
	fake.processes[fake.count].gpu = (int)strtol(text, &end, 10);
	p.pid = (unsigned)strtoul(end, &end, 10);
	p.used = strtoull(end, &end, 10);
	fake.processes[fake.count++].is = p;
}

static void add_capability(const char *text)
{
	int *to = fake.capabilities[fake.capability_count];
	char *end;

	if (fake.capability_count == 8)
		return;
	fake.capability_count++;
	to[0] = (int)strtol(text, &end, 10);
	to[1] = (int)strtol(end + 1, NULL, 10);
}

static void obey(char *line)
{
	const char *value;

	line[strcspn(line, "\n")] = '\0';
	if ((value = after(line, "init ")))
		fake.init = (int)strtol(value, NULL, 10);
	else if ((value = after(line, "gpus ")))
		fake.gpus = (int)strtol(value, NULL, 10);
	else if ((value = after(line, "name ")))
		(void)snprintf(name, sizeof(name), "%s", value);
	else if ((value = after(line, "process ")))
		add_process(value);
	else if ((value = after(line, "driver ")))
		(void)snprintf(driver, sizeof(driver), "%s", value);
	else if ((value = after(line, "cuda ")))
		fake.cuda = (int)strtol(value, NULL, 10);
	else if ((value = after(line, "capability ")))
		add_capability(value);
	else if (after(line, "own-memory no"))
		fake.shared = 1;
	else if (after(line, "crash"))
		abort();
	while (after(line, "hang"))
		(void)pause();
}

int nvmlInit_v2(void)
{
	Dl_info self;
	char path[4096], line[256];
	const char *slash;
	FILE *f;

	if (!dladdr((void *)gpus, &self) || !(slash = strrchr(self.dli_fname, '/')))
		return 999;
	(void)snprintf(path, sizeof(path), "%.*s/nvml.fake", (int)(slash - self.dli_fname),
		       self.dli_fname);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		obey(line);
	if (f)
		(void)fclose(f);
	return fake.init;
}

int nvmlShutdown(void)
{
	return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
	(void)snprintf(text, size, "%s", driver);
	return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	*version = fake.cuda;
	return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
	*count = (unsigned)fake.gpus;
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
	gpus[index] = (int)index;
	*device = &gpus[index];
	return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *text, unsigned size)
{
	(void)snprintf(text, size, "%s", name);
	return SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{
	(void)snprintf(text, size, "GPU-00000000-0000-0000-0000-00000000000%d", *(int *)device);
	return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci_info *info)
{
	*info = (struct pci_info){.bus = 0x0f + (unsigned)*(int *)device * 16,
				  .pci_device_id = 0x233510de};
	return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
	int last = fake.capability_count ? fake.capability_count - 1 : 0;
	int index = *(int *)device < last ? *(int *)device : last;

	*major = fake.capabilities[index][0];
	*minor = fake.capabilities[index][1];
	return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
	if (fake.shared)
		return NOT_SUPPORTED;
	*memory = (struct memory){
		.total = 143771ULL << 20, .free = 143000ULL << 20, .used = 771ULL << 20};
	return SUCCESS;
}

static int processes(const void *device, unsigned *count, struct process *list)
{
	unsigned n = 0;

	for (int i = 0; i < fake.count; i++) {
		if (fake.processes[i].gpu != *(const int *)device)
			continue;
		if (n == *count)
			return INSUFFICIENT_SIZE;
		list[n++] = fake.processes[i].is;
	}
	*count = n;
	return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
	return processes(device, count, list);
}

/* The same: as of a program that computes in Vulkan. */
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, struct process *list)
{
	return processes(device, count, list);
}
