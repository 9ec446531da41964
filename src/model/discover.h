/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * GGUF files that are here already: registers each model below a folder once, whatever links lead
 * to it. Links to files are followed (that is how caches are made), links to folders are not, so
 * there is no loop. Any thread; asked again it finds nothing new.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "db/db.h"

enum { DISCOVER_DEPTH = 10, DISCOVER_ENTRIES = 100000, DISCOVER_MODELS = 1000 };

enum discovery_kind { DISCOVERED_NEW, DISCOVERED_KNOWN, DISCOVERED_UNFIT };
struct discovery {
	enum discovery_kind kind;
	const char *path;
	const char *id;     /* NULL: none */
	const char *reason; /* of what is unfit: a projector, damaged, unreadable, its id taken */
};

/* Tells of each. *ret_whole: false when a bound above ended it. ERR_NOT_FOUND, ERR_INVALID: no
 * folder; others are the database's, and what was told before it is registered. e: not NULL. */
MUST_CHECK bool discover(struct db *db, const char *folder,
			 void (*tell)(void *arg, const struct discovery *d), void *arg,
			 bool *ret_whole, struct err *e);
/* Where other programs keep models, of the user who runs this: those that exist. */
void discover_places(struct strv *ret);
