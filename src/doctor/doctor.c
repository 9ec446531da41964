/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/doctor.h"

#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "doctor/scene.h"

static bool needs_no_sudo(void)
{
	CLEANUP(free) char *sudo = fs_which("sudo");

	return geteuid() == 0 && !sudo;
}

void doctor_without_sudo(char *command)
{
	static const char word[] = "sudo ";
	char *at = command;

	while (at && (at = strstr(at, word)))
		memmove(at, at + strlen(word), strlen(at + strlen(word)) + 1);
}

void doctor_look(const struct doctor *d, struct findings *ret)
{
	struct findings f = {0};
	struct scene s;

	scene_read(d, &s);
	container_look(&s, &f);
	machine_look(&s, &f);
	compilers_look(&f);
	driver_look(&s, &f);
	access_look(&s, &f);
	if (!d->backend || strcmp(d->backend->name, "vulkan") == 0)
		icd_look(&s, &f);
	for (const struct backend *const *b = backend_all(); *b; b++)
		if ((*b)->module && (!d->backend || d->backend == *b))
			toolkits_look(&s, *b, &f);
	f.no_sudo = needs_no_sudo();
	for (size_t i = 0; i < f.count && f.no_sudo; i++)
		doctor_without_sudo(f.list[i].command);
	*ret = f;
}

static void add_package(struct buf *b, const char *name)
{
	CLEANUP(free) char *padded = mem_printf(" %s ", name);
	CLEANUP(free) char *have = mem_printf(" %s ", b->data ? b->data : "");

	if (!strstr(have, padded))
		buf_printf(b, "%s%s", b->len ? " " : "", name);
}

char *doctor_install(const struct findings *f)
{
	CLEANUP(buf_done) struct buf packages = {0};
	char command[1024];

	for (size_t i = 0; i < f->count; i++) {
		CLEANUP(free) char *names = mem_dup(f->list[i].packages);
		char *rest = NULL;

		for (char *p = names ? strtok_r(names, " ", &rest) : NULL; p;
		     p = strtok_r(NULL, " ", &rest))
			add_package(&packages, p);
	}
	if (packages.len == 0)
		return NULL;
	distro_install_command(distro_here(), packages.data, command, sizeof(command));
	if (f->no_sudo)
		doctor_without_sudo(command);
	return mem_dup(command);
}
