/*
 * proc.c - signals, lock files, children and wake-up datagrams. See proc.h.
 */
#include "core/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t stop_count;
static int signal_pipe[2] = { -1, -1 };

static void on_stop(int sig)
{
	int saved = errno;

	(void)sig;
	stop_count++;
	if (signal_pipe[1] >= 0 && write(signal_pipe[1], "s", 1) < 0)
		errno = saved; /* the pipe is full: it is readable anyway */
	errno = saved;
}

void proc_signals_init(void)
{
	struct sigaction sa = { .sa_handler = on_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction reap = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		BUG("pipe2: %s", strerror(errno));
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGCHLD, &reap, NULL);
}

int proc_stop_requested(void)
{
	return (int)stop_count;
}

int proc_signal_fd(void)
{
	return signal_pipe[0];
}

int proc_wait(int fd, int64_t ms)
{
	struct pollfd fds[2] = {
		{ .fd = signal_pipe[0], .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	char drop[16];

	if (poll(fds, fd >= 0 ? 2 : 1, ms > INT_MAX ? INT_MAX : (int)ms) <= 0)
		return 0;
	if (fds[0].revents & POLLIN)
		while (read(signal_pipe[0], drop, sizeof(drop)) > 0)
			;
	return fd >= 0 && (fds[1].revents & POLLIN) != 0;
}

/* ---- lock files ------------------------------------------------------------------- */

int proc_lock_file(const char *path, int *fd, struct sb_err *err)
{
	int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	*fd = -1;
	if (f < 0)
		return sb_err(err, SB_ECONFIG, "Cannot open %s: %s.", path,
			      strerror(errno));
	if (flock(f, LOCK_EX | LOCK_NB) < 0) {
		int saved = errno;

		close(f);
		if (saved == EWOULDBLOCK)
			return 0;
		return sb_err(err, SB_ECONFIG, "Cannot lock %s: %s.", path,
			      strerror(saved));
	}
	*fd = f;
	return 1;
}

int proc_mkdir(const char *path, struct sb_err *err)
{
	struct stat st;

	if (mkdir(path, 0770) == 0)
		return 0;
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return sb_err(err, SB_ECONFIG, "Cannot make the directory %s: %s.", path,
		      strerror(errno));
}

/* ---- children --------------------------------------------------------------------- */

int proc_spawn_detached(char *const argv[], int keep_fd, pid_t *pid, struct sb_err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int rc;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGTERM);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGCHLD);

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, 1);
	/* Onto itself as well: dup2 then clears close-on-exec (POSIX.1-2024, glibc 2.29).
	 */
	posix_spawn_file_actions_adddup2(&actions, keep_fd, PROC_KEEP_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, PROC_KEEP_FD + 1);

	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);

	rc = posix_spawn(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (rc != 0)
		return sb_err(err, SB_ECONFIG, "Cannot start %s: %s.", argv[0],
			      strerror(rc));
	return 0;
}

char *proc_self_dir(TALLOC_CTX *ctx)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n < 0)
		BUG("readlink /proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		BUG("'%s' is not a path", path);
	*slash = '\0';
	return mem_strdup(ctx, path);
}

char *proc_owner(TALLOC_CTX *ctx)
{
	char host[256] = "localhost";

	if (gethostname(host, sizeof(host) - 1) < 0)
		snprintf(host, sizeof(host), "localhost");
	return mem_printf(ctx, "%s/%d", host, (int)getpid());
}

/* ---- wake-up datagrams ------------------------------------------------------------ */

static int wake_address(const char *path, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr->sun_path))
		return -1;
	memcpy(addr->sun_path, path, strlen(path) + 1);
	return 0;
}

int proc_wake_listen(const char *path, int *fd, struct sb_err *err)
{
	struct sockaddr_un addr;

	*fd = -1;
	if (wake_address(path, &addr) < 0)
		return sb_err(err, SB_ECONFIG,
			      "run_dir is too long: '%s' does not fit a socket address.",
			      path);
	*fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return sb_err(err, SB_ECONFIG, "socket: %s.", strerror(errno));
	unlink(path);
	if (bind(*fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(path, 0660) < 0) {
		close(*fd);
		*fd = -1;
		return sb_err(err, SB_ECONFIG, "Cannot listen on %s: %s.", path,
			      strerror(errno));
	}
	return 0;
}

void proc_wake_send(const char *path)
{
	struct sockaddr_un addr;
	int fd;

	if (wake_address(path, &addr) < 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* Nobody there, or its queue is full: the scheduler looks by itself soon. */
	(void)!sendto(fd, "w", 1, 0, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
}

void proc_wake_drain(int fd)
{
	char byte[8];

	while (recv(fd, byte, sizeof(byte), MSG_DONTWAIT) >= 0)
		;
}
