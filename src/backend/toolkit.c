/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/toolkit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static struct toolkit_item *item_new(struct toolkit *tk, const struct toolkit_need *need)
{
	struct toolkit_item *it = NULL;
	const char *packages = need->packages[distro_here()];

	if (tk->count >= (int)ARRAY_LEN(tk->items))
		return NULL;
	it = &tk->items[tk->count++];
	*it = (struct toolkit_item){.at_run_time = need->at_run_time};
	(void)snprintf(it->name, sizeof(it->name), "%s", need->name);
	(void)snprintf(it->needed, sizeof(it->needed), "%s", need->needed);
	(void)snprintf(it->packages, sizeof(it->packages), "%s", packages ? packages : "");
	return it;
}

void toolkit_add(struct toolkit *tk, const struct toolkit_need *need, const char *found)
{
	struct toolkit_item *it = item_new(tk, need);
	char version[32];

	if (it == NULL || found == NULL || found[0] == '\0')
		return;
	(void)snprintf(it->found, sizeof(it->found), "%s", found);
	/* An unreadable version is not a reason to refuse: the build will tell. */
	it->ok = strcmp(need->needed, "any") == 0 ||
		 !toolkit_version(found, NULL, version, sizeof(version)) ||
		 toolkit_version_cmp(version, need->needed) >= 0;
}

void toolkit_add_unusable(struct toolkit *tk, const struct toolkit_need *need, const char *why)
{
	struct toolkit_item *it = item_new(tk, need);

	if (it != NULL)
		(void)snprintf(it->found, sizeof(it->found), "%s", why);
}

/* "glslc", "Vulkan headers (1.3.204, needs 1.3.239)" */
static void name_missing(struct buf *b, const struct toolkit_item *it)
{
	if (b->len > 0)
		buf_str(b, ", ");
	buf_str(b, it->name);
	if (it->found[0] != '\0' && strcmp(it->needed, "any") != 0)
		buf_printf(b, " (%s, needs %s)", it->found, it->needed);
	else if (it->found[0] != '\0')
		buf_printf(b, " (%s)", it->found);
}

static void name_all_missing(struct buf *b, const struct toolkit *tk, bool at_run_time)
{
	for (int i = 0; i < tk->count; i++) {
		if (!tk->items[i].ok && tk->items[i].at_run_time == at_run_time)
			name_missing(b, &tk->items[i]);
	}
}

void toolkit_conclude(struct toolkit *tk)
{
	CLEANUP(buf_done) struct buf build = {0};
	CLEANUP(buf_done) struct buf run = {0};

	name_all_missing(&build, tk, false);
	name_all_missing(&run, tk, true);
	tk->can_build = build.len == 0;
	tk->can_run = run.len == 0;
	(void)snprintf(tk->why_not, sizeof(tk->why_not), "%s%s%s%s%s",
		       build.len ? "missing to build: " : "", build.len ? build.data : "",
		       build.len && run.len ? "; " : "", run.len ? "missing to run: " : "",
		       run.len ? run.data : "");
}

void toolkit_packages(const struct toolkit *tk, bool to_run, struct buf *b)
{
	for (int i = 0; i < tk->count; i++) {
		char names[sizeof(tk->items[i].packages)];
		char *rest = NULL;

		if (tk->items[i].ok || (tk->items[i].at_run_time && !to_run))
			continue;
		(void)snprintf(names, sizeof(names), "%s", tk->items[i].packages);
		for (char *p = strtok_r(names, " ", &rest); p; p = strtok_r(NULL, " ", &rest)) {
			CLEANUP(free) char *padded = mem_printf(" %s ", p);
			CLEANUP(free) char *have = mem_printf(" %s ", b->data ? b->data : "");

			if (strstr(have, padded) == NULL)
				buf_printf(b, "%s%s", b->len ? " " : "", p);
		}
	}
}

bool toolkit_require(const struct backend *b, const struct toolkit *tk, struct err *e)
{
	CLEANUP(buf_done) struct buf missing = {0};
	CLEANUP(buf_done) struct buf packages = {0};
	char command[200];

	name_all_missing(&missing, tk, false);
	if (missing.len == 0)
		return true;
	toolkit_packages(tk, false, &packages);
	(void)err_set(e, ERR_TOOLKIT, "%s cannot be built here: missing %s",
		      b ? b->title : "llama.cpp", missing.data);
	if (tk->remedy[0] != '\0')
		return err_hint(e, "%s", tk->remedy);
	if (packages.len == 0)
		return false;
	distro_install_command(distro_here(), packages.data, command, sizeof(command));
	return err_hint(e, "%s", command);
}
