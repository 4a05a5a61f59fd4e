/* SPDX-License-Identifier: ISC */
/*
 * display-web: the screen in a browser. `vmf VM web` listens, serves Debian's noVNC to who has the address,
 * which holds a token that is good for one browser, and carries its WebSocket to QEMU's VNC.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "serve.h"

static const struct vmf_option options[] = {
	{.name = "bind",
		.type = VMF_OPT_STRING,
		.default_value = "127.0.0.1",
		.help = "the address that is listened on",
		.since = "0.1"},
	{.name = "port",
		.type = VMF_OPT_STRING,
		.default_value = "6080-6179",
		.help = "the port, or a range whose first free one is taken",
		.since = "0.1"},
	{.name = "many",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "for all who have the address, until it is stopped; no: for one browser",
		.since = "0.1"},
	{.name = "timeout",
		.type = VMF_OPT_TIME,
		.default_value = "60s",
		.max = INT64_C(7) * 86400000,
		.help = "end if nobody sees the screen for so long; 0: never",
		.since = "0.1"},
	{.name = "allow",
		.type = VMF_OPT_LIST,
		.help = "who may come: addresses, or ranges as in 192.0.2.0/24; all unless told",
		.since = "0.1"},
	{.name = "any_user",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "also other users of this machine may come",
		.since = "0.1"},
	{.name = "tls",
		.type = VMF_OPT_PATH,
		.help = "the folder of a certificate, for https: server-cert.pem, server-key.pem",
		.since = "0.1"},
	{.name = "novnc",
		.type = VMF_OPT_PATH,
		.default_value = "/usr/share/novnc",
		.help = "where noVNC's files are",
		.since = "0.1"},
	{.name = "share",
		.type = VMF_OPT_ENUM,
		.default_value = "ignore",
		.choices = "allow-exclusive|force-shared|ignore",
		.help = "what becomes of a viewer that asks for the screen alone",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_FILE,
		.optional = 1,
		.what = "/usr/share/novnc/vnc.html",
		.package = "novnc",
		.why = "the page that shows the screen"},
};

static int web_check(const struct vmf_call *c, struct vmf_error *err)
{
	static const char *const files[] = {"server-cert.pem", "server-key.pem"};
	const char *tls = c->host->opt_string(c, "tls");

	if (listen_check(c, "6080-6179", err) < 0)
		return -1;
	return tls ? listen_check_files(c, tls, files, VMF_COUNT(files), NULL, err) : 0;
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* QEMU listens nowhere: who comes is handed to it. */
static int web_prepare(const struct vmf_call *c, struct vmf_display *display, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	struct vmf_prop *share = h->alloc(c, sizeof(*share));

	if (web_check(c, err) < 0)
		return -1;
	*share = (struct vmf_prop){
		.key = "share", .type = VMF_PROP_STRING, .string = h->opt_string(c, "share")};
	display->vnc = "none";
	display->props = (struct vmf_props){.items = share, .count = 1, .stride = sizeof(*share)};
	return 0;
}

static int web_info(const struct vmf_call *c, struct vmf_display_info *info, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;

	if (web_check(c, err) < 0)
		return -1;
	info->type = "vnc";
	info->how = h->printf(c, "vmf %s web", c->vm && c->vm->name ? c->vm->name : "VM");
	listen_info(c, info);
	return 0;
}

static int web_url(const struct vmf_call *c, const char *address, uint32_t port, const char *token,
	const char **url, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *page = h->printf(c, "%s/vnc.html", h->opt_string(c, "novnc"));
	char name[256] = "";

	if (web_check(c, err) < 0)
		return -1;
	if (access(page, R_OK) < 0)
		return h->fail(err, VMF_E_MISSING, errno,
			"install Debian's package novnc, or say where it is: novnc = ...", "%s", page);
	if (strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0)
		snprintf(name, sizeof(name), strchr(address, ':') ? "[%s]" : "%s", address);
	else if (gethostname(name, sizeof(name) - 1) < 0)
		return h->fail(err, VMF_E_FAILED, errno, NULL, "this host's name");
	*url = h->printf(c, "%s://%s:%u/?token=%s", h->opt_string(c, "tls") ? "https" : "http", name,
		(unsigned)port, token);
	return 0;
}

static const struct vmf_display_ops ops = {
	.size = sizeof(ops),
	.check = web_check,
	.prepare = web_prepare,
	.info = web_info,
	.url = web_url,
	.serve = web_serve,
};

VMF_PLUGIN(display_web) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_DISPLAY,
	.name = "web",
	.version = PLUGIN_VERSION,
	.summary = "the screen in a browser",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
