/*
 * main.c - schemabot.fcgi: accept requests on file descriptor 0, one at a time, for ever.
 *
 * Started several times by spawn-fcgi with multiwatch, or by systemd with a socket. TERM
 * lets the request in hand finish and ends the process.
 *
 * Must never: stop because storage is away (handlers say so), or keep what one request
 * allocated for the next.
 */
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "fcgi/dispatch.h"
#include "fcgi/openapi.h"

#define LISTEN_FD 0
/* A request that used more than this gives its pages back to the system afterwards. */
#define TRIM_ABOVE_BYTES (256 * 1024)

/* ---- one request ------------------------------------------------------------------ */

static size_t read_stream(void *source, char *bytes, size_t n)
{
	int got = FCGX_GetStr(bytes, (int)n, source);

	return got > 0 ? (size_t)got : 0;
}

static void send_reply(FCGX_Stream *out, const struct request *req,
		       const struct reply *reply)
{
	char *head = reply_head(reply, req);

	FCGX_PutStr(head, (int)strlen(head), out);
	if (!req->head)
		FCGX_PutStr(reply->text, (int)reply->len, out);
}

static void serve(struct app *app, FCGX_Request *fcgi)
{
	TALLOC_CTX *ctx = mem_ctx(app, "request");
	struct request req;
	struct reply reply;
	size_t used;

	dispatch(app, ctx, fcgi->envp, read_stream, fcgi->in, &req, &reply);
	send_reply(fcgi->out, &req, &reply);
	FCGX_Finish_r(fcgi);
	used = talloc_total_size(ctx);
	talloc_free(ctx);
	if (used > TRIM_ABOVE_BYTES)
		malloc_trim(0);
}

/* ---- accepting -------------------------------------------------------------------- */

/*
 * The listening socket does not block and epoll also watches for signals, so that TERM is
 * never lost between looking and accepting. EPOLLEXCLUSIVE wakes one worker for each
 * connection instead of all that share the socket.
 */
static int make_poll(void)
{
	struct epoll_event connection = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct epoll_event stop = { .events = EPOLLIN };
	int flags = fcntl(LISTEN_FD, F_GETFL);
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (flags < 0 || fcntl(LISTEN_FD, F_SETFL, flags | O_NONBLOCK) < 0 || fd < 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, LISTEN_FD, &connection) < 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, proc_signal_fd(), &stop) < 0)
		BUG("cannot wait for connections: %s", strerror(errno));
	return fd;
}

static int serve_until_stopped(struct app *app)
{
	FCGX_Request fcgi;
	int poll_fd, rc;

	if (FCGX_Init() != 0 ||
	    FCGX_InitRequest(&fcgi, LISTEN_FD, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		BUG("libfcgi does not initialize");
	proc_signals_init(); /* after libfcgi, which has handlers of its own */
	poll_fd = make_poll();
	log_info("api.started", "ready for requests");
	while (!proc_stop_requested()) {
		struct epoll_event event;

		/* Wait only when nobody is waiting for us. */
		rc = FCGX_Accept_r(&fcgi);
		if (rc == 0) {
			serve(app, &fcgi);
		} else if (rc == -EAGAIN) {
			if (epoll_wait(poll_fd, &event, 1, -1) < 0 && errno != EINTR)
				BUG("epoll_wait: %s", strerror(errno));
		} else if (rc != -EINTR) {
			log_error("api.accept.failed",
				  "no more connections can be accepted: %s",
				  rc > -4096 ? strerror(-rc) : "unknown");
			FCGX_Free(&fcgi, 1);
			return EXIT_FAILURE;
		}
	}
	FCGX_Free(&fcgi, 1);
	log_info("api.stopped", "ended on request");
	return EXIT_SUCCESS;
}

/* ---- start ------------------------------------------------------------------------ */

static int print_openapi(TALLOC_CTX *ctx)
{
	struct json_object *document = openapi_document(ctx);

	puts(json_object_to_json_string_ext(
		document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB |
				  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(document);
	return EXIT_SUCCESS;
}

static bool listens(int fd)
{
	int yes = 0;
	socklen_t size = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 && yes;
}

int main(int argc, char **argv)
{
	bool openapi = false;
	const struct program_option options[] = {
		{ "openapi", NULL, "print the OpenAPI document, and end", &openapi,
		  NULL },
	};
	const struct program program = { "schemabot.fcgi",
					 "answers FastCGI requests on file descriptor 0",
					 options, ARRAY_SIZE(options) };
	TALLOC_CTX *ctx = mem_ctx(NULL, "process");
	struct config *config;
	int rc;

	/* Needs no configuration. */
	if (argc == 2 && strcmp(argv[1], "--openapi") == 0) {
		rc = print_openapi(ctx);
		goto out;
	}
	rc = program_start(ctx, &program, argc, argv, &config);
	if (rc >= 0)
		goto out;
	if (!listens(LISTEN_FD)) {
		log_error("api.no_socket",
			  "file descriptor 0 is not a listening socket; start "
			  "this with spawn-fcgi or a systemd socket");
		rc = err_exit_code(SB_ECONFIG);
		goto out;
	}
	rc = serve_until_stopped(app_new(ctx, config));
out:
	talloc_free(ctx);
	return rc;
}
