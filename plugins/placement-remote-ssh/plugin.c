/* SPDX-License-Identifier: ISC */
/* placement-remote-ssh: VMs on another host, by the system's OpenSSH client. */
#include <stdlib.h>
#include <string.h>

#include "ssh.h"

static uint32_t ssh_caps(const struct vmf_call *c)
{
	(void)c;
	return 0;
}

static int check_address(const struct vmf_call *c, struct vmf_error *err)
{
	const char *address = c->host->opt_string(c, "address");

	if (*address && *address != '-' && !strpbrk(address, " \t\n"))
		return 0;
	return c->host->fail(err, VMF_E_CONFIG, 0, "a name or an IP address, or user@ in front of one",
		"%s: \"%s\" is no address", c->host->opt_origin(c, "address"), address);
}

/* The number that follows KEY at the start of a line, or 0. */
static unsigned long long number_after(const char *text, const char *key)
{
	const char *at = text;

	for (; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (strncmp(at, key, strlen(key)) == 0)
			return strtoull(at + strlen(key), NULL, 10);
	return 0;
}

/* Works without vmf at the other end, too: then it has no version. */
static int ssh_probe(const struct vmf_call *c, struct vmf_host_info *info, struct vmf_error *err)
{
	const char *command = c->host->printf(c,
		"echo cpus $(nproc); echo load $(cut -d' ' -f1 /proc/loadavg); cat /proc/meminfo;"
		" for z in /sys/class/thermal/thermal_zone*/temp; do test -r $z && echo zone $(cat $z); done;"
		" %s --version 2>/dev/null || :",
		c->host->opt_string(c, "command"));
	char *said = check_address(c, err) < 0 ? NULL : link_ask(c, command, err), *at;
	unsigned long long available;

	if (!said)
		return -1;
	available = number_after(said, "MemAvailable:") * 1024;
	info->name = c->host->strdup(c, c->instance);
	info->is_alive = 1;
	info->cpus = (uint32_t)number_after(said, "cpus ");
	info->memory_bytes = number_after(said, "MemTotal:") * 1024;
	info->memory_used_bytes = info->memory_bytes > available ? info->memory_bytes - available : 0;
	info->temperature_millicelsius = INT32_MIN;
	for (at = strstr(said, "\nzone "); at; at = strstr(at + 1, "\nzone ")) {
		int32_t now = (int32_t)strtol(at + 6, NULL, 10);

		if (now > info->temperature_millicelsius)
			info->temperature_millicelsius = now;
	}
	at = strstr(said, "load ");
	info->load = at ? strtod(at + 5, NULL) : 0;
	at = strstr(said, "\nvmf ");
	info->version = at ? c->host->printf(c, "%.*s", (int)strcspn(at + 5, " \n"), at + 5) : NULL;
	return 0;
}

static int ssh_connect(const struct vmf_call *c, int *fd, struct vmf_error *err)
{
	const char *command = c->host->printf(c, "%s agent --stdio", c->host->opt_string(c, "command"));

	return check_address(c, err) < 0 ? -1 : link_open(c, NULL, command, fd, err);
}

static int ssh_disconnect(const struct vmf_call *c, int fd, struct vmf_error *err)
{
	return link_close(c, fd, err);
}

static int ssh_forward(const struct vmf_call *c, const char *remote_path, int *fd, struct vmf_error *err)
{
	if (*remote_path != '/' || strpbrk(remote_path, ": \t\n"))
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, NULL,
			"ssh cannot lead to %s: the path has a colon or a blank", remote_path);
	return check_address(c, err) < 0 ? -1 : link_open(c, remote_path, NULL, fd, err);
}

static const struct vmf_placement_ops ops = {
	.size = sizeof(ops),
	.caps = ssh_caps,
	.probe = ssh_probe,
	.connect = ssh_connect,
	.disconnect = ssh_disconnect,
	.forward = ssh_forward,
};

static const struct vmf_option options[] = {
	{.name = "address",
		.type = VMF_OPT_STRING,
		.flags = VMF_OPT_F_REQUIRED,
		.help = "the host as ssh calls it: a name, an address, a Host of ssh_config",
		.since = "0.1"},
	{.name = "user", .type = VMF_OPT_STRING, .help = "the user there", .since = "0.1"},
	{.name = "port", .type = VMF_OPT_PORT, .help = "sshd's port there", .since = "0.1"},
	{.name = "identity", .type = VMF_OPT_PATH, .help = "the private key to use", .since = "0.1"},
	{.name = "options",
		.type = VMF_OPT_LIST,
		.help = "further options of ssh, as in ssh_config: {\"ProxyJump=gate\"}",
		.since = "0.1"},
	{.name = "config",
		.type = VMF_OPT_PATH,
		.help = "a file to be read in place of ssh_config",
		.since = "0.1"},
	{.name = "command",
		.type = VMF_OPT_STRING,
		.default_value = "vmf",
		.help = "what vmf is called there; may be a path, or have options",
		.since = "0.1"},
	{.name = "ssh",
		.type = VMF_OPT_STRING,
		.default_value = "ssh",
		.help = "the ssh program",
		.since = "0.1"},
	{.name = "timeout",
		.type = VMF_OPT_TIME,
		.default_value = "5s",
		.min = 1000,
		.max = 600000,
		.help = "how long to try to connect",
		.since = "0.1"},
	{.name = "keepalive",
		.type = VMF_OPT_TIME,
		.default_value = "5s",
		.min = 1000,
		.max = 600000,
		.help = "how often a silent host is asked; three times without an answer ends the connection",
		.since = "0.1"},
	{.name = "multiplex",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "keep one connection open for all that follow",
		.since = "0.1"},
	{.name = "persist",
		.type = VMF_OPT_TIME,
		.default_value = "10m",
		.min = 1000,
		.max = 86400000,
		.help = "for how long it is kept open when nobody uses it",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM,
		.what = "ssh",
		.package = "openssh-client",
		.why = "nothing works without it"},
};

VMF_PLUGIN(placement_remote_ssh) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_PLACEMENT,
	.name = "remote-ssh",
	.version = PLUGIN_VERSION,
	.summary = "VMs on another host, by ssh",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(struct vmf_option),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
