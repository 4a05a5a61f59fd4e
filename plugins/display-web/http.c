/* SPDX-License-Identifier: ISC */
/*
 * Pages. The address that `vmf VM web` shows has a token. The first browser that comes with it gets a cookie
 * for it and is sent on to noVNC's page; without the cookie there are neither files nor a screen. So the
 * address is of no use to who finds it later, in a history or over a shoulder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web.h"

#define PAGE "/vnc.html"
#define PAGE_SETTINGS "?autoconnect=true&resize=scale&path=websockify"

/* ---- who may -------------------------------------------------------------------------------- */

/* Takes the same time wherever they differ. */
static bool is_same(const char *a, const char *b)
{
	size_t length = strlen(b);
	unsigned differ = 0;

	if (strlen(a) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
	return !differ;
}

static bool has_cookie(const struct server *server, struct lws *wsi)
{
	char all[2048], wanted[80];
	char *rest = all, *one;
	bool has = false;

	snprintf(wanted, sizeof(wanted), "%s=%s", server->cookie, server->session);
	if (lws_hdr_copy(wsi, all, sizeof(all), WSI_TOKEN_HTTP_COOKIE) <= 0)
		return false;
	while ((one = strsep(&rest, ";"))) {
		one += strspn(one, " ");
		has |= is_same(one, wanted);
	}
	return has;
}

/* Has it the token, which is used up by it? */
static bool shows_token(struct server *server, struct lws *wsi)
{
	char text[128];
	const char *token = lws_get_urlarg_by_name(wsi, "token=", text, sizeof(text));

	if (!token || !is_same(token, server->serve->token) ||
		(server->token_is_used && !server->serve->is_many))
		return false;
	server->token_is_used = true;
	return true;
}

/* A page of somebody else's may not open the WebSocket with the person's cookie (RFC 6455, 10.2). */
bool http_may_see(struct server *server, struct lws *wsi)
{
	char origin[300] = "", host[280] = "", ours[300];

	if (!has_cookie(server, wsi) || (!server->serve->is_many && server->n_came))
		return false;
	lws_hdr_copy(wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN);
	lws_hdr_copy(wsi, host, sizeof(host), WSI_TOKEN_HOST);
	snprintf(ours, sizeof(ours), "%s://%s", server->has_tls ? "https" : "http", host);
	return !*origin || strcmp(origin, ours) == 0;
}

/* ---- answers -------------------------------------------------------------------------------- */

static int add(struct lws *wsi, const char *name, const char *value, unsigned char **at, unsigned char *end)
{
	return lws_add_http_header_by_name(
		wsi, (const unsigned char *)name, (const unsigned char *)value, (int)strlen(value), at, end);
}

static int finish(struct lws *wsi)
{
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int answer(struct lws *wsi, unsigned status, const char *text)
{
	unsigned char head[LWS_PRE + 1024], *begin = head + LWS_PRE, *at = begin,
					    *end = head + sizeof(head) - 1;
	unsigned char body[LWS_PRE + 256];
	size_t length = strlen(text);

	memcpy(body + LWS_PRE, text, length);
	if (lws_add_http_common_headers(wsi, status, "text/plain; charset=utf-8", length, &at, end) ||
		add(wsi, "cache-control:", "no-store", &at, end) ||
		lws_finalize_write_http_header(wsi, begin, &at, end) ||
		lws_write(wsi, body + LWS_PRE, length, LWS_WRITE_HTTP_FINAL) < 0)
		return -1;
	return finish(wsi);
}

/* On to noVNC's page, with the cookie. */
static int welcome(struct server *server, struct lws *wsi)
{
	unsigned char head[LWS_PRE + 1024], *begin = head + LWS_PRE, *at = begin,
					    *end = head + sizeof(head) - 1;
	char cookie[160];

	snprintf(cookie, sizeof(cookie), "%s=%s; HttpOnly; SameSite=Lax; Path=/%s", server->cookie,
		server->session, server->has_tls ? "; Secure" : "");
	if (lws_add_http_header_status(wsi, HTTP_STATUS_SEE_OTHER, &at, end) ||
		add(wsi, "location:", PAGE PAGE_SETTINGS, &at, end) ||
		add(wsi, "set-cookie:", cookie, &at, end) ||
		add(wsi, "cache-control:", "no-store", &at, end) ||
		add(wsi, "referrer-policy:", "no-referrer", &at, end) ||
		lws_add_http_header_content_length(wsi, 0, &at, end) ||
		lws_finalize_write_http_header(wsi, begin, &at, end))
		return -1;
	return finish(wsi);
}

static const char *type_of(const char *path)
{
	static const struct {
		const char *end, *type;
	} types[] = {{".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"}, {".json", "application/json"}, {".svg", "image/svg+xml"},
		{".png", "image/png"}, {".ico", "image/x-icon"}, {".oga", "audio/ogg"},
		{".mp3", "audio/mpeg"}, {".ttf", "font/ttf"}, {".woff", "font/woff"}};
	const char *end = strrchr(path, '.');

	for (size_t i = 0; end && i < VMF_COUNT(types); i++)
		if (strcmp(end, types[i].end) == 0)
			return types[i].type;
	return NULL;
}

static int file(struct server *server, struct lws *wsi, const char *path)
{
	static const char extra[] = "x-frame-options: DENY\r\nx-content-type-options: nosniff\r\n"
				    "referrer-policy: no-referrer\r\n";
	const char *type = type_of(path);
	char full[1024];
	int n;

	/* libwebsockets has resolved what dots it saw */
	if (!type || strstr(path, "..") ||
		snprintf(full, sizeof(full), "%s%s", server->folder, path) >= (int)sizeof(full))
		return answer(wsi, HTTP_STATUS_NOT_FOUND, "There is no such file.\n");
	n = lws_serve_http_file(wsi, full, type, extra, (int)strlen(extra));
	if (n < 0)
		return -1;
	return n > 0 ? finish(wsi) : 0;
}

int http_request(struct server *server, struct lws *wsi, const char *path)
{
	/* a browser that has been here may come by its address again */
	if (strcmp(path, "/") == 0 && (shows_token(server, wsi) || has_cookie(server, wsi)))
		return welcome(server, wsi);
	if (!has_cookie(server, wsi))
		return answer(wsi, HTTP_STATUS_FORBIDDEN,
			"This address is good for the first browser that opens it. `vmf VM web` makes "
			"another.\n");
	return file(server, wsi, path);
}
