/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/data_dir.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

char *data_dir(void)
{
	CLEANUP(free) char *self = fs_real("/proc/self/exe");
	CLEANUP(free) char *bin = self ? fs_dirname(self) : NULL;
	CLEANUP(free) char *beside = bin ? fs_join(bin, "../share/shunt") : NULL;

#ifdef SHUNT_SOURCE_DATA_DIR
	if (self &&
	    strncmp(self, SHUNT_SOURCE_DATA_DIR "/", strlen(SHUNT_SOURCE_DATA_DIR) + 1) == 0)
		return mem_dup(SHUNT_SOURCE_DATA_DIR);
#endif
	if (beside && fs_is_folder(beside))
		return STEAL(beside);
	return mem_dup(SHUNT_DATA_DIR);
}
