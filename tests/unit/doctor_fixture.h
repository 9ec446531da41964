/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A machine as a tree of files, and what a check of the doctor says of it. */

#include "test.h"

#include "base/fs.h"
#include "base/mem.h"
#include "doctor/scene.h"

struct machine {
	char *root;
	struct gpus gpus;
	struct doctor doctor;
	struct scene scene;
	struct findings found;
};

static int machine_start(void **state)
{
	struct machine *m = mem_alloc(sizeof(*m));

	m->root = test_dir_new();
	m->doctor = (struct doctor){
		.root = m->root, .gpus = &m->gpus, .store_dir = m->root, .models_dir = m->root};
	*state = m;
	return 0;
}

static int machine_stop(void **state)
{
	struct machine *m = *state;

	gpus_done(&m->gpus);
	findings_done(&m->found);
	test_dir_free(m->root);
	free(m);
	return 0;
}

/* A file of it, with the folders it lies in. */
TEST_MAYBE static void machine_has(struct machine *m, const char *path, const char *text)
{
	CLEANUP(free) char *full = mem_printf("%s%s", m->root, path);
	CLEANUP(free) char *folder = fs_dirname(full);
	struct err e = {0};

	assert_true(fs_mkdirs(folder, 0700, &e));
	test_write(full, text, strlen(text));
}

TEST_MAYBE static struct gpu *machine_has_gpu(struct machine *m, const char *vendor,
					      const char *driver)
{
	struct gpu *g = gpus_add(&m->gpus);

	g->vendor = vendor;
	(void)snprintf(g->name, sizeof(g->name), "Card");
	(void)snprintf(g->pci, sizeof(g->pci), "0000:01:00.0");
	(void)snprintf(g->driver, sizeof(g->driver), "%s", driver);
	return g;
}

typedef void check_fn(const struct scene *s, struct findings *f);

/* What a check finds now. */
static void machine_look_with(struct machine *m, check_fn *check)
{
	findings_done(&m->found);
	scene_read(&m->doctor, &m->scene);
	check(&m->scene, &m->found);
}

static void same(const char *field, const char *seen, const char *expected)
{
	if (!seen != !expected || (seen && strcmp(seen, expected) != 0))
		fail_msg("%s: '%s', not '%s'", field, seen ? seen : "(none)",
			 expected ? expected : "(none)");
}

/* The one finding, word for word. */
static void only(const struct machine *m, enum finding_state state, const char *what,
		 const char *command, const char *advice)
{
	assert_int_equal(m->found.count, 1);
	same("what", m->found.list[0].what, what);
	same("command", m->found.list[0].command, command);
	same("advice", m->found.list[0].advice, advice);
	assert_int_equal(m->found.list[0].state, state);
}
