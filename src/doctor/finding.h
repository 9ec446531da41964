/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a check has to say: one line, how bad it is, and what mends it. One thread. */

#include <stdbool.h>
#include <stddef.h>

enum finding_state {
	FINDING_OK,
	FINDING_WARN, /* works, but not all of it or not for long */
	FINDING_BAD   /* in the way of what this machine could do */
};
const char *finding_state_name(enum finding_state s); /* "ok", "warn", "bad" */

struct finding {
	enum finding_state state;
	const char *topic; /* "machine", "gpu" …, or a backend's name; static */
	char *what;
	char *command;  /* that mends it, to be pasted; NULL: there is none */
	char *advice;   /* what else to do, in words; NULL */
	char *packages; /* that mend it, for one command of all; NULL */
};
struct findings {
	struct finding *list;
	size_t count;
	bool no_sudo; /* commands are for root, where there is none */
};
void findings_done(struct findings *f);
static inline void findings_done_p(struct findings *f)
{
	findings_done(f);
}

#define FINDING_TEXT(n) __attribute__((format(printf, n, (n) + 1)))
/* Borrowed until the next one is added. */
struct finding *findings_add(struct findings *f, enum finding_state s, const char *topic,
			     const char *what, ...) FINDING_TEXT(4);
void finding_run(struct finding *f, const char *command, ...) FINDING_TEXT(2);
void finding_advise(struct finding *f, const char *advice, ...) FINDING_TEXT(2);
/* As many as are of this state. */
size_t findings_of(const struct findings *f, enum finding_state s);
