/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Does a server get anywhere? Its /slots count the tokens of each conversation, read and made, and
 * answer while it computes. Never waits: ask, and hear at the next looks. Main thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pulse {
	int fd;         /* −1: nothing is asked */
	size_t len;     /* of the answer so far */
	uint64_t sum;   /* over it */
	uint64_t last;  /* over the whole answer before, 0: none */
	char status[3]; /* its digits */
};

/* Unless an answer is still due. */
void pulse_ask(struct pulse *p, const char *socket_path);
/* True when an answer has come that differs from the one before, or that cannot tell. */
bool pulse_hear(struct pulse *p);
void pulse_done(struct pulse *p);
