/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/gguf_part.h"
#include "model/split_name.h"

/* Pooling types of llama.h: 1 mean, 2 cls, 3 last; 4 ranks. */
#define POOLING_MEAN 1
#define POOLING_RANK 4

static const char *const encoders[] = {
	"bert",         "modern-bert",  "nomic-bert", "nomic-bert-moe",  "neo-bert",
	"jina-bert-v2", "jina-bert-v3", "eurobert",   "gemma-embedding", "t5encoder",
};

void gguf_free(struct gguf *g)
{
	if (!g)
		return;
	free(g->architecture);
	free(g->kind);
	free(g->name);
	free(g->quantization);
	free(g);
}

/* --- one file ----------------------------------------------------------- */

static const char *kind_of_file(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a folder";
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

static bool cannot_open(const char *path, int errnum, struct err *e)
{
	if (errnum == ENOENT || errnum == ENOTDIR)
		return err_set(e, ERR_NOT_FOUND, "no file '%s'", path);
	if (errnum != EACCES)
		return err_sys(e, errnum, "open '%s'", path);
	err_set(e, ERR_INVALID, "'%s' cannot be read: permission denied", path);
	return err_hint(e,
			"the daemon runs as user %u: give it the right to read the file and "
			"its folders",
			(unsigned int)geteuid());
}

static bool is_regular(const char *path, const struct stat *st, struct err *e)
{
	if (S_ISREG(st->st_mode))
		return true;
	err_set(e, ERR_INVALID, "'%s' is %s, not a GGUF file", path, kind_of_file(st->st_mode));
	return err_hint(e, "give the path of a .gguf file");
}

/* Looks before it opens (opening a device may do something), and again after (it may have been
 * replaced). O_NONBLOCK: a FIFO must not stop us. */
static bool read_file(const char *path, struct gguf_part *ret, int64_t *ret_size, struct err *e)
{
	CLEANUP(close) int fd = -1;
	CLEANUP(reader_done) struct gguf_reader r = {.fd = -1};
	struct stat st;

	if (stat(path, &st) < 0)
		return cannot_open(path, errno, e);
	if (!is_regular(path, &st, e))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cannot_open(path, errno, e);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "look at '%s'", path);
	if (!is_regular(path, &st, e))
		return false;
	*ret_size = st.st_size;
	reader_init_file(&r, path, fd, (uint64_t)st.st_size);
	return gguf_part_parse(&r, ret, e);
}

/* --- split files -------------------------------------------------------- */

/* Caller frees. NULL: the name does not say what the file says. */
static char *part_path(const char *path, const struct gguf_part *p, int part)
{
	struct split_name s;

	return split_name_parse(path, &s) && s.part == p->split_no + 1 && s.count == p->split_count
		       ? split_name_of(path, &s, part)
		       : NULL;
}

static bool is_first_part(const char *path, const struct gguf_part *p, struct err *e)
{
	CLEANUP(free) char *first = NULL;

	if (p->split_count > SPLIT_PARTS_MAX || p->split_no >= p->split_count)
		return err_set(e, ERR_INVALID,
			       "'%s': part %" PRId64 " of %" PRId64 " is not possible", path,
			       p->split_no + 1, p->split_count);
	first = part_path(path, p, 1);
	if (!first) {
		err_set(e, ERR_INVALID,
			"'%s' is part %" PRId64 " of %" PRId64
			", but its name does not end in -%05" PRId64 "-of-%05" PRId64 ".gguf",
			path, p->split_no + 1, p->split_count, p->split_no + 1, p->split_count);
		return err_hint(e, "give all parts their names back");
	}
	if (p->split_no == 0)
		return true;
	err_set(e, ERR_INVALID, "'%s' is part %" PRId64 " of %" PRId64, path, p->split_no + 1,
		p->split_count);
	return err_hint(e, "give the first part: %.200s", first);
}

static bool add_part(const char *path, int64_t no, struct gguf_part *sum, int64_t *bytes,
		     struct err *e)
{
	struct gguf_part part;
	int64_t size = 0;

	if (!read_file(path, &part, &size, e)) {
		(void)err_wrap(e, "part %" PRId64 " of %" PRId64, no + 1, sum->split_count);
		return err_hint(e, "all %" PRId64 " parts must lie in one folder",
				sum->split_count);
	}
	if (part.split_no != no || part.split_count != sum->split_count)
		return err_set(e, ERR_INVALID, "'%s' says that it is part %" PRId64 " of %" PRId64,
			       path, part.split_no + 1, part.split_count);
	if (__builtin_add_overflow(sum->elements, part.elements, &sum->elements))
		return err_set(e, ERR_INVALID, "'%s': too many elements", path);
	for (int i = 0; i < GGUF_TENSOR_TYPES; i++)
		sum->elements_of[i] += part.elements_of[i];
	gguf_shape_join(&sum->shape, &part.shape);
	sum->tensors += part.tensors;
	sum->has_classifier |= part.has_classifier;
	*bytes += size;
	return true;
}

static bool add_parts(const char *path, struct gguf_part *p, int64_t *bytes, struct err *e)
{
	if (!is_first_part(path, p, e))
		return false;
	for (int i = 1; i < p->split_count; i++) {
		CLEANUP(free) char *next = part_path(path, p, i + 1);

		if (!add_part(next, i, p, bytes, e))
			return false;
	}
	if (p->split_tensors >= 0 && p->tensors != p->split_tensors)
		return err_set(e, ERR_INVALID,
			       "'%s': its parts have %" PRId64 " tensors, not %" PRId64, path,
			       p->tensors, p->split_tensors);
	return true;
}

/* --- facts -------------------------------------------------------------- */

/* By elements: norms are many, but small. */
static const char *common_type(const struct gguf_part *p)
{
	int most = 0;

	for (int i = 1; i < GGUF_TENSOR_TYPES; i++)
		if (p->elements_of[i] > p->elements_of[most])
			most = i;
	return gguf_tensor_type((uint32_t)most)->name;
}

static bool is_encoder(const char *architecture)
{
	for (size_t i = 0; i < ARRAY_LEN(encoders); i++)
		if (strcmp(architecture, encoders[i]) == 0)
			return true;
	return false;
}

/* How many bytes the UTF-8 character has; 0: not one, or a control character. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	uint32_t c = n == 1 ? s[0] : s[0] & (0xFFU >> (n + 1));
	static const uint32_t least[] = {0, 0x20, 0xA0, 0x800, 0x10000};

	if ((s[0] >= 0x80 && s[0] < 0xC2) || s[0] > 0xF4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	return c < least[n] || c == 0x7F || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? 0 : n;
}

/* A copy without what JSON or a terminal would not take; NULL when nothing is left. */
static char *clean_text(const char *text)
{
	char *clean = mem_alloc(strlen(text) + 1), *out = clean;

	while (*text) {
		size_t n = utf8_length((const unsigned char *)text);

		memcpy(out, text, n);
		out += n;
		text += n > 0 ? n : 1;
	}
	if (out == clean)
		free(STEAL(clean));
	return clean;
}

static struct gguf *facts(const struct gguf_part *p, int64_t bytes)
{
	struct gguf *g = mem_alloc(sizeof(*g));
	const char *type = gguf_file_type(p->file_type);

	g->architecture = mem_dup(p->architecture);
	g->kind = p->kind[0] ? mem_dup(p->kind) : NULL;
	g->name = clean_text(p->name);
	g->quantization = mem_dup(type ? type : common_type(p));
	g->parameters = p->elements;
	g->context_length = p->context_length;
	g->block_count = p->block_count;
	g->embedding_length = p->embedding_length;
	g->head_count = p->head_count;
	g->shape = p->shape;
	g->has_chat_template = p->has_chat_template;
	g->knows_tools = p->knows_tools;
	g->has_vision = p->has_vision;
	g->has_audio = p->has_audio;
	g->is_rerank = p->pooling_type == POOLING_RANK ||
		       (is_encoder(p->architecture) && p->has_classifier);
	g->is_embedding = !g->is_rerank &&
			  (is_encoder(p->architecture) ||
			   (p->pooling_type >= POOLING_MEAN && p->pooling_type < POOLING_RANK));
	g->split_count = p->split_count > 1 ? (int)p->split_count : 1;
	g->file_bytes = bytes;
	return g;
}

bool gguf_template_knows_tools(const char *chat_template)
{
	return strstr(chat_template, "tools") != NULL;
}

bool gguf_read(const char *path, struct gguf **ret, struct err *e)
{
	struct gguf_part p;
	int64_t bytes = 0;

	if (!read_file(path, &p, &bytes, e))
		return false;
	if (p.split_count > 1 && !add_parts(path, &p, &bytes, e))
		return false;
	if (!p.architecture[0])
		return err_set(e, ERR_INVALID, "'%s' has no general.architecture", path);
	*ret = facts(&p, bytes);
	return true;
}
