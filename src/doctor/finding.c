/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/finding.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

const char *finding_state_name(enum finding_state s)
{
	static const char *const names[] = {"ok", "warn", "bad"};

	return names[s];
}

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->list[i].what);
		free(f->list[i].command);
		free(f->list[i].advice);
		free(f->list[i].packages);
	}
	free(f->list);
	*f = (struct findings){0};
}

struct finding *findings_add(struct findings *f, enum finding_state s, const char *topic,
			     const char *what, ...)
{
	struct finding *new;
	va_list args;

	f->list = mem_grow(f->list, f->count + 1, sizeof(*f->list));
	new = &f->list[f->count++];
	*new = (struct finding){.state = s, .topic = topic};
	va_start(args, what);
	new->what = mem_vprintf(what, args);
	va_end(args);
	return new;
}

void finding_run(struct finding *f, const char *command, ...)
{
	va_list args;

	free(f->command);
	va_start(args, command);
	f->command = mem_vprintf(command, args);
	va_end(args);
}

void finding_advise(struct finding *f, const char *advice, ...)
{
	va_list args;

	free(f->advice);
	va_start(args, advice);
	f->advice = mem_vprintf(advice, args);
	va_end(args);
}

size_t findings_of(const struct findings *f, enum finding_state s)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += f->list[i].state == s;
	return n;
}
