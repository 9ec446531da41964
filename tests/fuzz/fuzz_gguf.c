/* SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer: any bytes as one GGUF file. tests/fuzz/gguf holds seeds and past crashes. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "model/gguf_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gguf_reader r;
	struct gguf_part part;
	struct err e = {0};

	reader_init_memory(&r, data, size);
	if (gguf_part_parse(&r, &part, &e))
		assert(part.elements >= 0 && r.at <= size);
	else
		assert(e.kind == ERR_INVALID && e.msg[0] != '\0');
	reader_done(&r);
	return 0;
}
