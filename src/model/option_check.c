/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/catalog.h"
#include "model/option.h"
#include "model/option_priv.h"

/* --- errors ------------------------------------------------------------- */

static bool unknown(const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf known = {0};

	for (const struct option *o = option_table(); o->name; o++)
		buf_printf(&known, "%s%s", known.len ? " " : "", o->name);
	err_set(e, ERR_INVALID, "unknown model option '%.40s'; known are: %s", name, known.data);
	return err_hint(e, "shunt set --help explains them");
}

/* "option 'n_ctx' must be a whole number from 256 to 16777216, not \"x\"" */
static bool bad(const struct option *o, const json_t *value, struct err *e)
{
	CLEANUP(free) char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	CLEANUP(buf_done) struct buf want = {0};

	if (o->type == OPTION_CHOICE)
		buf_printf(&want, "one of %s", o->choices);
	else
		buf_str(&want, option_type_name(o->type));
	if (o->type == OPTION_INT || o->type == OPTION_NUMBER || o->type == OPTION_NUMBERS)
		buf_printf(&want, " from %.12g to %.12g", o->min, o->max);
	if (o->type == OPTION_INT && o->choices)
		buf_printf(&want, " or %s", o->choices);
	err_set(e, ERR_INVALID, "option '%s' must be %s, not %.60s", o->name, want.data,
		shown ? shown : "that");
	return err_hint(e, "%s; default: %s", o->help, o->fallback);
}

/* --- values ------------------------------------------------------------- */

bool option_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || strchr(text, '|'))
		return false;
	for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
		if (strncmp(c, text, len) == 0 && (c[len] == '|' || c[len] == '\0'))
			return true;
	return false;
}

static bool check_int(const struct option *o, const json_t *v, struct err *e)
{
	if (o->choices && json_is_string(v) && option_choice(o->choices, json_string_value(v)))
		return true;
	if (!json_is_integer(v) || (double)json_integer_value(v) < o->min ||
	    (double)json_integer_value(v) > o->max)
		return bad(o, v, e);
	return true;
}

static bool check_number(const struct option *o, const json_t *v, struct err *e)
{
	double n = json_number_value(v);

	return (json_is_number(v) && isfinite(n) && n >= o->min && n <= o->max) || bad(o, v, e);
}

static bool check_choice(const struct option *o, const json_t *v, struct err *e)
{
	const char *text = json_string_value(v);

	return (text && option_choice(o->choices, text)) || bad(o, v, e);
}

/* It becomes one argument of llama-server: no NUL in it, and nothing that looks like a flag. */
static const char *plain_text(const json_t *v)
{
	const char *text = json_string_value(v);

	if (!text || strlen(text) != json_string_length(v) || text[0] == '-')
		return NULL;
	return text;
}

static bool check_text(const struct option *o, const json_t *v, struct err *e)
{
	const char *text = plain_text(v);
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return bad(o, v, e);
	if ((double)len < o->min || (double)len > o->max)
		return err_set(e, ERR_INVALID, "option '%s' has %zu bytes; %.0f to %.0f are taken",
			       o->name, len, o->min, o->max);
	return true;
}

static bool check_path(const struct option *o, const json_t *v, struct err *e)
{
	const char *path = plain_text(v);
	struct stat st;

	if (!path || path[0] != '/')
		return bad(o, v, e);
	if (stat(path, &st) < 0)
		return err_set(e, ERR_INVALID, "option '%s': '%.300s': %s", o->name, path,
			       strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "option '%s': '%.300s' is not a regular file",
			       o->name, path);
	if (access(path, R_OK) < 0) {
		err_set(e, ERR_INVALID, "option '%s': '%.300s' cannot be read", o->name, path);
		return err_hint(e, "the daemon runs as user %u: give it the right to read the file",
				(unsigned int)geteuid());
	}
	return true;
}

/* Letters, then digits: Vulkan0, CUDA1. */
static bool check_device(const struct option *o, const json_t *v, struct err *e)
{
	const char *name = plain_text(v), *c = name;

	while (c && isalpha((unsigned char)*c))
		c++;
	if (!name || c == name || !isdigit((unsigned char)*c) || strlen(name) > OPTION_DEVICE_MAX)
		return bad(o, v, e);
	while (isdigit((unsigned char)*c))
		c++;
	return *c == '\0' || bad(o, v, e);
}

static bool check_id(const struct option *o, const json_t *v, struct err *e)
{
	const char *id = plain_text(v);

	return (id && catalog_id_valid(id)) || bad(o, v, e);
}

typedef bool check_fn(const struct option *o, const json_t *v, struct err *e);

static bool check_list(const struct option *o, const json_t *v, check_fn *check, struct err *e)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v))
		return bad(o, v, e);
	if ((double)json_array_size(v) > o->max) {
		err_set(e, ERR_INVALID, "option '%s' has %zu entries; %.0f %s taken", o->name,
			json_array_size(v), o->max, o->max > 1 ? "are" : "is");
		return err_hint(e, "%s", o->help);
	}
	json_array_foreach(v, i, item) {
		if (!check(o, item, e))
			return false;
	}
	return true;
}

static bool check_numbers(const struct option *o, const json_t *v, struct err *e)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v) || json_array_size(v) > OPTION_DEVICES_MAX)
		return bad(o, v, e);
	json_array_foreach(v, i, item) {
		if (!check_number(o, item, e))
			return false;
	}
	return true;
}

static bool check_object(const struct option *o, const json_t *v, struct err *e)
{
	CLEANUP(free) char *text = json_is_object(v) ? json_dumps(v, JSON_COMPACT) : NULL;

	if (!text)
		return bad(o, v, e);
	if ((double)strlen(text) > o->max)
		return err_set(e, ERR_INVALID, "option '%s' has %zu bytes; at most %.0f are taken",
			       o->name, strlen(text), o->max);
	return true;
}

static bool check(const struct option *o, const json_t *v, struct err *e)
{
	switch (o->type) {
	case OPTION_INT:
		return check_int(o, v, e);
	case OPTION_NUMBER:
		return check_number(o, v, e);
	case OPTION_BOOL:
		return json_is_boolean(v) || bad(o, v, e);
	case OPTION_CHOICE:
		return check_choice(o, v, e);
	case OPTION_TEXT:
		return check_text(o, v, e);
	case OPTION_PATH:
		return check_path(o, v, e);
	case OPTION_PATHS:
		return check_list(o, v, check_path, e);
	case OPTION_DEVICES:
		return check_list(o, v, check_device, e) && option_devices_check(v, e);
	case OPTION_NUMBERS:
		return check_numbers(o, v, e);
	case OPTION_IDS:
		return check_list(o, v, check_id, e);
	case OPTION_OBJECT:
		return check_object(o, v, e);
	}
	return bad(o, v, e);
}

/* --- what does not go together ------------------------------------------ */

/* A conflict, as it may be with an option that was set before. */
static bool check_together(const json_t *options, struct err *e)
{
	const char *v = text_of(options, "cache_type_v", "f16");

	bool quantised = !strchr(v, 'f'); /* f32, f16, bf16 are not */

	if (quantised && strcmp(text_of(options, "flash_attn", "on"), "off") == 0) {
		err_set(e, ERR_CONFLICT, "cache_type_v '%s' needs flash_attn on", v);
		return err_hint(e, "set cache_type_v to f16, or flash_attn to on");
	}
	if (json_object_get(options, "rope_scale") && json_object_get(options, "rope_freq_scale")) {
		err_set(e, ERR_CONFLICT, "rope_scale and rope_freq_scale say the same thing twice");
		return err_hint(e, "set one of them to null");
	}
	return option_split_check(options, e) && option_python_check(options, e);
}

/* --- merge -------------------------------------------------------------- */

/* In JSON 53.0 is a whole number; we keep 53. The caller drops it. */
static json_t *tidy(const struct option *o, json_t *value)
{
	double n = json_real_value(value);

	if (o->type == OPTION_INT && json_is_real(value) && fabs(n) < 1e15 && trunc(n) == n)
		return json_integer((json_int_t)n);
	return json_incref(value);
}

static bool merge_one(json_t *options, const char *name, json_t *given, bool *reload, struct err *e)
{
	const struct option *o = option_find(name);
	CLEANUP(json_decref) json_t *value = NULL;
	const json_t *old;

	if (!o)
		return unknown(name, e);
	value = tidy(o, given);
	if (!json_is_null(value) && !check(o, value, e))
		return false;
	old = json_object_get(options, name);
	if (o->reload && !(json_is_null(value) ? old == NULL : json_equal(old, value)))
		*reload = true;
	if (json_is_null(value))
		(void)json_object_del(options, name);
	else
		(void)json_object_set(options, name, value);
	return true;
}

bool option_merge(const char *stored, const json_t *changes, char **ret_text, bool *ret_reload,
		  struct err *e)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);
	bool reload = false;
	const char *name;
	json_t *value;

	if (!json_is_object(options))
		return err_set(e, ERR_SYSTEM, "the stored model options are not a JSON object");
	if (!json_is_object(changes))
		return err_set(e, ERR_INVALID, "model options must be a JSON object");
	json_object_foreach((json_t *)changes, name, value) {
		if (!merge_one(options, name, value, &reload, e))
			return false;
	}
	if (!check_together(options, e))
		return false;
	*ret_text = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
	if (ret_reload)
		*ret_reload = reload;
	return true;
}

/* --- a part of them ----------------------------------------------------- */

char *option_worker_part(const char *stored)
{
	CLEANUP(json_decref) json_t *options = json_loads(stored ? stored : "{}", 0, NULL);

	for (const struct option *o = option_table(); options && o->name; o++)
		if (!o->reload)
			(void)json_object_del(options, o->name);
	return options ? json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS) : mem_dup("{}");
}
