/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker_priv.h"

/* When memory runs out the kernel takes a worker, not the daemon or the user's session. */
#define WORKER_OOM_SCORE 500

/* A fresh folder for every start, empty, because llama.cpp looks for backend modules in its working
 * directory; and a fresh socket name, so that no kept connection can mistake one start for another.
 */
static bool make_folder(struct worker *w, struct err *e)
{
	CLEANUP(free) char *folder = mem_printf("%s/w-XXXXXX", w->sv->run_dir);

	if (!mkdtemp(folder))
		return err_sys(e, errno, "make a folder for a worker in '%s'", w->sv->run_dir);
	w->folder = STEAL(folder);
	w->pid_file = orphan_pid_file(w->folder);
	w->socket_name = mem_printf("%s.sock", strrchr(w->folder, '-') + 1);
	w->folder_fd = open(w->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->folder_fd >= 0 || err_sys(e, errno, "open '%s'", w->folder);
}

/* A path longer than a socket address may be goes through our descriptor of the folder. */
static void name_socket(struct worker *w)
{
	w->socket = mem_printf("%s/%s", w->folder, w->socket_name);
	if (strlen(w->socket) < sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return;
	free(w->socket);
	w->socket = mem_printf("/proc/self/fd/%d/%s", w->folder_fd, w->socket_name);
}

static void make_args(const struct worker *w, struct strv *ret)
{
	const char *fixed[] = {"--host",  w->socket_name, "--alias",  w->model_id,
			       "--model", w->model_path,  "--device", w->device};

	for (size_t i = 0; i < w->command.count; i++)
		strv_add(ret, w->command.items[i]);
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		strv_add(ret, fixed[i]);
	for (size_t i = 0; i < w->args.count; i++)
		strv_add(ret, w->args.items[i]);
	if (w->context.dir) {
		strv_add(ret, "--slot-save-path");
		strv_add(ret, w->context.dir);
	}
}

/* A socket, not a pipe, for its stdin: writing to one that nobody reads raises no signal. Under a
 * guard, for what it starts itself, such as decoders of videos. */
static bool run(struct worker *w, int output, struct err *e)
{
	CLEANUP(strv_done) struct strv args = {0};
	const struct rlimit no_core = {0, 0};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, errno, "socketpair for the input of a worker");
	CLEANUP(close) int theirs = ends[1];
	w->input = ends[0];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe for the guard of a worker");
	CLEANUP(close) int guards = ends[0];
	w->lifeline = ends[1];
	make_args(w, &args);
	struct proc_spec spec = {.argv = strv_items(&args),
				 .env = strv_items(&w->environ),
				 .cwd = w->folder,
				 .in = theirs,
				 .out = output,
				 .err = output,
				 .death_signal = SIGKILL,
				 .oom_score_adj = WORKER_OOM_SCORE,
				 .guarded = true,
				 .lifeline = guards};
	if (!proc_spawn(&spec, &w->proc, e))
		return false;
	/* A core file would be as big as the model, and is written before the end is seen. */
	(void)prlimit(w->proc.program, RLIMIT_CORE, &no_core, NULL);
	return orphan_note(w->pid_file, &w->proc, e);
}

bool spawn_server(struct worker *w, struct err *e)
{
	CLEANUP(free) char *log = supervisor_log_path(w->sv, w->model_id);
	CLEANUP(free) char *note = NULL;
	CLEANUP(close) int output = -1;

	if (!make_folder(w, e) || !output_open(&w->out, log, &output, e))
		return false;
	name_socket(w);
	note = mem_printf("%s on %s (device %s), model %s", w->environment, w->backend, w->device,
			  w->model_path);
	output_note(&w->out, note);
	if (!run(w, output, e)) {
		proc_stop(&w->proc, 0);
		return false;
	}
	pthread_mutex_lock(&w->lock);
	w->started = clock_wall_ms();
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->pid, w->proc.program);
	log_info("worker started model=\"%s\" environment=%s device=%s pid=%d", w->model_id,
		 w->environment, w->device, w->proc.program);
	return true;
}

void spawn_clean(struct worker *w)
{
	struct err e = {0};

	atomic_store(&w->pid, 0);
	output_done(&w->out);
	pulse_done(&w->dog.pulse);
	close_p(&w->input);
	close_p(&w->lifeline);
	w->input = w->lifeline = -1;
	if (w->pid_file)
		(void)unlink(w->pid_file);
	if (w->folder && !fs_remove_tree(w->folder, &e))
		log_warn("worker folder left reason=\"%s\", continuing", e.msg);
}
