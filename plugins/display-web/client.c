/* SPDX-License-Identifier: ISC */
/*
 * One browser's WebSocket and the stream to the screen. Each way has one buffer; while it is not empty
 * nothing more is read for it, so a browser that does not listen, or a QEMU that does not, costs one buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web.h"

#define ROOM (64 << 10)

struct client {
	struct server *server;
	struct lws *page, *screen; /* screen: NULL once it is closed */
	int fd;
	size_t n_down;	    /* of DOWN, behind libwebsockets' own room */
	size_t n_up, up_at; /* of UP, and how much QEMU has taken */
	char *up;	    /* what QEMU has not taken; of any length up to one message's chunk */
	unsigned char down[LWS_PRE + ROOM];
};

struct client *client_new(struct server *server, struct lws *wsi)
{
	const struct vmf_serve *s = server->serve;
	struct sockaddr_storage peer = {0};
	socklen_t length = sizeof(peer);
	struct client *client = calloc(1, sizeof(*client));
	lws_sock_file_fd_type of;

	if (!client)
		return NULL;
	client->server = server;
	client->page = wsi;
	getpeername((int)lws_get_socket_fd(wsi), (struct sockaddr *)&peer, &length);
	client->fd = s->open(s->data, &peer, (uint32_t)length);
	if (client->fd < 0) {
		free(client);
		return NULL;
	}
	of.filefd = client->fd;
	client->screen =
		lws_adopt_descriptor_vhost(lws_get_vhost(wsi), LWS_ADOPT_RAW_FILE_DESC, of, "screen", NULL);
	if (!client->screen) {
		free(client);
		return NULL;
	}
	lws_set_opaque_user_data(client->screen, client);
	server_came(server);
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	if (client->screen) {
		lws_set_opaque_user_data(client->screen, NULL);
		lws_set_timeout(client->screen, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	}
	server_left(client->server);
	free(client->up);
	free(client);
}

/* ---- to the screen -------------------------------------------------------------------------- */

/* -1: it is gone. */
static int flush_up(struct client *client)
{
	while (client->up_at < client->n_up) {
		ssize_t n = send(
			client->fd, client->up + client->up_at, client->n_up - client->up_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			lws_callback_on_writable(client->screen);
			return 0;
		}
		if (n < 0)
			return -1;
		client->up_at += (size_t)n;
	}
	client->n_up = client->up_at = 0;
	lws_rx_flow_control(client->page, 1);
	return 0;
}

int client_receive(struct client *client, const void *data, size_t length)
{
	char *more;

	if (!client || !client->screen)
		return -1;
	if (client->n_up + length > 16 * ROOM) /* it was told to wait long ago */
		return -1;
	more = realloc(client->up, client->n_up + length + 1);
	if (!more)
		return -1;
	client->up = more;
	memcpy(client->up + client->n_up, data, length);
	client->n_up += length;
	lws_rx_flow_control(client->page, 0);
	return flush_up(client);
}

/* ---- to the browser ------------------------------------------------------------------------- */

int client_writable(struct client *client)
{
	int n;

	if (!client)
		return -1;
	if (client->n_down) {
		n = lws_write(client->page, client->down + LWS_PRE, client->n_down, LWS_WRITE_BINARY);
		if (n < (int)client->n_down)
			return -1;
		client->n_down = 0;
		if (client->screen)
			lws_rx_flow_control(client->screen, 1);
	}
	return client->screen ? 0 : -1; /* the screen has ended, and its last words are said */
}

static int read_down(struct client *client)
{
	ssize_t n;

	if (client->n_down)
		return 0;
	n = recv(client->fd, client->down + LWS_PRE, ROOM, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	client->n_down = (size_t)n;
	lws_rx_flow_control(client->screen, 0);
	lws_callback_on_writable(client->page);
	return 0;
}

int screen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct client *client = lws_get_opaque_user_data(wsi);

	(void)user;
	(void)in;
	(void)length;
	if (!client) /* its browser is gone: close it */
		return reason == LWS_CALLBACK_RAW_RX_FILE || reason == LWS_CALLBACK_RAW_WRITEABLE_FILE ? -1
												       : 0;
	switch (reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		return read_down(client);
	case LWS_CALLBACK_RAW_WRITEABLE_FILE:
		return flush_up(client);
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		client->screen = NULL;
		lws_callback_on_writable(client->page);
		return 0;
	default:
		return 0;
	}
}
