/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's GPUs and rocBLAS: it has code for some of them, and a process that asks it on another one
 * is aborted. */

#include <string.h>

#include "backend/rocm.h"
#include "base/mem.h"
#include "doctor/scene.h"

static const char topic[] = "rocm";
static const char variable[] = "HSA_OVERRIDE_GFX_VERSION=";

static bool is_set(const struct scene *s, const char *value)
{
	CLEANUP(free) char *wanted = mem_printf("%s%s", variable, value);

	for (const char *const *v = s->d->worker_env; v && *v; v++)
		if (strcmp(*v, wanted) == 0)
			return true;
	return false;
}

static void look_at_relative(const struct scene *s, const char *gfx, const char *relative,
			     enum finding_state missing, struct findings *f)
{
	struct finding *new;
	char version[16];

	rocm_override(relative, version, sizeof(version));
	if (is_set(s, version)) {
		(void)findings_add(f, FINDING_OK, topic, "%s: passes as %s (%s%s)", gfx, relative,
				   variable, version);
		return;
	}
	new = findings_add(f, missing, topic,
			   "%s: rocBLAS has no code for it, but for its relative %s", gfx,
			   relative);
	finding_advise(new,
		       "worker_env = %s%s in the configuration makes it pass as that one, which "
		       "builds are made for; or use Vulkan",
		       variable, version);
}

/* missing: how bad it is when ROCm cannot use a GPU. */
void amd_look(const struct scene *s, enum finding_state missing, struct findings *f)
{
	CLEANUP(rocm_targets_done) struct rocm_targets t = {0};
	CLEANUP(strv_done) struct strv gpus = {0};
	char target[16];

	rocm_read(s->d->root, &t);
	rocm_each(t.gpus.data, &gpus);
	for (size_t i = 0; i < gpus.count && t.kernels.len > 0; i++) {
		const char *gfx = gpus.items[i];
		bool runs = rocm_relative(gfx, t.kernels.data, target, sizeof(target));

		if (!runs)
			finding_advise(findings_add(f, missing, topic,
						    "%s: rocBLAS has code only for %s", gfx,
						    t.kernels.data),
				       "use Vulkan on it: shunt switch MODEL vulkan");
		else if (strcmp(gfx, target) != 0)
			look_at_relative(s, gfx, target, missing, f);
		else
			(void)findings_add(f, FINDING_OK, topic, "%s: rocBLAS has code for it",
					   gfx);
	}
}
