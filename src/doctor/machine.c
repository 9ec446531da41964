/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and disk: what a build and a model need of them. */

#include "doctor/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/hardware.h"
#include "base/fs.h"
#include "base/mem.h"
#include "doctor/scene.h"

static const char topic[] = "machine";

#define GIB ((double)(1LL << 30))
/* A model of 7 billion parameters, quantised to 4 bits. */
#define MODEL_BYTES (5LL << 30)

/* What the largest build takes: the base's, or that of a backend that is meant or fits here. */
static void largest_build(const struct scene *s, int64_t *ret_disk, int64_t *ret_memory)
{
	const struct doctor *d = s->d;

	*ret_disk = d->base_disk_bytes;
	*ret_memory = d->base_memory_bytes;
	for (const struct backend *const *b = backend_all(); *b; b++) {
		if (d->backend ? d->backend != *b : (*b)->vendor && !scene_gpu(s, (*b)->vendor))
			continue;
		if ((*b)->build_disk_bytes > *ret_disk)
			*ret_disk = (*b)->build_disk_bytes;
		if ((*b)->build_memory_bytes > *ret_memory)
			*ret_memory = (*b)->build_memory_bytes;
	}
}

void machine_judge_memory(int64_t total, int64_t free_now, int64_t swap, int64_t job,
			  struct findings *f)
{
	struct finding *new;

	if (total + swap < job) {
		new = findings_add(f, FINDING_BAD, topic,
				   "memory: %.1f GiB, and one compiler takes up to %.1f",
				   (double)total / GIB, (double)job / GIB);
		finding_run(new, "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && "
				 "sudo mkswap /swapfile && sudo swapon /swapfile");
		finding_advise(new, "or let another machine build, and share its store_dir");
	} else if (free_now + swap < job) {
		new = findings_add(f, FINDING_WARN, topic,
				   "memory: %.1f GiB, %.1f free, and one compiler takes up to %.1f",
				   (double)total / GIB, (double)free_now / GIB, (double)job / GIB);
		finding_advise(new, "unload models before a build: shunt status, shunt unload");
	} else {
		(void)findings_add(f, FINDING_OK, topic,
				   "memory: %.1f GiB, %.1f free; one compiler takes up to %.1f",
				   (double)total / GIB, (double)free_now / GIB, (double)job / GIB);
	}
}

/* The nearest folder that exists. Caller frees. */
static char *nearest(const char *path)
{
	char *at = mem_dup(path);

	while (!fs_exists(at) && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
		char *up = fs_dirname(at);

		free(at);
		at = up;
	}
	return at;
}

void machine_judge_disk(const char *what, const char *key, const char *path, int64_t free_now,
			int64_t need, bool must, struct findings *f)
{
	struct finding *new =
		findings_add(f,
			     free_now >= need ? FINDING_OK
			     : must           ? FINDING_BAD
					      : FINDING_WARN,
			     topic, "disk: %.1f GiB free for %s takes up to %.1f (%s)",
			     (double)free_now / GIB, what, (double)need / GIB, path);

	if (free_now < need) {
		finding_run(new, "shunt env gc");
		finding_advise(new,
			       "it removes builds that nobody uses; or choose another disk: "
			       "%s in the configuration",
			       key);
	}
}

static void look_at_disk(const char *what, const char *key, const char *path, int64_t need,
			 bool must, struct findings *f)
{
	CLEANUP(free) char *folder = nearest(path);
	struct err e = {0};
	int64_t free_now = 0;
	struct finding *new;

	if (access(folder, W_OK) < 0) {
		new = findings_add(f, FINDING_BAD, topic, "disk: '%s' may not be written: %s",
				   folder, strerror(errno));
		finding_advise(new, "choose another folder: %s in the configuration", key);
	} else if (!fs_free_bytes(folder, &free_now, &e)) {
		(void)findings_add(f, FINDING_BAD, topic, "disk: %s", e.msg);
	} else {
		machine_judge_disk(what, key, path, free_now, need, must, f);
	}
}

/* A compiler may be swapped out in part, a model may not. */
static int64_t swap_bytes(const struct scene *s)
{
	static const char name[] = "SwapTotal:";
	CLEANUP(free) char *text = scene_text(s, "/proc/meminfo");
	const char *at = text ? strstr(text, name) : NULL;

	return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

void machine_look(const struct scene *s, struct findings *f)
{
	struct hardware hw = {0};
	int64_t disk, memory;

	largest_build(s, &disk, &memory);
	hardware_read(&hw);
	machine_judge_memory(hw.memory_bytes, hw.memory_free_bytes, swap_bytes(s), memory, f);
	look_at_disk("builds, and one", "store_dir", s->d->store_dir, disk, true, f);
	look_at_disk("models, and one of 7 B parameters", "state_dir", s->d->models_dir,
		     MODEL_BYTES, false, f);
}
