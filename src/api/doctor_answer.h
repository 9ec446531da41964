/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The doctor's findings as an answer: of a request, and of the command where no daemon runs. */

#include <jansson.h>

#include "doctor/doctor.h"

json_t *doctor_answer(const struct doctor *d);
