/* SPDX-License-Identifier: Apache-2.0 */
#include "model/ability.h"

#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "model/option.h"

/* A file that is gone: the next load says so. */
static struct gguf *read_file(const char *path)
{
	struct gguf *g = NULL;
	struct err ignored = {0};

	return path && gguf_read(path, &g, &ignored) ? g : NULL;
}

static void find_media(const struct db_model *m, struct ability *ret)
{
	CLEANUP(free) char *path = option_projector(m->options);
	CLEANUP(gguf_free) struct gguf *g = read_file(path);

	ret->vision = g && g->has_vision;
	ret->audio = g && g->has_audio;
}

static bool knows_tools(const struct db_model *m)
{
	CLEANUP(free) char *text = option_template(m->options);
	CLEANUP(gguf_free) struct gguf *g = text ? NULL : read_file(m->path);

	return text ? gguf_template_knows_tools(text) : g && g->knows_tools;
}

/* llama_cpp.server makes a call of an answer only where the request names the function. */
static bool finds_calls(const struct db_model *m)
{
	return strcmp(option_runtime(m->options), "server") == 0;
}

void ability_find(const struct db_model *m, unsigned wanted, struct ability *ret)
{
	struct option_facts facts = {.mode = m->mode};

	*ret = (struct ability){.mode = option_mode(m->options, &facts)};
	if (wanted & ABILITY_MEDIA)
		find_media(m, ret);
	if (wanted & ABILITY_TOOLS)
		ret->tools = strcmp(ret->mode, "chat") == 0 && finds_calls(m) && knows_tools(m);
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
