/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What nvidia.c does for driver.c: NVIDIA's driver comes in pieces, each of which may be missing.
 */

#include "doctor/scene.h"

/* Why this card cannot be used, and the remedy. */
void nvidia_explain(const struct scene *s, const struct gpu *card, struct findings *f);
/* What is not of one card. */
void nvidia_look(const struct scene *s, struct findings *f);
/* A finding about a card. */
struct finding *driver_finding(struct findings *f, enum finding_state state, const struct gpu *g,
			       const char *what, ...) __attribute__((format(printf, 4, 5)));
/* True: it is kept for virtual machines, and that was said. */
bool driver_is_passed_on(const struct gpu *g, struct findings *f);
