/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For those in gateway/ that read a request or an answer as a tree. */

#include <jansson.h>

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}
