/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Errors: a kind for machines, a sentence for people, a hint that says what to do.
 * A struct err lives in the caller's frame and owns nothing. Setting it twice is a bug (assert).
 */

#include <stdbool.h>
#include <stddef.h>

/* kind, name in the API, HTTP status, exit code of the command: the only place they are listed. */
/* clang-format off */
#define ERR_KINDS(X)                                                    \
	X(ERR_NONE,          "ok",                  200, 0)             \
	X(ERR_INVALID,       "invalid_request",     400, 2)             \
	X(ERR_UNAUTHORIZED,  "unauthorized",        401, 1)             \
	X(ERR_FORBIDDEN,     "forbidden",           403, 1)             \
	X(ERR_NOT_FOUND,     "not_found",           404, 3)             \
	X(ERR_CONFLICT,      "conflict",            409, 4)             \
	X(ERR_TOO_LARGE,     "too_large",           413, 1)             \
	X(ERR_TOOLKIT,       "toolkit_missing",     424, 1)             \
	X(ERR_CONSENT,       "consent_needed",      424, 1)             \
	X(ERR_BUSY,          "busy",                429, 1)             \
	X(ERR_CANCELLED,     "cancelled",           409, 1)             \
	X(ERR_SYSTEM,        "internal",            500, 1)             \
	X(ERR_NO_SPACE,      "no_space",            507, 1)             \
	X(ERR_BUILD,         "build_failed",        500, 1)             \
	X(ERR_VERIFY,        "verification_failed", 500, 1)             \
	X(ERR_NOT_SUPPORTED, "not_supported",       501, 1)             \
	X(ERR_WORKER,        "worker_failed",       502, 1)             \
	X(ERR_UNAVAILABLE,   "unavailable",         503, 1)             \
	X(ERR_UNREACHABLE,   "unreachable",         503, 5)
/* clang-format on */

#define ERR_ENUM(kind, name, http, code) kind,
enum err_kind { ERR_KINDS(ERR_ENUM) ERR_KIND_COUNT };
#undef ERR_ENUM

struct err {
	enum err_kind kind;
	char msg[512];  /* names the thing and the cause */
	char hint[256]; /* the remedy, "" when there is none */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* All return false, so that a failing function can end with them. e may be NULL. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds ": <strerror>". ENOSPC and EDQUOT become ERR_NO_SPACE, everything else ERR_SYSTEM. */
bool err_sys(struct err *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "<text>: " before the message of an error that is set. Keeps kind and hint. */
bool err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Sets the hint of an error that is set; an earlier hint stays. */
bool err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
#if defined(__clang_analyzer__) && !defined(ERR_INSIDE)
/* What clang-tidy cannot know, as it sees one file at a time. */
/* clang-format off */
#define ERR_FALSE(call) ({ (void)(call); false; })
/* clang-format on */
#define err_set(...) ERR_FALSE((err_set)(__VA_ARGS__))
#define err_sys(...) ERR_FALSE((err_sys)(__VA_ARGS__))
#define err_wrap(...) ERR_FALSE((err_wrap)(__VA_ARGS__))
#define err_hint(...) ERR_FALSE((err_hint)(__VA_ARGS__))
#endif

/* Makes e empty again. */
void err_clear(struct err *e);

const char *err_name(enum err_kind kind);
int err_http_status(enum err_kind kind);
int err_exit_code(enum err_kind kind);
/* Kind of an API name; ERR_SYSTEM for one we don't know. */
enum err_kind err_kind_from_name(const char *name);
