/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/download.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "test_server.h"

/* What all servers here have: 100,000 bytes, and its hash. */
enum { SIZE = 100 * 1000 };

struct content {
	char data[SIZE];
	char hash[HASH_HEX_SIZE];
};

static void make_content(struct content *c, int seed)
{
	CLEANUP(hash_free) struct hash *h = hash_new();

	for (int i = 0; i < SIZE; i++)
		c->data[i] = (char)(i * 7 + i / 251 + seed);
	hash_add(h, c->data, SIZE);
	hash_hex(h, c->hash);
}

/* A folder, a content, and where the download goes. */
struct fixture {
	char *dir;
	char *path;
	char *part;
	char *from;
	struct content content;
	struct test_server server;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->dir = test_dir_new();
	f->path = fs_join(f->dir, "file");
	f->part = fs_join(f->dir, "file.part");
	f->from = fs_join(f->dir, "file.part.from");
	make_content(&f->content, 0);
	f->server.arg = &f->content;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	test_dir_free(f->dir);
	free(f->path);
	free(f->part);
	free(f->from);
	free(f);
	return 0;
}

static const char *const headers_ok =
	"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"v1\"\r\n\r\n";

static void serve_whole(struct test_server *s, int conn, const char *request)
{
	const struct content *c = s->arg;

	test_server_printf(conn, "%s", headers_ok);
	test_server_send(conn, c->data, SIZE);
}

static void serve_no_length(struct test_server *s, int conn, const char *request)
{
	const struct content *c = s->arg;

	test_server_printf(conn, "HTTP/1.1 200 OK\r\n\r\n");
	test_server_send(conn, c->data, SIZE);
}

/* The connection breaks in the middle. */
static void serve_half(struct test_server *s, int conn, const char *request)
{
	const struct content *c = s->arg;

	test_server_printf(conn, "%s", headers_ok);
	test_server_send(conn, c->data, SIZE / 2);
}

/* Ranges as asked; If-Range is honoured for "v1". */
static void serve_range(struct test_server *s, int conn, const char *request)
{
	const struct content *c = s->arg;
	const char *range = strstr(request, "Range: bytes=");
	const char *version = strstr(request, "If-Range: ");
	unsigned long at = range ? strtoul(range + 13, NULL, 10) : 0;

	if (range == NULL || (version && strncmp(version + 10, "\"v1\"", 4) != 0)) {
		serve_whole(s, conn, request);
		return;
	}
	if (at >= SIZE) {
		test_server_printf(conn,
				   "HTTP/1.1 416 No\r\nContent-Length: 0\r\n"
				   "Content-Range: bytes */%d\r\n\r\n",
				   SIZE);
		return;
	}
	test_server_printf(conn,
			   "HTTP/1.1 206 Part\r\nContent-Length: %lu\r\n"
			   "Content-Range: bytes %lu-%d/%d\r\n\r\n",
			   SIZE - at, at, SIZE - 1, SIZE);
	test_server_send(conn, c->data + at, SIZE - at);
}

static void serve_wrong_range(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 206 Part\r\nContent-Length: 4\r\n"
				 "Content-Range: bytes 7-10/100000\r\n\r\nabcd");
}

static void serve_redirect(struct test_server *s, int conn, const char *request)
{
	if (strstr(request, "GET /start") != NULL)
		test_server_printf(conn,
				   "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: %s/end\r\n"
				   "Content-Length: 4\r\n\r\nbody",
				   s->url);
	else
		serve_whole(s, conn, request);
}

static void serve_redirect_to_file(struct test_server *s, int conn, const char *request)
{
	test_server_printf(
		conn, "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: file:///etc/passwd\r\n"
		      "Content-Length: 0\r\n\r\n");
}

static void serve_loop(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /again\r\n"
				 "Content-Length: 0\r\n\r\n");
}

static void serve_empty(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void serve_huge(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\nx");
	test_server_hang(conn);
}

static void serve_status(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 %s No\r\nContent-Length: 10\r\n\r\nerror page",
			   (const char *)s->arg);
}

static void serve_nothing(struct test_server *s, int conn, const char *request)
{
	test_server_hang(conn);
}

typedef void serve_fn(struct test_server *, int, const char *);

/* One download from a server of that kind. */
static bool get(struct fixture *f, serve_fn *serve, struct download d)
{
	CLEANUP(free) char *url = NULL;
	bool ok = false;

	f->server.serve = serve;
	err_clear(&f->e);
	test_server_start(&f->server, NULL);
	url = mem_printf("%s/%s", f->server.url, d.url ? d.url : "file");
	d.url = url;
	d.path = f->path;
	ok = download(&d, &f->e);
	test_server_stop(&f->server);
	return ok;
}

static void assert_there(struct fixture *f)
{
	CLEANUP(free) char *data = NULL;
	size_t size = 0;

	data = test_read(f->path, &size);
	assert_int_equal(size, SIZE);
	assert_memory_equal(data, f->content.data, SIZE);
	assert_false(fs_exists(f->part));
	assert_false(fs_exists(f->from));
}

static void assert_nothing_left(struct fixture *f)
{
	assert_false(fs_exists(f->path));
	assert_false(fs_exists(f->part));
	assert_false(fs_exists(f->from));
}

static void a_file_comes_whole_and_verified(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *upper = mem_dup(f->content.hash);

	assert_true(get(f, serve_whole, (struct download){.sha256 = f->content.hash}));
	assert_there(f);
	for (char *p = upper; *p; p++)
		*p = *p >= 'a' ? (char)(*p - 32) : *p;
	assert_true(get(f, serve_no_length, (struct download){.sha256 = upper}));
	assert_there(f);
}

static void a_wrong_hash_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct content other;

	make_content(&other, 1);
	assert_false(get(f, serve_whole, (struct download){.sha256 = other.hash}));
	assert_int_equal(f->e.kind, ERR_VERIFY);
	assert_non_null(strstr(f->e.msg, other.hash));
	assert_non_null(strstr(f->e.msg, f->content.hash));
	assert_nothing_left(f);
	assert_false(get(f, serve_whole, (struct download){.sha256 = "abc"}));
	assert_int_equal(f->e.kind, ERR_INVALID);
}

static void break_off(struct fixture *f, const char *sha256)
{
	assert_false(get(f, serve_half, (struct download){.sha256 = sha256}));
	assert_int_equal(f->e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(f->e.hint, "50000 bytes"));
	assert_false(fs_exists(f->path));
	assert_true(fs_exists(f->part));
}

static void a_broken_download_goes_on_where_it_broke(void **state)
{
	struct fixture *f = *state;

	break_off(f, f->content.hash);
	assert_true(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_true(test_server_asked(&f->server, "Range: bytes=50000-\r\n"));
	assert_there(f);
}

static void a_server_that_ignores_ranges_starts_again(void **state)
{
	struct fixture *f = *state;

	break_off(f, f->content.hash);
	assert_true(get(f, serve_whole, (struct download){.sha256 = f->content.hash}));
	assert_true(test_server_asked(&f->server, "Range: bytes=50000-\r\n"));
	assert_there(f);
}

/* The port differs each time, so the URL does: what began elsewhere is not gone on with. */
static void without_a_hash_only_the_same_version_goes_on(void **state)
{
	struct fixture *f = *state;

	break_off(f, NULL);
	assert_true(get(f, serve_range, (struct download){0}));
	assert_false(test_server_asked(&f->server, "Range: bytes"));
	assert_there(f);
}

/* First the half, then what the second server does, at one URL. */
static void serve_half_once(struct test_server *s, int conn, const char *request)
{
	if (strstr(request, "Range:") == NULL)
		serve_half(s, conn, request);
	else
		serve_range(s, conn, request);
}

static void serve_half_then_new_version(struct test_server *s, int conn, const char *request)
{
	static struct content other; /* only this thread */

	if (strstr(request, "Range:") == NULL) {
		serve_half(s, conn, request);
		return;
	}
	make_content(&other, 1);
	test_server_printf(conn,
			   "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"v2\"\r\n\r\n");
	test_server_send(conn, other.data, SIZE);
}

static void twice_at_one_url(struct fixture *f, serve_fn *serve)
{
	f->server.serve = serve;
	test_server_start(&f->server, NULL);
	struct download d = {.url = f->server.url, .path = f->path};
	assert_false(download(&d, &f->e));
	assert_int_equal(f->e.kind, ERR_UNAVAILABLE);
	err_clear(&f->e);
	assert_true(download(&d, &f->e));
	assert_true(test_server_asked(&f->server, "Range: bytes=50000-\r\n"));
	assert_true(test_server_asked(&f->server, "If-Range: \"v1\"\r\n"));
	test_server_stop(&f->server);
}

static void without_a_hash_the_server_says_whether_it_is_the_same(void **state)
{
	struct fixture *f = *state;

	twice_at_one_url(f, serve_half_once);
	assert_there(f);
	twice_at_one_url(f, serve_half_then_new_version);
	make_content(&f->content, 1);
	assert_there(f);
}

static void a_whole_part_needs_no_byte_more(void **state)
{
	struct fixture *f = *state;

	test_write(f->part, f->content.data, SIZE);
	assert_true(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_int_equal(test_server_requests(&f->server), 1);
	assert_there(f);
}

static void a_part_of_something_longer_starts_again(void **state)
{
	struct fixture *f = *state;
	char longer[SIZE + 5] = {0};

	test_write(f->part, longer, sizeof(longer));
	assert_true(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_there(f);
}

static void a_part_of_something_else_is_found_by_the_hash(void **state)
{
	struct fixture *f = *state;

	test_write(f->part, "something else", 14);
	assert_false(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_int_equal(f->e.kind, ERR_VERIFY);
	assert_nothing_left(f);
}

static void a_wrong_range_is_refused(void **state)
{
	struct fixture *f = *state;

	test_write(f->part, "half", 4);
	assert_false(get(f, serve_wrong_range, (struct download){.sha256 = f->content.hash}));
	assert_int_equal(f->e.kind, ERR_UNAVAILABLE);
	assert_nothing_left(f);
}

static void redirects_are_followed_within_http(void **state)
{
	struct fixture *f = *state;

	assert_true(get(f, serve_redirect, (struct download){.url = "start"}));
	assert_int_equal(test_server_requests(&f->server), 2);
	assert_there(f);
	assert_int_equal(unlink(f->path), 0);
	assert_false(get(f, serve_redirect_to_file, (struct download){0}));
	assert_non_null(strstr(f->e.msg, "file"));
	assert_nothing_left(f);
	assert_false(get(f, serve_loop, (struct download){0}));
	assert_non_null(strstr(f->e.msg, "redirects"));
	assert_nothing_left(f);
}

/* 503, then half, then 429, then the rest. */
static void serve_with_trouble(struct test_server *s, int conn, const char *request)
{
	switch (test_server_requests(s)) {
	case 1:
		test_server_printf(conn, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
		break;
	case 2:
		serve_half(s, conn, request);
		break;
	case 3:
		test_server_printf(conn, "HTTP/1.1 429 No\r\nContent-Length: 0\r\n"
					 "Retry-After: 1\r\n\r\n");
		break;
	default:
		serve_range(s, conn, request);
	}
}

static void serve_later(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn, "HTTP/1.1 429 No\r\nContent-Length: 0\r\n"
				 "Retry-After: 86400\r\n\r\n");
}

/* What was waited for, in order. */
struct waits {
	int count;
	int64_t ms[8];
	enum err_kind kind[8];
};

static void on_wait(void *arg, const struct err *why, int64_t ms)
{
	struct waits *w = arg;

	assert_true(w->count < 8);
	w->ms[w->count] = ms;
	w->kind[w->count++] = why->kind;
}

static void trouble_that_passes_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct waits w = {0};
	struct download d = {.sha256 = f->content.hash, .tries = 3, .on_wait = on_wait, .arg = &w};

	assert_true(get(f, serve_with_trouble, d));
	assert_there(f);
	assert_true(test_server_asked(&f->server, "Range: bytes=50000-\r\n"));
	assert_int_equal(w.count, 3);
	assert_int_equal(w.ms[0], 500);
	assert_int_equal(w.ms[1], 500); /* it got on meanwhile */
	assert_int_equal(w.ms[2], 1000);
	assert_int_equal(w.kind[0], ERR_UNAVAILABLE);
}

static void trouble_that_stays_is_told(void **state)
{
	struct fixture *f = *state;
	struct waits w = {0};
	struct download d = {.tries = 2, .on_wait = on_wait, .arg = &w};

	f->server.arg = "500";
	assert_false(get(f, serve_status, d));
	assert_int_equal(w.count, 1);
	assert_int_equal(f->e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(f->e.msg, "answered 500"));
	f->server.arg = "404";
	assert_false(get(f, serve_status, d)); /* will not be there in a second */
	assert_false(get(f, serve_later, d));  /* nobody waits a day */
	assert_int_equal(w.count, 1);
	assert_nothing_left(f);
}

static void serve_redirect_elsewhere(struct test_server *s, int conn, const char *request)
{
	test_server_printf(conn,
			   "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: %s/end\r\n"
			   "Content-Length: 0\r\n\r\n",
			   (const char *)s->arg);
}

static void the_token_stays_at_its_host(void **state)
{
	struct fixture *f = *state;
	struct test_server other = {.serve = serve_whole, .arg = &f->content};
	const struct download d = {.token = "secret-token"};

	test_server_start(&other, NULL);
	f->server.arg = other.url;
	assert_true(get(f, serve_redirect_elsewhere, d));
	assert_there(f);
	assert_true(test_server_asked(&f->server, "Authorization: Bearer secret-token\r\n"));
	assert_true(test_server_asked(&other, "GET /end"));
	assert_false(test_server_asked(&other, "secret-token"));
	test_server_stop(&other);
}

static void the_token_crosses_no_network_in_clear_text(void **state)
{
	static const struct {
		const char *url;
		bool private;
	} cases[] = {
		{"https://example.org/f", true},
		{"HTTPS://example.org/f", true},
		{"http://localhost:80/f", true},
		{"http://127.0.0.1/f", true},
		{"http://127.1.2.3:8080", true},
		{"http://[::1]:80/f", true},
		{"http://example.org/f", false},
		{"http://localhost.example.org/f", false},
		{"http://127.0.0.1.example.org/f", false},
		{"http://127.0.0.1@example.org/f", false},
		{"http://example.org/127.0.0.1", false},
		{"http://10.0.0.1/f", false},
		{"http://0.0.0.0/f", false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (download_is_private(cases[i].url) != cases[i].private)
			fail_msg("%s", cases[i].url);
	struct download d = {.url = "http://example.org/f", .path = f->path, .token = "secret"};
	assert_false(download(&d, &f->e));
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_non_null(strstr(f->e.msg, "clear text"));
	assert_null(strstr(f->e.msg, "secret"));
	assert_nothing_left(f);
}

static void a_proxy_is_not_asked_for_this_machine(void **state)
{
	struct fixture *f = *state;
	struct test_server proxy = {.serve = serve_whole, .arg = &f->content};

	test_server_start(&proxy, NULL);
	assert_int_equal(setenv("http_proxy", proxy.url, 1), 0);
	assert_true(get(f, serve_whole, (struct download){.token = "secret-token"}));
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_false(test_server_asked(&proxy, "GET "));
	assert_true(test_server_asked(&f->server, "secret-token"));
	test_server_stop(&proxy);
}

static void what_is_too_large_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	assert_false(get(f, serve_whole, (struct download){.max_bytes = SIZE - 1}));
	assert_int_equal(f->e.kind, ERR_TOO_LARGE);
	assert_nothing_left(f);
	assert_false(get(f, serve_no_length, (struct download){.max_bytes = SIZE - 1}));
	assert_int_equal(f->e.kind, ERR_TOO_LARGE);
	assert_nothing_left(f);
	assert_true(get(f, serve_no_length, (struct download){.max_bytes = SIZE}));
}

static void what_cannot_fit_is_refused_at_once(void **state)
{
	struct fixture *f = *state;

	assert_false(get(f, serve_huge, (struct download){0}));
	assert_int_equal(f->e.kind, ERR_NO_SPACE);
	assert_non_null(strstr(f->e.msg, "it needs 9000000000000000 bytes more"));
	assert_nothing_left(f);
}

#ifdef SHUNT_FAULTS
static void what_a_full_disk_took_is_gone_on_with(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(setenv("FAULT", "fs.write:3:full", 1), 0);
	assert_false(get(f, serve_no_length, (struct download){.sha256 = f->content.hash}));
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_int_equal(f->e.kind, ERR_NO_SPACE);
	assert_non_null(strstr(f->e.hint, "goes on"));
	assert_false(fs_exists(f->path));
	assert_int_equal(stat(f->part, &st), 0);
	assert_true(st.st_size > 0);
	assert_true(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_true(test_server_asked(&f->server, "Range: bytes="));
	assert_there(f);
}

static void a_file_that_gets_no_name_is_whole_the_next_time(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("FAULT", "fs.rename:1", 1), 0);
	assert_false(get(f, serve_whole, (struct download){.sha256 = f->content.hash}));
	assert_int_equal(unsetenv("FAULT"), 0);
	assert_false(fs_exists(f->path));
	assert_true(get(f, serve_range, (struct download){.sha256 = f->content.hash}));
	assert_there(f);
}
#endif

static void status_is(struct fixture *f, const char *status, enum err_kind kind)
{
	f->server.arg = status;
	assert_false(get(f, serve_status, (struct download){0}));
	assert_int_equal(f->e.kind, kind);
	assert_non_null(strstr(f->e.msg, status));
	assert_true(f->e.hint[0] != '\0');
	assert_nothing_left(f);
}

static void refusals_are_told_apart(void **state)
{
	status_is(*state, "404", ERR_NOT_FOUND);
	status_is(*state, "403", ERR_FORBIDDEN);
	status_is(*state, "503", ERR_UNAVAILABLE);
	status_is(*state, "429", ERR_UNAVAILABLE);
	status_is(*state, "204", ERR_SYSTEM);
	status_is(*state, "418", ERR_SYSTEM);
}

static void nobody_there_is_unreachable_and_secrets_stay_hidden(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *url = NULL;

	f->server.serve = serve_whole;
	test_server_start(&f->server, NULL);
	test_server_stop(&f->server);
	url = mem_printf("http://me:secret@%s/f?token=secret", f->server.url + 7);
	struct download d = {.url = url, .path = f->path};
	assert_false(download(&d, &f->e));
	assert_int_equal(f->e.kind, ERR_UNREACHABLE);
	assert_null(strstr(f->e.msg, "secret"));
	assert_nothing_left(f);
}

static bool yes(void *arg)
{
	return true;
}

static void a_cancelled_download_ends_soon(void **state)
{
	struct fixture *f = *state;
	int64_t start_ms = clock_ms();

	assert_false(get(f, serve_nothing, (struct download){.cancelled = yes}));
	assert_int_equal(f->e.kind, ERR_CANCELLED);
	assert_in_range(clock_ms() - start_ms, 0, 1000);
	assert_nothing_left(f);
}

static void keep_last(void *arg, int64_t done, int64_t total)
{
	int64_t *last = arg;

	assert_true(done >= last[0]);
	last[0] = done;
	last[1] = total;
}

static void progress_ends_with_the_whole(void **state)
{
	struct fixture *f = *state;
	int64_t last[2] = {0};

	assert_true(get(f, serve_whole, (struct download){.on_progress = keep_last, .arg = last}));
	assert_int_equal(last[0], SIZE);
	assert_int_equal(last[1], SIZE);
}

static void an_empty_file_is_a_file(void **state)
{
	struct fixture *f = *state;
	struct stat st = {0};

	assert_true(get(f, serve_empty, (struct download){0}));
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void two_at_once_do_not_mix(void **state)
{
	struct fixture *f = *state;
	int fd = -1;

	assert_true(fs_lock(f->part, FS_LOCK_TRY, &fd, NULL));
	assert_false(get(f, serve_whole, (struct download){0}));
	assert_int_equal(f->e.kind, ERR_BUSY);
	assert_true(fs_exists(f->part));
	(void)close(fd);
}

/* --- file: ------------------------------------------------------------------------------------ */

static bool get_file(struct fixture *f, const char *url, const char *sha256)
{
	struct download d = {.url = url, .path = f->path, .sha256 = sha256};

	err_clear(&f->e);
	return download(&d, &f->e);
}

static void a_file_url_is_copied(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *source = fs_join(f->dir, "so urce");
	CLEANUP(free) char *url = mem_printf("file://%s/so%%20urce", f->dir);

	test_write(source, f->content.data, SIZE);
	test_write(f->part, "left over", 9);
	assert_true(get_file(f, url, f->content.hash));
	assert_there(f);
}

static void a_file_url_of_no_file_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(free) char *fifo = fs_join(f->dir, "fifo");
	CLEANUP(free) char *fifo_url = mem_printf("file://%s", fifo);
	CLEANUP(free) char *dir_url = mem_printf("file://%s", f->dir);
	CLEANUP(free) char *none_url = mem_printf("file://%s/none", f->dir);

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_false(get_file(f, fifo_url, NULL));
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_false(get_file(f, dir_url, NULL));
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_false(get_file(f, none_url, NULL));
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_false(get_file(f, "file://elsewhere/x", NULL));
	assert_false(get_file(f, "ftp://localhost/x", NULL));
	assert_non_null(strstr(f->e.msg, "ftp://localhost/x"));
	assert_false(get_file(f, "just text", NULL));
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_non_null(strstr(f->e.msg, "just text"));
	assert_nothing_left(f);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_comes_whole_and_verified),
		TEST(a_wrong_hash_leaves_nothing),
		TEST(a_broken_download_goes_on_where_it_broke),
		TEST(a_server_that_ignores_ranges_starts_again),
		TEST(without_a_hash_only_the_same_version_goes_on),
		TEST(without_a_hash_the_server_says_whether_it_is_the_same),
		TEST(a_whole_part_needs_no_byte_more),
		TEST(a_part_of_something_longer_starts_again),
		TEST(a_part_of_something_else_is_found_by_the_hash),
		TEST(a_wrong_range_is_refused),
		TEST(redirects_are_followed_within_http),
		TEST(trouble_that_passes_is_waited_for),
		TEST(trouble_that_stays_is_told),
		TEST(the_token_stays_at_its_host),
		TEST(the_token_crosses_no_network_in_clear_text),
		TEST(a_proxy_is_not_asked_for_this_machine),
		TEST(what_is_too_large_leaves_nothing),
		TEST(what_cannot_fit_is_refused_at_once),
#ifdef SHUNT_FAULTS
		TEST(what_a_full_disk_took_is_gone_on_with),
		TEST(a_file_that_gets_no_name_is_whole_the_next_time),
#endif
		TEST(refusals_are_told_apart),
		TEST(nobody_there_is_unreachable_and_secrets_stay_hidden),
		TEST(a_cancelled_download_ends_soon),
		TEST(progress_ends_with_the_whole),
		TEST(an_empty_file_is_a_file),
		TEST(two_at_once_do_not_mix),
		TEST(a_file_url_is_copied),
		TEST(a_file_url_of_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
