/* SPDX-License-Identifier: ISC */
/*
 * display-vnc-tcp: VNC by TCP, for those who are let in. QEMU itself listens nowhere: `vmf VM vnc` listens
 * when somebody is to come, as the options here say, and hands to QEMU whoever has come.
 */
#include "listen.h"

static const struct vmf_option options[] = {
	{.name = "bind",
		.type = VMF_OPT_STRING,
		.default_value = "127.0.0.1",
		.help = "the address that relays listen on",
		.since = "0.1"},
	{.name = "port",
		.type = VMF_OPT_STRING,
		.default_value = "5900-5999",
		.help = "the port, or a range whose first free one is taken",
		.since = "0.1"},
	{.name = "many",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "a relay serves all who come, until it is stopped; no: one client, and then it ends",
		.since = "0.1"},
	{.name = "timeout",
		.type = VMF_OPT_TIME,
		.default_value = "60s",
		.max = INT64_C(7) * 86400000,
		.help = "a relay ends if nobody comes for so long; 0: never",
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
	{.name = "password",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "QEMU wants a password, which each relay makes anew and shows",
		.since = "0.1"},
	{.name = "tls",
		.type = VMF_OPT_PATH,
		.help = "the folder of x509 credentials for TLS: ca-cert.pem, server-cert.pem, "
			"server-key.pem",
		.since = "0.1"},
	{.name = "tls_verify",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "clients must have a certificate of the same authority",
		.since = "0.1"},
	{.name = "share",
		.type = VMF_OPT_ENUM,
		.default_value = "ignore",
		.choices = "allow-exclusive|force-shared|ignore",
		.help = "what becomes of a viewer that asks for the screen alone",
		.since = "0.1"},
};

/* ---- what people write ---------------------------------------------------------------------- */

/* What QEMU would miss only once it is started. */
static int check_tls(const struct vmf_call *c, struct vmf_error *err)
{
	static const char *const files[] = {"server-cert.pem", "server-key.pem", "ca-cert.pem"};
	const struct vmf_host *h = c->host;
	const char *dir = h->opt_string(c, "tls");
	int verify = h->opt_bool(c, "tls_verify");

	if (!dir && verify)
		return h->fail(err, VMF_E_CONFIG, 0, "name the folder of its credentials: tls = ...",
			"%s: tls_verify: there is no TLS", h->opt_origin(c, "tls_verify"));
	return dir ? listen_check_files(
			     c, dir, files, verify ? 3 : 2, "QEMU's user must be able to read them, too", err)
		   : 0;
}

static int tcp_check(const struct vmf_call *c, struct vmf_error *err)
{
	return listen_check(c, "5900-5999", err) < 0 ? -1 : check_tls(c, err);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static int tcp_prepare(const struct vmf_call *c, struct vmf_display *display, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	struct vmf_prop *props = h->alloc(c, 2 * sizeof(*props));
	size_t n = 0;

	if (tcp_check(c, err) < 0)
		return -1;
	props[n++] = (struct vmf_prop){
		.key = "share", .type = VMF_PROP_STRING, .string = h->opt_string(c, "share")};
	if (h->opt_bool(c, "password"))
		props[n++] = (struct vmf_prop){.key = "password", .type = VMF_PROP_BOOL, .number = 1};
	if (h->opt_string(c, "tls")) {
		/* without it anybody could read along: a host that cannot do it must not go on */
		if (display->size < sizeof(*display))
			return h->fail(
				err, VMF_E_UNSUPPORTED, 0, "install a newer vmf", "tls: this vmf has no TLS");
		display->tls_dir = h->opt_string(c, "tls");
		display->tls_verify = (uint32_t)h->opt_bool(c, "tls_verify");
	}
	display->vnc = "none";
	display->props = (struct vmf_props){.items = props, .count = n, .stride = sizeof(*props)};
	return 0;
}

static int tcp_info(const struct vmf_call *c, struct vmf_display_info *info, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;

	if (tcp_check(c, err) < 0)
		return -1;
	info->type = "vnc";
	info->how = h->printf(c, "vmf %s vnc", c->vm && c->vm->name ? c->vm->name : "VM");
	listen_info(c, info);
	if (info->size >= sizeof(*info))
		info->relay |= VMF_RELAY_OFFERED | (h->opt_bool(c, "password") ? VMF_RELAY_PASSWORD : 0u);
	return 0;
}

static const struct vmf_display_ops ops = {
	.size = sizeof(ops),
	.check = tcp_check,
	.prepare = tcp_prepare,
	.info = tcp_info,
};

VMF_PLUGIN(display_vnc_tcp) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_DISPLAY,
	.name = "vnc-tcp",
	.version = PLUGIN_VERSION,
	.summary = "VNC by TCP, for those who are let in",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
