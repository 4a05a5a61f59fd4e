/* SPDX-License-Identifier: ISC */
/*
 * The server's loop: who comes is looked at before libwebsockets gets to know of it, and the loop ends when
 * nobody comes, when the one has left, when the VM ends, or when somebody wants it.
 */
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "web.h"

#define TICK_MS 500
#define FDS_MAX 512	 /* connections and streams at once; more wait in the listener's queue */
#define CHUNK (64 << 10) /* of a WebSocket's message that is handed over at once */
#define PROTOCOL_PAGE 0	 /* their places in protocols[] */
#define PROTOCOL_WATCH 2

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct server *server_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

void server_end(struct server *server, uint32_t how)
{
	if (server->is_over)
		return;
	server->is_over = true;
	server->serve->end = how;
	lws_cancel_service(server->context);
}

void server_came(struct server *server)
{
	server->n_came++;
	server->n_clients++;
}

void server_left(struct server *server)
{
	server->n_clients--;
	server->idle_since_ms = now_ms();
	if (!server->serve->is_many)
		server_end(server, VMF_END_SERVED);
}

static void tick(lws_sorted_usec_list_t *sul)
{
	struct server *server = lws_container_of(sul, struct server, tick);
	const struct vmf_serve *s = server->serve;

	if (!s->goes_on(s->data))
		server_end(server, VMF_END_WANTED);
	else if (s->wait_ms && !server->n_clients && now_ms() - server->idle_since_ms >= s->wait_ms)
		server_end(server, VMF_END_NOBODY);
	else
		lws_sul_schedule(server->context, 0, sul, tick, TICK_MS * LWS_US_PER_MS);
}

/* ---- the listener and what the VM's end is seen by ------------------------------------------ */

static void accept_all(struct server *server, struct lws_vhost *vhost, int listener)
{
	const struct vmf_serve *s = server->serve;

	for (;;) {
		struct sockaddr_storage peer = {0};
		socklen_t length = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (!s->admits(s->data, &peer, (uint32_t)length))
			close(fd);
		else
			lws_adopt_socket_vhost(vhost, fd); /* which closes it if it cannot */
	}
}

static int watch_callback(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct server *server = server_of(wsi);
	int fd;

	(void)user;
	(void)in;
	(void)length;
	if (reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	fd = (int)lws_get_socket_fd(wsi);
	if (fd == server->serve->listener)
		accept_all(server, lws_get_vhost(wsi), fd);
	else
		server_end(server, VMF_END_UNTIL);
	/* it stays readable: not to be asked again before the loop has ended */
	if (server->is_over)
		lws_rx_flow_control(wsi, 0);
	return 0;
}

/* ---- pages and WebSockets ------------------------------------------------------------------- */

static int page_callback(
	struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct server *server = server_of(wsi);
	struct client **client = user;

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return http_request(server, wsi, in);
	case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
		return http_may_see(server, wsi) ? 0 : 1;
	case LWS_CALLBACK_ESTABLISHED:
		*client = client_new(server, wsi);
		return *client ? 0 : -1;
	case LWS_CALLBACK_RECEIVE:
		return client_receive(*client, in, length);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return client_writable(*client);
	case LWS_CALLBACK_CLOSED:
		client_free(*client);
		*client = NULL;
		return 0;
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, length);
	}
}

/* The first is also what pages are served by. noVNC asks for no protocol by name, or for this one. */
static const struct lws_protocols protocols[] = {
	{"binary", page_callback, sizeof(struct client *), CHUNK, 0, NULL, 0},
	{"screen", screen_callback, 0, 0, 0, NULL, 0},
	{"watch", watch_callback, 0, 0, 0, NULL, 0},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- the whole ------------------------------------------------------------------------------ */

static char last_words[256]; /* of libwebsockets, for the message when it cannot begin */

static void note(int level, const char *line)
{
	(void)level;
	snprintf(last_words, sizeof(last_words), "%s", line);
	last_words[strcspn(last_words, "\n")] = '\0';
}

static int make_session(struct server *server, struct vmf_error *err)
{
	unsigned char bytes[SESSION_LENGTH / 2];
	struct sockaddr_in bound = {0}; /* the port is at the same place in IPv6's */
	socklen_t length = sizeof(bound);

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return server->call->host->fail(err, VMF_E_FAILED, errno, NULL, "no random numbers");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(server->session + 2 * i, 3, "%02x", bytes[i]);
	getsockname(server->serve->listener, (struct sockaddr *)&bound, &length);
	snprintf(server->cookie, sizeof(server->cookie), "vmf-%u", (unsigned)ntohs(bound.sin_port));
	return 0;
}

static int watch(struct server *server, struct lws_vhost *vhost, int fd, struct vmf_error *err)
{
	lws_sock_file_fd_type of = {.filefd = fd};

	if (lws_adopt_descriptor_vhost(
		    vhost, LWS_ADOPT_RAW_FILE_DESC, of, protocols[PROTOCOL_WATCH].name, NULL))
		return 0;
	return server->call->host->fail(err, VMF_E_FAILED, 0, NULL, "libwebsockets cannot listen");
}

static int begin(struct server *server, struct lws_context_creation_info *info, struct vmf_error *err)
{
	const struct vmf_host *h = server->call->host;
	const char *tls = h->opt_string(server->call, "tls");
	struct lws_vhost *vhost;
	int until;

	info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info->protocols = protocols;
	info->user = server;
	info->fd_limit_per_thread = FDS_MAX;
	info->server_string = "vmf";
	info->alpn = "http/1.1"; /* WebSockets are opened by no other here */
	if (tls) {
		server->has_tls = true;
		info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info->ssl_cert_filepath = h->printf(server->call, "%s/server-cert.pem", tls);
		info->ssl_private_key_filepath = h->printf(server->call, "%s/server-key.pem", tls);
	}
	lws_set_log_level(LLL_ERR | LLL_WARN, note);
	server->context = lws_create_context(info);
	if (!server->context)
		return h->fail(err, VMF_E_FAILED, 0, tls ? "are its certificate and key right?" : NULL,
			"libwebsockets cannot begin: %s", last_words);
	vhost = lws_get_vhost_by_name(server->context, "default");
	until = dup(server->serve->until_fd); /* it is closed with the rest */
	if (watch(server, vhost, server->serve->listener, err) < 0 || watch(server, vhost, until, err) < 0)
		return -1;
	return 0;
}

int web_serve(const struct vmf_call *c, struct vmf_serve *serve, struct vmf_error *err)
{
	struct lws_context_creation_info info;
	struct server server = {.call = c, .serve = serve, .folder = c->host->opt_string(c, "novnc")};
	int rc;

	memset(&info, 0, sizeof(info));
	rc = make_session(&server, err);
	if (rc == 0)
		rc = begin(&server, &info, err);
	server.idle_since_ms = now_ms();
	if (rc == 0)
		lws_sul_schedule(server.context, 0, &server.tick, tick, LWS_US_PER_MS);
	while (rc == 0 && !server.is_over && lws_service(server.context, 0) >= 0)
		;
	server.is_over = true;
	if (server.context)
		lws_context_destroy(server.context);
	else
		close(serve->listener);
	return rc;
}
