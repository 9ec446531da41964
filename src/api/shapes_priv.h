/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside api/: words of the tables in shapes.c and shapes_machine.c. */

#include "api/shapes.h"

#define TEXT FIELD_TEXT
#define TEXT_NULL (FIELD_TEXT | FIELD_NULL)
#define NUMBER (FIELD_INT | FIELD_NUMBER)
#define BOOL FIELD_BOOL
#define INT FIELD_INT
#define BACKENDS "cpu|vulkan|cuda|rocm"
#define TIME_FIELD(key, need, text) FIELD(key, TEXT_NULL, need, text, .form = FORM_TIME)
#define OBJECT_FIELD(key, need, text, what) FIELD(key, FIELD_OBJECT, need, text, .shape = &(what))
#define LIST_FIELD(key, text, what)                                                                \
	FIELD(key, FIELD_LIST | FIELD_OBJECT, true, text, .shape = &(what))
