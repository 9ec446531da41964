/* SPDX-License-Identifier: Apache-2.0 */
/* What each backend needs to be built and to run. */

#include "doctor/toolkits.h"

#include <string.h>

#include "base/mem.h"
#include "doctor/scene.h"

void toolkit_finding(const struct toolkit_item *it, const char *topic, enum finding_state missing,
		     struct findings *f)
{
	bool newer = strcmp(it->needed, "any") != 0;
	char command[200];
	struct finding *new;

	if (it->ok) {
		(void)findings_add(f, FINDING_OK, topic, "%s%s%s", it->name,
				   it->found[0] ? " " : "", it->found);
		return;
	}
	new = findings_add(f, missing, topic, "%s: %s%s%s%s", it->name,
			   it->found[0] ? it->found : "missing", newer ? ", needs " : "",
			   newer ? it->needed : "", newer ? " or newer" : "");
	if (!it->packages[0])
		return;
	distro_install_command(distro_here(), it->packages, command, sizeof(command));
	finding_run(new, "%s", command);
	new->packages = mem_dup(it->packages);
}

/* Whether a maker's driver is there and may be used, driver.c and access.c say: in a container, or
 * under Windows, its packages would be wrong. */
static bool is_said_elsewhere(const struct backend *b, const struct toolkit_item *it)
{
	return !it->ok && it->at_run_time && strcmp(it->needed, "any") == 0 &&
	       (b->vendor || !it->packages[0]);
}

static const char *vendor_title(const char *vendor)
{
	return strcmp(vendor, "nvidia") == 0 ? "NVIDIA" : "AMD";
}

/* Of what no package of the distribution mends, if there is that, else of the first. first: where
 * the toolkit's findings begin. */
static void add_remedy(const struct toolkit *tk, size_t first, struct findings *f)
{
	struct finding *of = NULL;

	for (size_t i = f->count; tk->remedy[0] && i-- > first;) {
		if (f->list[i].state == FINDING_OK)
			continue;
		of = &f->list[i];
		if (!of->packages)
			break;
	}
	if (of)
		finding_advise(of, "%s", tk->remedy);
}

/* Asked for by name, what is missing is wrong; else it is one way of several. */
void toolkits_look(const struct scene *s, const struct backend *b, struct findings *f)
{
	bool meant = s->d->backend == b;
	bool fits = !b->vendor || scene_gpu(s, b->vendor) || (s->wsl && scene_has(s, "/dev/dxg"));
	enum finding_state missing = meant ? FINDING_BAD : FINDING_WARN;
	struct toolkit tk = {0};
	size_t first;

	if (!meant && !fits) {
		(void)findings_add(f, FINDING_OK, b->name, "%s is not for this machine: no %s GPU",
				   b->title, vendor_title(b->vendor));
		return;
	}
	if (meant && !fits)
		(void)findings_add(f, FINDING_BAD, b->name, "no %s GPU here",
				   vendor_title(b->vendor));
	if (strcmp(b->name, "rocm") == 0)
		amd_look(s, missing, f);
	b->check(&s->d->ask, &tk);
	first = f->count;
	for (int i = 0; i < tk.count; i++)
		if (!is_said_elsewhere(b, &tk.items[i]))
			toolkit_finding(&tk.items[i], b->name, missing, f);
	add_remedy(&tk, first, f);
}
