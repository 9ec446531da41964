/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a setting's text may be, whatever the key: numbers with units, and the checks of texts.
 * Errors say what is wrong with the value; the caller names the key. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum value_type {
	VALUE_TEXT,
	VALUE_PATH, /* made absolute; "" stays */
	VALUE_COUNT,
	VALUE_BYTES,
	VALUE_TIME, /* in ms */
};

/* "512", "256 MB", "2m": digits and a unit, all within 64 bits. A bare number is bytes, seconds. */
bool value_number(enum value_type type, const char *text, int64_t *ret);
/* As value_number reads it, with the largest unit that leaves no rest. */
void value_show(enum value_type type, int64_t number, char *buf, size_t size);

/* Checks of single keys. */
typedef bool value_check_fn(const char *text, struct err *e);
MUST_CHECK bool value_is_given(const char *text, struct err *e);
MUST_CHECK bool value_is_cpu(const char *text, struct err *e);
MUST_CHECK bool value_is_level(const char *text, struct err *e);
MUST_CHECK bool value_is_yes_no(const char *text, struct err *e);
MUST_CHECK bool value_is_provision(const char *text, struct err *e);
MUST_CHECK bool value_is_endpoint(const char *text, struct err *e);
MUST_CHECK bool value_is_priority(const char *text, struct err *e);
MUST_CHECK bool value_is_origins(const char *text, struct err *e);
MUST_CHECK bool value_is_variables(const char *text, struct err *e);
