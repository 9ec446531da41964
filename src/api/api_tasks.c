/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: lists, one with the end of its log, the whole log, cancel. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handlers.h"
#include "base/fs.h"

#define LOG_TAIL 4096

static json_t *error_json(const struct db_task *t)
{
	if (!t->error_type && !t->error_message)
		return json_null();
	return answer_error(t->error_type, t->error_message, t->error_hint);
}

/* A client that sees a pull succeeded may use the model with its next request. */
static void meet_pulled(struct api *a, const struct db_task *t, const json_t *result)
{
	const char *id = json_string_value(json_object_get(result, "model"));

	if (id && strcmp(t->kind, "pull") == 0 && strcmp(t->state, "succeeded") == 0)
		model_ensure(a, id);
}

json_t *task_json(struct api *a, const struct db_task *t, bool with_log)
{
	json_t *j = json_object(), *result = answer_stored(t->result);

	meet_pulled(a, t, result);
	json_object_set_new(j, "id", answer_text(t->id));
	json_object_set_new(j, "kind", answer_text(t->kind));
	json_object_set_new(j, "state", answer_text(t->state));
	json_object_set_new(j, "model", answer_text(t->model));
	json_object_set_new(j, "environment", answer_text(t->environment));
	json_object_set_new(j, "gpu_backend", answer_text(t->backend));
	json_object_set_new(j, "step", answer_text(t->step));
	json_object_set_new(j, "step_n", json_integer(t->step_n));
	json_object_set_new(j, "step_count", json_integer(t->step_count));
	json_object_set_new(j, "percent", json_real(t->percent));
	json_object_set_new(j, "done", json_boolean(tasks_is_done(t)));
	json_object_set_new(j, "message", answer_text(t->message));
	json_object_set_new(j, "error", error_json(t));
	json_object_set_new(j, "result", result);
	json_object_set_new(j, "created", answer_time(t->created));
	json_object_set_new(j, "started", answer_time(t->started));
	json_object_set_new(j, "finished", answer_time(t->finished));
	if (with_log) {
		CLEANUP(free) char *path = tasks_log_path(a->s.tasks, t->id);
		CLEANUP(free) char *tail = path ? fs_tail(path, LOG_TAIL) : NULL;

		json_object_set_new(j, "log_tail", answer_text(tail ? tail : ""));
	}
	return j;
}

json_t *tasks_json(struct api *a, const char *state, const char *model, int limit, struct err *e)
{
	struct db_task *tasks = NULL;
	size_t count = 0;
	json_t *list;

	if (!tasks_list(a->s.tasks, state, model, limit, &tasks, &count, e))
		return NULL;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, task_json(a, &tasks[i], false));
	db_tasks_free(tasks, count);
	return list;
}

bool tasks_get_list(struct call *c, struct err *e)
{
	json_t *list = tasks_json(c->api, call_query_text(c, "state"), call_query_text(c, "model"),
				  (int)call_query_int(c, "limit"), e);

	if (!list)
		return false;
	call_set(c, "tasks", list);
	return true;
}

bool task_require(const char *id, struct err *e)
{
	if (strlen(id) == TASK_ID_SIZE - 1 && strspn(id, "0123456789abcdef") == TASK_ID_SIZE - 1)
		return true;
	(void)err_set(e, ERR_NOT_FOUND, "no task '%.60s'", id);
	return err_hint(e, "a task's id has 16 hexadecimal digits; GET /tasks lists them");
}

bool tasks_get_one(struct call *c, struct err *e)
{
	struct db_task t = {0};

	if (!task_require(c->match.part, e))
		return false;
	if (!tasks_get(c->api->s.tasks, c->match.part, &t, e))
		return err_hint(e, "GET /tasks lists the tasks");
	call_set(c, "task", task_json(c->api, &t, true));
	db_task_done(&t);
	return true;
}

/* The file from offset to the end that it has now. Takes fd over. */
static bool answer_file(struct call *c, int fd, int64_t offset, struct err *e)
{
	struct stat st;
	char next[32];
	int64_t size;

	if (fstat(fd, &st) < 0) {
		(void)err_sys(e, errno, "the task's log");
		close_p(&fd);
		return false;
	}
	size = st.st_size > offset ? st.st_size - offset : 0;
	(void)snprintf(next, sizeof(next), "%" PRId64, offset + size);
	c->response = MHD_create_response_from_fd_at_offset64((uint64_t)size, fd, (uint64_t)offset);
	MHD_add_response_header(c->response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"text/plain; charset=utf-8");
	MHD_add_response_header(c->response, "X-Next-Offset", next);
	return true;
}

bool tasks_get_log(struct call *c, struct err *e)
{
	CLEANUP(free) char *path = NULL;
	struct db_task t = {0};
	int fd;

	if (!task_require(c->match.part, e))
		return false;
	if (!tasks_get(c->api->s.tasks, c->match.part, &t, e))
		return err_hint(e, "GET /tasks lists the tasks");
	db_task_done(&t);
	path = tasks_log_path(c->api->s.tasks, c->match.part);
	fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (fd >= 0)
		return answer_file(c, fd, call_query_int(c, "offset"), e);
	call_set_text(c, "text/plain; charset=utf-8", mem_dup("")); /* nothing printed yet */
	MHD_add_response_header(c->response, "X-Next-Offset", "0");
	return true;
}

bool tasks_post_cancel(struct call *c, struct err *e)
{
	c->status = MHD_HTTP_ACCEPTED; /* it ends soon */
	return task_require(c->match.part, e) && tasks_cancel(c->api->s.tasks, c->match.part, e) &&
	       tasks_get_one(c, e);
}
