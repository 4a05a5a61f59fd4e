/* SPDX-License-Identifier: ISC */
/* placement-local: VMs live on this very host. Requests run in the process that makes them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmf/plugin.h>

static uint32_t local_caps(const struct vmf_call *c)
{
	(void)c;
	return VMF_PLACEMENT_HERE;
}

static void read_memory(struct vmf_host_info *info)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t total = 0, available = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file) && !(total && available)) {
		sscanf(line, "MemTotal: %" SCNu64, &total);
		sscanf(line, "MemAvailable: %" SCNu64, &available);
	}
	if (file)
		fclose(file);
	info->memory_bytes = total * 1024;
	info->memory_used_bytes = total > available ? (total - available) * 1024 : 0;
}

/* The hottest zone; they are numbered without gaps. */
static int32_t read_temperature(void)
{
	int32_t hottest = INT32_MIN;

	for (unsigned zone = 0; zone < 256; zone++) {
		char path[64];
		int32_t now;
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/thermal/thermal_zone%u/temp", zone);
		file = fopen(path, "re");
		if (!file)
			break;
		if (fscanf(file, "%" SCNd32, &now) == 1 && now > hottest)
			hottest = now;
		fclose(file);
	}
	return hottest;
}

static int local_probe(const struct vmf_call *c, struct vmf_host_info *info, struct vmf_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	double load = 0;

	(void)err;
	info->name = c->host->strdup(c, c->instance ? c->instance : "local");
	info->is_alive = 1;
	info->cpus = cpus > 0 ? (uint32_t)cpus : 1;
	info->load = getloadavg(&load, 1) == 1 ? load : 0;
	info->temperature_millicelsius = read_temperature();
	info->version = PLUGIN_VERSION;
	read_memory(info);
	return 0;
}

/* The far end is this end: the socket itself. */
static int local_forward(const struct vmf_call *c, const char *remote_path, int *fd, struct vmf_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s;

	if (strlen(remote_path) >= sizeof(address.sun_path))
		return c->host->fail(err, VMF_E_CONFIG, 0, "choose a shorter run folder",
			"the socket's path %s is longer than %zu bytes", remote_path,
			sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, remote_path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s >= 0 && connect(s, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*fd = s;
		return 0;
	}
	c->host->fail(err, errno == EACCES ? VMF_E_PERMISSION : VMF_E_FAILED, errno, NULL,
		"cannot connect to %s", remote_path);
	if (s >= 0)
		close(s);
	return -1;
}

static const struct vmf_placement_ops ops = {
	.size = sizeof(ops),
	.caps = local_caps,
	.probe = local_probe,
	.forward = local_forward,
};

VMF_PLUGIN(placement_local) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_PLACEMENT,
	.name = "local",
	.version = PLUGIN_VERSION,
	.summary = "VMs on this host",
	.option_stride = sizeof(struct vmf_option),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
