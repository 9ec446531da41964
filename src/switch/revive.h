/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: after a start, the models marked keep_loaded are loaded, one after another, as
 * tasks like any other. One that fails is tried again after its back-off, a few times. */

#include "switch/switch_priv.h"

struct revive;
struct revive *revive_new(struct switcher *sw);
void revive_free(struct revive *r); /* NULL is fine */
/* Starts the next load if it is time. False: nothing is left to do. */
bool revive_step(struct revive *r);
