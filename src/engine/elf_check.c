/* SPDX-License-Identifier: Apache-2.0 */
/* Reads 64-bit little-endian ELF files, the only kind that is built here. */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine_priv.h"

struct image {
	const unsigned char *data;
	size_t size;
	const char *name;   /* for errors, without the folder */
	const char *beside; /* RUNPATH that it may have besides $ORIGIN; NULL: none */
};

static void image_done_p(struct image *im)
{
	if (im->data != NULL)
		(void)munmap((void *)im->data, im->size);
}

static bool open_image(const char *path, struct image *ret, struct err *e)
{
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st = {0};
	void *data = NULL;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open '%s'", path);
	ret->name = strrchr(path, '/') + 1;
	ret->size = (size_t)st.st_size;
	if (st.st_size == 0)
		return true;
	data = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_sys(e, errno, "read '%s'", path);
	ret->data = data;
	return true;
}

/* Copies, as nothing in a file need be aligned; false: not in the file. */
static bool get(const struct image *im, uint64_t at, void *ret, size_t size)
{
	if (at > im->size || size > im->size - at)
		return false;
	memcpy(ret, im->data + at, size);
	return true;
}

static bool is_elf(const struct image *im)
{
	return im->size >= sizeof(Elf64_Ehdr) && memcmp(im->data, ELFMAG, SELFMAG) == 0 &&
	       im->data[EI_CLASS] == ELFCLASS64 && im->data[EI_DATA] == ELFDATA2LSB;
}

/* The file's place of an address, by the segments that are loaded. */
static bool place_of(const struct image *im, const Elf64_Ehdr *eh, uint64_t address,
		     uint64_t *ret_at)
{
	for (int i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;

		if (get(im, eh->e_phoff + (uint64_t)i * sizeof(ph), &ph, sizeof(ph)) &&
		    ph.p_type == PT_LOAD && address >= ph.p_vaddr &&
		    address - ph.p_vaddr < ph.p_filesz) {
			*ret_at = address - ph.p_vaddr + ph.p_offset;
			return true;
		}
	}
	return false;
}

/* Value of an entry of the dynamic section; false: it has none. */
static bool dynamic(const struct image *im, const Elf64_Ehdr *eh, int64_t tag, uint64_t *ret)
{
	for (int i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;
		Elf64_Dyn dyn;

		if (!get(im, eh->e_phoff + (uint64_t)i * sizeof(ph), &ph, sizeof(ph)) ||
		    ph.p_type != PT_DYNAMIC)
			continue;
		for (uint64_t at = 0; at + sizeof(dyn) <= ph.p_filesz; at += sizeof(dyn)) {
			if (!get(im, ph.p_offset + at, &dyn, sizeof(dyn)) || dyn.d_tag == DT_NULL)
				break;
			if (dyn.d_tag == tag) {
				*ret = dyn.d_un.d_val;
				return true;
			}
		}
	}
	return false;
}

static bool is_text(const char *entry, size_t len, const char *text)
{
	return text != NULL && len == strlen(text) && strncmp(entry, text, len) == 0;
}

static bool check_entry(const struct image *im, const char *entry, size_t len, struct err *e)
{
	if (is_text(entry, len, "$ORIGIN") || is_text(entry, len, im->beside))
		return true;
	return err_set(e, ERR_BUILD, "'%s' looks for libraries in '%.*s', not beside itself",
		       im->name, (int)len, entry);
}

static bool check_run_path(const struct image *im, const char *text, struct err *e)
{
	for (;;) {
		size_t len = strcspn(text, ":");

		if (!check_entry(im, text, len, e))
			return false;
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
}

static bool check_dynamic(const struct image *im, int64_t tag, struct err *e)
{
	Elf64_Ehdr eh;
	uint64_t strings = 0;
	uint64_t offset = 0;
	uint64_t at = 0;

	if (!get(im, 0, &eh, sizeof(eh)) || !dynamic(im, &eh, tag, &offset))
		return true;
	if (!dynamic(im, &eh, DT_STRTAB, &strings) || !place_of(im, &eh, strings, &at) ||
	    offset > im->size || at + offset >= im->size ||
	    memchr(im->data + at + offset, '\0', im->size - at - offset) == NULL)
		return err_set(e, ERR_BUILD, "'%s' is a damaged ELF file", im->name);
	return check_run_path(im, (const char *)im->data + at + offset, e);
}

bool elf_check(const char *path, const char *stage, const char *beside, struct err *e)
{
	CLEANUP(image_done) struct image im = {.beside = beside};

	if (!open_image(path, &im, e))
		return false;
	if (is_elf(&im) && (!check_dynamic(&im, DT_RUNPATH, e) || !check_dynamic(&im, DT_RPATH, e)))
		return false;
	if (im.data != NULL && memmem(im.data, im.size, stage, strlen(stage)) != NULL)
		return err_set(e, ERR_BUILD, "'%s' contains the path of the folder it was built in",
			       im.name);
	return true;
}
