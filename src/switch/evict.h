/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside switch/: room for a worker that is about to start. Idle models are unloaded, the one that
 * nobody asked for longest first, until it fits; never one with requests, nor a pinned one. When
 * none is left that would help, the start is tried anyway: an estimate may be wrong, and
 * llama-server says what it could not get.
 */

#include "switch/switch_priv.h"

/* The model's slot is held. t: hears what is done, may be NULL. */
void evict_for(struct switcher *sw, const struct db_model *m, const char *environment,
	       struct task *t);
