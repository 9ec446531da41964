/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: models that are loaded and that nobody asks. */

#include "switch/switch_priv.h"

/* Unloads models that nobody asked for as long as their idle_unload says; pinned ones stay. */
void idle_step(struct switcher *sw);

/* When it was last of use, monotonic ms. Lock held. */
int64_t idle_since(const struct entry *en);
/* Unloads the model, if no request runs or waits there and nobody changes it. False: it stays. */
bool idle_unload(struct switcher *sw, struct entry *en, const char *why);
