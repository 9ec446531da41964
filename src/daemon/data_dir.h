/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The folder with engine/: the checkout's for a binary inside it, else <prefix>/share/shunt beside
 * the binary, else where the package put it. Caller frees. */
char *data_dir(void);
