/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The GPUs of this machine, for doctor: a line each, and why NVIDIA's driver shows none. */

#include "base/err.h"
#include "cli/cli.h"

MUST_CHECK bool gpus_print(const struct cli_options *o, struct err *e);
