/* SPDX-License-Identifier: Apache-2.0 */
#include "api/field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/mem.h"
#include "model/catalog.h"
#include "model/option.h"

/* --- forms -------------------------------------------------------------- */

bool field_is_id(const char *text, struct err *e)
{
	if (catalog_id_valid(text))
		return true;
	(void)err_set(e, ERR_INVALID, "'%.60s'%s is not a model id", text,
		      strlen(text) > 60 ? "…" : "");
	return err_hint(e, "1 to 200 of A-Z a-z 0-9 . _ : @ + -, the first a letter or digit; "
			   "'loaded' is reserved");
}

static bool is_backend(const char *text, struct err *e)
{
	const struct backend *b = NULL;

	return backend_require(text, &b, e);
}

static bool is_backend_or_auto(const char *text, struct err *e)
{
	return strcasecmp(text, "auto") == 0 || is_backend(text, e);
}

static bool is_path(const char *text, struct err *e)
{
	if (text[0] == '/')
		return true;
	(void)err_set(e, ERR_INVALID, "path '%.200s' is not absolute", text);
	return err_hint(e, "write it from the root: /home/…/model.gguf");
}

static bool is_arch(const char *text, struct err *e)
{
	static const char signs[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	const char *at = text;
	size_t len = strspn(at, signs);

	while (len >= 2 && len <= 7 && at[len] == ',') {
		at += len + 1;
		len = strspn(at, signs);
	}
	if (len >= 2 && len <= 7 && at[len] == '\0')
		return true;
	(void)err_set(e, ERR_INVALID, "arch '%.100s' is no architecture of a GPU", text);
	return err_hint(e, "CUDA: 90 for compute capability 9.0, several as 86,90; ROCm: gfx1100");
}

static const struct {
	const char *pattern, *format;
	bool (*check)(const char *text, struct err *e); /* NULL: only in answers */
} forms[] = {
	[FORM_ANY] = {NULL, NULL, NULL},
	[FORM_ID] = {"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,199}$", NULL, field_is_id},
	[FORM_BACKEND] = {NULL, NULL, is_backend},
	[FORM_BACKEND_OR_AUTO] = {NULL, NULL, is_backend_or_auto},
	[FORM_PATH] = {NULL, "path", is_path},
	[FORM_FOLDER] = {NULL, "folder", is_path},
	[FORM_ARCH] = {"^[0-9a-z]{2,7}(,[0-9a-z]{2,7})*$", NULL, is_arch},
	[FORM_TASK] = {"^[0-9a-f]{16}$", NULL, NULL},
	[FORM_TIME] = {NULL, "date-time", NULL},
};

const char *field_pattern(enum field_form form)
{
	return forms[form].pattern;
}

const char *field_format(enum field_form form)
{
	return forms[form].format;
}

/* --- what it must be ---------------------------------------------------- */

/* "a, b or c" */
static void add_word(struct buf *out, const char *word, bool last)
{
	buf_printf(out, "%s%s", !out->len ? "" : last ? " or " : ", ", word);
}

static void add_choices(const char *choices, bool last, struct buf *out)
{
	while (*choices) {
		size_t len = strcspn(choices, "|");
		CLEANUP(free) char *word = mem_printf("\"%.*s\"", (int)len, choices);

		choices += len + (choices[len] == '|');
		add_word(out, word, last && !*choices);
	}
}

static void add_bounds(const struct field *f, struct buf *out)
{
	if (f->min == 0 && f->max == 0)
		return;
	buf_printf(out,
		   (f->types & FIELD_TEXT) ? " of %.12g to %.12g characters"
					   : " from %.12g to %.12g",
		   f->min, f->max);
}

static void describe(const struct field *f, struct buf *out)
{
	static const struct {
		unsigned type;
		const char *words;
	} known[] = {
		{FIELD_TEXT, "a string"},    {FIELD_INT, "a whole number"},
		{FIELD_NUMBER, "a number"},  {FIELD_OBJECT, "an object"},
		{FIELD_BOOL, "true, false"}, {FIELD_NULL, "null"},
	};
	unsigned left = f->types & ~(unsigned)FIELD_LIST;

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!(left & known[i].type))
			continue;
		left &= ~known[i].type;
		if (known[i].type == FIELD_TEXT && f->choices)
			add_choices(f->choices, !left, out);
		else if (known[i].type == FIELD_BOOL)
			buf_printf(out, "%strue%sfalse", out->len ? ", " : "",
				   left ? ", " : " or ");
		else
			add_word(out, known[i].words, !left);
	}
	add_bounds(f, out);
}

static bool has_type(const json_t *value, unsigned types)
{
	return ((types & FIELD_TEXT) && json_is_string(value)) ||
	       ((types & FIELD_BOOL) && json_is_boolean(value)) ||
	       ((types & FIELD_INT) && json_is_integer(value)) ||
	       ((types & FIELD_NUMBER) && json_is_number(value)) ||
	       ((types & FIELD_OBJECT) && json_is_object(value)) ||
	       ((types & FIELD_NULL) && json_is_null(value));
}

/* Of UTF-8, which jansson has checked. */
static double characters(const char *text)
{
	double n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static bool in_bounds(const struct field *f, const json_t *value)
{
	const char *text = json_string_value(value);
	double n = text ? characters(text) : json_number_value(value);

	if ((f->min == 0 && f->max == 0) || !(text || json_is_number(value)))
		return true;
	return n >= f->min && n <= f->max;
}

static bool check_one(const struct field *f, const char *what, const json_t *value, struct err *e)
{
	const char *text = json_string_value(value);
	CLEANUP(buf_done) struct buf words = {0};

	if (has_type(value, f->types) && in_bounds(f, value) &&
	    (!text || !f->choices || option_choice(f->choices, text)))
		return !text || !forms[f->form].check || forms[f->form].check(text, e);
	describe(f, &words);
	(void)err_set(e, ERR_INVALID, "%s must be %s%s", what,
		      (f->types & FIELD_LIST) ? "a list, each " : "", words.data);
	return err_hint(e, "%s", f->help ? f->help : "");
}

bool field_check(const struct field *f, const char *what, const json_t *value, struct err *e)
{
	const json_t *item;
	size_t i;

	if (!(f->types & FIELD_LIST))
		return check_one(f, what, value, e);
	if (!json_is_array(value))
		return check_one(f, what, NULL, e);
	json_array_foreach(value, i, item)
		if (!check_one(f, what, item, e))
			return false;
	return true;
}

const struct field *field_find(const struct field *list, const char *name)
{
	for (const struct field *f = list; f && f->name; f++)
		if (!f->header && strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* One of two, and only one. */
static bool check_instead(const struct field *f, const json_t *object, struct err *e)
{
	bool here = json_object_get(object, f->name), there = json_object_get(object, f->instead);

	if (here != there)
		return true;
	(void)err_set(e, ERR_INVALID,
		      here ? "both '%s' and '%s' are given" : "neither '%s' nor '%s' is given",
		      f->name, f->instead);
	return err_hint(e, "'%s' is %s", f->name, f->help);
}

bool field_complete(const struct field *list, const char *what, json_t *object, struct err *e)
{
	for (const struct field *f = list; f && f->name; f++) {
		if (f->instead && !check_instead(f, object, e))
			return false;
		if (f->header || json_object_get(object, f->name))
			continue;
		if (f->required) {
			(void)err_set(e, ERR_INVALID, "%s '%s' is missing", what, f->name);
			return err_hint(e, "%s", f->help);
		}
		if (f->fallback)
			json_object_set_new(object, f->name,
					    json_loads(f->fallback, JSON_DECODE_ANY, NULL));
	}
	return true;
}

/* --- queries ------------------------------------------------------------ */

static json_t *value_of(const struct field *f, const char *text)
{
	char *end = NULL;
	long long number;

	if ((f->types & FIELD_BOOL) && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		return json_boolean(text[0] == 't');
	if (f->types & FIELD_INT) {
		errno = 0;
		number = strtoll(text, &end, 10);
		if (!errno && end != text && !*end && strchr("-0123456789", text[0]))
			return json_integer(number);
	}
	return json_string(text);
}

bool field_take_query(const struct field *list, const char *name, const char *text, json_t *object,
		      struct err *e)
{
	const struct field *f = field_find(list, name);
	CLEANUP(free) char *what = mem_printf("?%.40s=%.40s:", name, text ? text : "");
	CLEANUP(buf_done) struct buf known = {0};
	json_t *value;

	if (!f) {
		for (f = list; f && f->name; f++)
			if (!f->header)
				buf_printf(&known, "%s%s", known.len ? ", " : "", f->name);
		(void)err_set(e, ERR_INVALID, "unknown query parameter '%.60s'", name);
		return err_hint(e, "known here: %s", known.len ? known.data : "none");
	}
	value = text ? value_of(f, text) : NULL;
	if (!value)
		return err_set(e, ERR_INVALID, "?%.40s= is not UTF-8, or has a bad escape", name);
	if (json_object_get(object, name)) {
		json_decref(value);
		return err_set(e, ERR_INVALID, "?%.40s= is there twice", name);
	}
	json_object_set_new(object, name, value);
	return field_check(f, what, value, e);
}
