/* SPDX-License-Identifier: Apache-2.0 */
#include "api/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

json_t *answer_text(const char *s)
{
	CLEANUP(free) char *clean = NULL;
	json_t *text = s ? json_string(s) : json_null();

	if (text)
		return text;
	clean = mem_dup(s);
	for (char *p = clean; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(clean);
}

json_t *answer_time(int64_t wall_ms)
{
	char text[32];

	if (!wall_ms)
		return json_null();
	clock_iso(wall_ms, text);
	return json_string(text);
}

json_t *answer_stored(const char *text)
{
	json_t *value = text ? json_loads(text, 0, NULL) : NULL;

	return value ? value : json_null();
}

json_t *answer_error(const char *type, const char *message, const char *hint)
{
	json_t *error = json_object();

	json_object_set_new(error, "type", answer_text(type));
	json_object_set_new(error, "message", answer_text(message));
	json_object_set_new(error, "hint", answer_text(hint ? hint : ""));
	return error;
}
