/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu_vulkan.h"
#include "backend/nvml.h"
#include "backend/pci.h"
#include "base/log.h"
#include "base/mem.h"

const char *gpu_kind_name(enum gpu_kind k)
{
	static const char *const names[] = {"discrete", "discrete", "integrated", "software"};

	return names[k];
}

struct gpu *gpus_add(struct gpus *g)
{
	struct gpu *new;

	g->list = mem_grow(g->list, g->count + 1, sizeof(*g->list));
	new = &g->list[g->count++];
	*new = (struct gpu){.memory_bytes = -1, .used_bytes = -1, .free_bytes = -1};
	return new;
}

void gpus_done(struct gpus *g)
{
	free(g->list);
	free(g->processes);
	free(g->vulkan);
	*g = (struct gpus){0};
}

int64_t gpus_process_bytes(const struct gpus *g, pid_t pid)
{
	return gpus_process_most(g, pid, g->process_count);
}

/* The largest that comes after `last` in the order of size, then of the list; NULL: none. */
static const struct gpu_process *next_largest(const struct gpus *g, pid_t pid,
					      const struct gpu_process *last)
{
	const struct gpu_process *next = NULL;

	for (size_t i = 0; i < g->process_count; i++) {
		const struct gpu_process *p = &g->processes[i];
		bool is_after =
			!last || p->bytes < last->bytes || (p->bytes == last->bytes && p > last);

		if (p->pid == pid && is_after && (!next || p->bytes > next->bytes))
			next = p;
	}
	return next;
}

int64_t gpus_process_most(const struct gpus *g, pid_t pid, size_t count)
{
	const struct gpu_process *p = NULL;
	int64_t sum = -1;

	while (count-- > 0 && (p = next_largest(g, pid, p)))
		sum = (sum < 0 ? 0 : sum) + p->bytes;
	return sum;
}

static int by_address(const void *a, const void *b)
{
	const struct gpu *x = a, *y = b;

	return strcmp(x->pci, y->pci);
}

static const struct gpu *of_nvidia(const struct gpus *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->list[i].vendor && strcmp(g->list[i].vendor, "nvidia") == 0)
			return &g->list[i];
	return NULL;
}

static void no_library(const struct gpu *card, struct err *e)
{
	if (strcmp(card->driver, "nvidia") == 0) {
		(void)err_set(e, ERR_UNAVAILABLE,
			      "the NVIDIA GPU at %s has its kernel driver, but there is no "
			      "libnvidia-ml.so.1",
			      card->pci);
		(void)err_hint(e, "install the driver's libraries: shunt doctor cuda; a container "
				  "gets them with the GPU: --gpus all, nvidia-container-toolkit");
		return;
	}
	(void)err_set(e, ERR_UNAVAILABLE, "the NVIDIA GPU at %s has no driver that computes%s%s",
		      card->pci, card->driver[0] ? ", only " : "", card->driver);
	(void)err_hint(e, "install the NVIDIA driver: shunt doctor cuda");
}

/* No library is what is wrong where there is a card, and is as it should be where there is none. */
static void explain(struct gpus *g, bool answers)
{
	struct err *why = &g->nvidia_why_not;
	const struct gpu *card = of_nvidia(g);

	if (answers && !card) {
		(void)err_set(why, ERR_NOT_FOUND, "NVIDIA's driver works, but it finds no GPU");
		(void)err_hint(why, "is the card in its slot and powered (lspci), or the GPU given "
				    "to this container or virtual machine?");
	} else if (!answers && why->kind == ERR_NOT_FOUND && card) {
		err_clear(why);
		no_library(card, why);
	}
}

struct vulkan_question {
	const char *self;
	struct gpus said; /* of Vulkan alone */
};

static void *ask_vulkan(void *arg)
{
	struct vulkan_question *q = arg;

	if (!vulkan_read(q->self, &q->said, &q->said.vulkan_why_not))
		log_debug("Vulkan tells nothing: %s, continuing", q->said.vulkan_why_not.msg);
	return NULL;
}

/* Beside NVML: each may take 2 s. */
static bool ask_both(const char *self, struct gpus *g)
{
	struct vulkan_question q = {.self = self};
	pthread_t thread;
	bool beside = pthread_create(&thread, NULL, ask_vulkan, &q) == 0;
	bool answers = nvml_read(self, g, &g->nvidia_why_not);

	if (beside)
		(void)pthread_join(thread, NULL);
	else
		(void)ask_vulkan(&q);
	vulkan_lay_over(g, &q.said);
	return answers;
}

void gpus_read(const char *self, const char *sys, struct gpus *ret)
{
	struct gpus g = {0};
	bool answers;

	pci_read(sys, &g);
	answers = ask_both(self, &g);
	g.nvidia_library = answers || g.nvidia_why_not.kind != ERR_NOT_FOUND;
	explain(&g, answers);
	if (g.count > 0)
		qsort(g.list, g.count, sizeof(*g.list), by_address);
	*ret = g;
}
