/* SPDX-License-Identifier: Apache-2.0 */
/* On which devices, and how a model is spread over several. */

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "model/option.h"
#include "model/option_priv.h"

/* --- what was set ------------------------------------------------------- */

static const json_t *list_of(const json_t *options, const char *name)
{
	return json_object_get(options, name);
}

char *devices_of(const json_t *options)
{
	CLEANUP(buf_done) struct buf names = {0};
	const json_t *item;
	size_t i;

	json_array_foreach(list_of(options, "devices"), i, item)
		buf_printf(&names, "%s%s", i ? "," : "", json_string_value(item));
	return names.len ? buf_steal(&names) : mem_dup("");
}

char *option_devices(const char *stored)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);

	return devices_of(options);
}

size_t option_split(const char *stored, double ret[OPTION_DEVICES_MAX])
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);
	const json_t *list = list_of(options, "tensor_split"), *item;
	size_t i;

	json_array_foreach(list, i, item)
		ret[i] = json_number_value(item);
	return json_array_size(list);
}

/* "3/1" */
static char *split_text(const json_t *list, const char *between)
{
	CLEANUP(buf_done) struct buf text = {0};
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		buf_printf(&text, "%s%.6g", i ? between : "", json_number_value(item));
	return buf_steal(&text);
}

void add_split(struct strv *args, const json_t *options, const char *between)
{
	const json_t *split = list_of(options, "tensor_split");
	const char *mode = text_of(options, "split_mode", NULL);

	if (mode)
		add(args, "--split-mode", mode);
	if (json_array_size(split) > 0) {
		CLEANUP(free) char *text = split_text(split, between);

		add(args, "--tensor-split", text);
	}
}

/* --- what can be -------------------------------------------------------- */

static size_t letters(const char *device)
{
	size_t n = 0;

	while (isalpha((unsigned char)device[n]))
		n++;
	return n;
}

static bool check_pair(const char *a, const char *b, struct err *e)
{
	size_t len = letters(a);

	if (strcmp(a, b) == 0) {
		(void)err_set(e, ERR_INVALID, "option 'devices' names %s twice", a);
		return err_hint(e, "name each device once; tensor_split says who gets more");
	}
	if (len == letters(b) && strncmp(a, b, len) == 0)
		return true;
	(void)err_set(e, ERR_INVALID, "option 'devices': %s and %s are of two backends", a, b);
	return err_hint(e, "a model runs on one backend at a time: name devices of one");
}

bool option_devices_check(const json_t *list, struct err *e)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		for (size_t before = 0; before < i; before++) {
			const char *other = json_string_value(json_array_get(list, before));

			if (!check_pair(other, json_string_value(item), e))
				return false;
		}
	return true;
}

bool option_split_check(const json_t *options, struct err *e)
{
	size_t devices = json_array_size(list_of(options, "devices"));
	size_t shares = json_array_size(list_of(options, "tensor_split"));
	const char *mode = text_of(options, "split_mode", NULL);

	if (devices < 2 && (shares > 0 || mode)) {
		const char *name = shares > 0 ? "tensor_split" : "split_mode";

		(void)err_set(e, ERR_CONFLICT, "%s needs two devices or more", name);
		return err_hint(e, "name them in devices, or set %s to null", name);
	}
	if (shares > 0 && shares != devices) {
		(void)err_set(e, ERR_CONFLICT, "tensor_split has %zu numbers for %zu devices",
			      shares, devices);
		return err_hint(e, "one number a device, in the same order");
	}
	if (mode && strcmp(mode, "tensor") == 0 &&
	    strcmp(text_of(options, "flash_attn", "on"), "off") == 0) {
		(void)err_set(e, ERR_CONFLICT, "split_mode tensor needs flash_attn on");
		return err_hint(e, "set split_mode to layer, or flash_attn to on");
	}
	return true;
}
