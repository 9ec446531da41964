/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The paths of inference: one row each. */

#include <stdbool.h>

#include "gateway/dialect.h"
#include "gateway/ollama.h"

struct gateway_path {
	const char *path;
	const struct dialect *dialect;
	const char *mode; /* of the models that answer it; NULL: any */
	bool plain;       /* the fast lane serves it, too */
	bool messages;    /* the body must have a list of them, else the worker answers 500 */
	bool form;        /* the body is a form */
	bool python;      /* the runtime python has it */
	enum ollama_kind ollama;
	const char *summary;
};

/* NULL: none of ours. */
const struct gateway_path *gateway_path(const char *path);
