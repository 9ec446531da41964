/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside switch/: the thread that does what no request asks for: loads what is marked keep_loaded
 * after a start (revive.h), unloads what is idle (idle.h). */

#include "switch/switch_priv.h"

struct upkeep;
/* NULL: no thread, said in the log. */
struct upkeep *upkeep_start(struct switcher *sw);
void upkeep_stop(struct upkeep *u); /* sw->leaving is set; NULL is fine */
