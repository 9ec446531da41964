/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A toolkit's item (backend.h) as a finding. */

#include "doctor/finding.h"

struct toolkit_item;
/* topic: static; missing: how bad it is when it does not do. */
void toolkit_finding(const struct toolkit_item *it, const char *topic, enum finding_state missing,
		     struct findings *f);
