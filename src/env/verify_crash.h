/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a program of llama.cpp died of, said for what it is: from its exit status and the end of its
 * output. Pure functions, any thread. */

#include <stdbool.h>

#include "base/err.h"

/* Sets ERR_VERIFY: "<who> was killed by SIGILL: …: <end of the output>", with the remedy as hint.
 * False, as the functions of err.h. */
bool verify_crash(const char *who, int status, const char *output, struct err *e);
/* Did memory, of the machine or the device, run out? */
bool verify_out_of_memory(const char *output);
