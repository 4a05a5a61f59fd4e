/* SPDX-License-Identifier: ISC */
/* Between the files of display-web only. */
#ifndef VMF_WEB_H
#define VMF_WEB_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmf/plugin.h>

#define SESSION_LENGTH 32 /* characters of the cookie: 128 bits */

struct client;

/* One run of serve(). */
struct server {
	const struct vmf_call *call;
	struct vmf_serve *serve;
	struct lws_context *context;
	const char *folder;   /* noVNC's files */
	bool has_tls;
	char session[SESSION_LENGTH + 1]; /* what the cookie of those says who have shown the token */
	char cookie[32];      /* the cookie's name, with the port: browsers keep one jar for all ports of a host */
	bool token_is_used;
	unsigned n_clients, n_came; /* that see the screen; that ever did */
	int64_t idle_since_ms;      /* nobody has seen it since then */
	bool is_over;
	lws_sorted_usec_list_t tick;
};

struct server *server_of(struct lws *wsi);
void server_end(struct server *server, uint32_t how);
/* Somebody sees the screen, or does so no longer. */
void server_came(struct server *server);
void server_left(struct server *server);

/* ---- http.c -------------------------------------------------------------------------------- */

/* A request for PATH; what lws wants of its callback. */
int http_request(struct server *server, struct lws *wsi, const char *path);
/* May that request open the WebSocket? It has the cookie, and comes from a page of ours. */
bool http_may_see(struct server *server, struct lws *wsi);

/* ---- client.c ------------------------------------------------------------------------------ */

/* A WebSocket has been opened: it gets a stream to the screen. NULL: there is none, or not now. */
struct client *client_new(struct server *server, struct lws *wsi);
/* It is closed; the stream, too. */
void client_free(struct client *client);
/* It has sent something. -1: close it. */
int client_receive(struct client *client, const void *data, size_t length);
/* It can take something. -1: close it. */
int client_writable(struct client *client);
/* The protocol of the streams to the screen. */
int screen_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length);

#endif
