/* SPDX-License-Identifier: Apache-2.0 */
#include "model/ability.h"

#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "model/option.h"

void ability_find(const struct db_model *m, struct ability *ret)
{
	struct option_facts facts = {.mode = m->mode};
	CLEANUP(free) char *projector = option_projector(m->options);
	CLEANUP(gguf_free) struct gguf *g = NULL;
	struct err ignored = {0}; /* gone: the next load says so */

	*ret = (struct ability){.mode = option_mode(m->options, &facts)};
	if (projector && gguf_read(projector, &g, &ignored)) {
		ret->vision = g->has_vision;
		ret->audio = g->has_audio;
	}
}

bool ability_check_projector(const char *path, struct err *e)
{
	CLEANUP(gguf_free) struct gguf *g = NULL;

	if (!gguf_read(path, &g, e))
		return err_wrap(e, "option 'mmproj'");
	if (g->has_vision || g->has_audio)
		return true;
	err_set(e, ERR_INVALID, "option 'mmproj': '%.300s' is no projector for images or sound",
		path);
	return err_hint(e, "it comes beside the model, as mmproj-….gguf");
}
