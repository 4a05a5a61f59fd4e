/* SPDX-License-Identifier: ISC */
/* What a VM is in QEMU's words: from the model and the plugins' answers to one command line. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/start.h"

/* A /dev/kvm that opens is no proof, one that makes a VM is a better one; and QEMU may be another user, who
 * has its group (see start.c), if it has one. */
static bool kvm_works(const struct vm *vm, const char **why)
{
	autoclose int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct stat st;
	int vm_fd;

	if (fd < 0) {
		*why = errno == ENOENT	 ? "no /dev/kvm"
		       : errno == EACCES ? "/dev/kvm: no permission, join group kvm"
					 : strerror(errno);
		return false;
	}
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		*why = "/dev/kvm speaks another version";
		return false;
	}
	if (vm->qemu_uid != geteuid() && fstat(fd, &st) == 0 && !(st.st_mode & S_IWOTH) &&
		!(st.st_mode & S_IWGRP && st.st_gid)) {
		*why = "/dev/kvm is closed to QEMU's user";
		return false;
	}
	vm_fd = ioctl(fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0) {
		*why = "/dev/kvm makes no VM";
		return false;
	}
	close(vm_fd);
	return true;
}

static void add_cpu(struct vm *vm, struct start *s)
{
	const char *accel = conf_string(vm->root, "accel"), *cpu = conf_string(vm->root, "cpu"), *why = "";

	if (str_equal(accel, "auto")) {
		accel = kvm_works(vm, &why) ? "kvm" : "tcg";
		if (str_equal(accel, "tcg") && !s->is_dry)
			log_warn(
				"vm \"%s\": no KVM (%s): the slow TCG runs it; accel = \"tcg\" silences this",
				vm->name, why);
	}
	qemu_args_add(&s->args, "-accel", accel);
	qemu_args_add(&s->args, "-cpu", cpu ? cpu : str_equal(accel, "kvm") ? "host" : "max");
	qemu_args_addf(&s->args, "-smp", "%d", (int)conf_number(vm->root, "cpus"));
	qemu_args_addf(&s->args, "-m", "size=%lluK", (unsigned long long)(vm_memory_bytes(vm) / 1024));
}

static int open_for_qemu(const char *what, const char *path, struct vmf_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "%s: %s", what, path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return vmf_fail(err, VMF_E_CONFIG, EISDIR, "name a file", "%s: %s", what, path);
	}
	return fd;
}

/*
 * A file that QEMU opens by its name (kernel, initrd). QEMU may be a user who cannot walk there: it gets
 * /proc/self/fd/N; and one who may not read it: then a copy in memory, whose mode is nobody's business.
 */
static int add_file(
	struct vm *vm, struct start *s, const char *option, const char *path, struct vmf_error *err)
{
	autofree char *name = NULL;
	struct stat st;
	int fd, copy;

	if (!path)
		return 0;
	fd = open_for_qemu(option + 1, path, err);
	if (fd < 0)
		return -1;
	if (s->is_dry || vm->qemu_uid == geteuid()) {
		close(fd);
		qemu_args_add(&s->args, option, path);
		return 0;
	}
	if (fstat(fd, &st) == 0 && !(st.st_mode & S_IROTH)) {
		copy = memfd_create("vmf", MFD_CLOEXEC);
		if (copy < 0 || fd_copy_all(copy, fd) < 0) {
			close(fd);
			if (copy >= 0)
				close(copy);
			return vmf_fail_errno(err, NULL, "cannot copy %s", path);
		}
		close(fd);
		fd = copy;
	}
	name = qemu_args_procfd(&s->args, fd);
	qemu_args_add(&s->args, option, name);
	return 0;
}

static json_t *file_node(
	struct start *s, const char *node, const char *path, int flags, struct vmf_error *err)
{
	autofree char *name = NULL;
	int fd = -1;

	if (s->is_dry) {
		name = str_dup(path);
	} else {
		fd = open(path, flags | O_CLOEXEC);
		if (fd < 0) {
			vmf_fail_errno(err, NULL, "%s", path);
			return NULL;
		}
		name = qemu_args_fdset(&s->args, fd);
	}
	return json_pack("{s:s, s:s, s:b, s:{s:s, s:s}}", "driver", "raw", "node-name", node, "read-only",
		flags == O_RDONLY, "file", "driver", "file", "filename", name);
}

/* Debian's package ovmf; the 4M images are those that are kept current. */
static const char ovmf_code[] = "/usr/share/OVMF/OVMF_CODE_4M.fd";
static const char ovmf_vars[] = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/* UEFI's variables are the VM's own: a copy of OVMF's empty ones, made at the first start. */
static int nvram_prepare(struct vm *vm, char **path, struct vmf_error *err)
{
	autofree char *folder = str_printf("%s/nvram", vm->ctx->paths.lib);
	autofree char *data = NULL;
	size_t length;

	*path = vm_lib_path(vm, "nvram", ".fd");
	if (file_exists(*path) || vm->ctx->dry_run)
		return 0;
	if (file_mkdirs(folder, 0700, err) < 0)
		return -1;
	data = file_read(ovmf_vars, 16 << 20, &length, err);
	return data ? file_write(*path, data, length, 0600, false, err) : -1;
}

static int add_machine(struct vm *vm, struct start *s, struct vmf_error *err)
{
	const char *firmware = conf_string(vm->root, "firmware");
	autostrbuf struct strbuf machine = STRBUF_INIT;
	autofree char *nvram = NULL;
	json_t *code, *vars;

	strbuf_put_keyval(&machine, conf_string(vm->root, "machine"));
	if (str_equal(firmware, "uefi")) {
		if (!file_exists(ovmf_code))
			return vmf_fail(err, VMF_E_MISSING, 0, "install Debian's package ovmf",
				"firmware: no %s", ovmf_code);
		if (nvram_prepare(vm, &nvram, err) < 0)
			return vmf_context(err, "firmware");
		code = file_node(s, "pflash-code", ovmf_code, O_RDONLY, err);
		vars = code ? file_node(s, "pflash-vars", nvram, O_RDWR, err) : NULL;
		if (!vars) {
			json_decref(code);
			return vmf_context(err, "firmware");
		}
		qemu_args_json(&s->args, "-blockdev", code);
		qemu_args_json(&s->args, "-blockdev", vars);
		strbuf_puts(&machine, ",pflash0=pflash-code,pflash1=pflash-vars");
	} else if (!str_equal(firmware, "bios")) {
		if (add_file(vm, s, "-bios", firmware, err) < 0)
			return vmf_context(err, "firmware");
	}
	qemu_args_add(&s->args, "-machine", machine.data);
	return 0;
}

/* The server socket NAME of the run folder, bound to FD already; in a dry run by its path, which QEMU binds.
 */
static void socket_chardev(
	struct vm *vm, struct start *s, const char *id, const char *name, int fd, const char *extra)
{
	autostrbuf struct strbuf value = STRBUF_INIT;

	strbuf_printf(&value, "socket,id=%s,", id);
	if (s->is_dry) {
		strbuf_puts(&value, "path=");
		strbuf_put_keyval(&value, vm->run_dir);
		strbuf_printf(&value, "/%s", name);
	} else {
		strbuf_printf(&value, "fd=%d", qemu_args_fd(&s->args, fd));
	}
	strbuf_printf(&value, ",server=on,wait=off%s", extra);
	qemu_args_add(&s->args, "-chardev", value.data);
}

/* The guest sees a port of that name, which its agent looks for. */
static void add_agent(struct vm *vm, struct start *s)
{
	if (!conf_number(vm->root, "guest_agent"))
		return;
	socket_chardev(vm, s, "agent", "ga", s->agent_fd, "");
	command_device(s, json_pack("{s:s, s:s}", "driver", "virtio-serial-pci", "id", "agent-bus"));
	command_device(
		s, json_pack("{s:s, s:s, s:s, s:s, s:s}", "driver", "virtserialport", "id", "agent-port",
			   "bus", "agent-bus.0", "chardev", "agent", "name", "org.qemu.guest_agent.0"));
}

/* NAME: below the run folder if DIR_FD says so. */
static int log_fdset(
	struct vm *vm, struct start *s, const char *name, int dir_fd, char **extra, struct vmf_error *err)
{
	autofree char *set = NULL;
	int fd;

	if (s->is_dry) {
		autofree char *path = path_join(vm->run_dir, name);

		*extra = str_printf(",logfile=%s,logappend=on", path);
		return 0;
	}
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s", name);
	set = qemu_args_fdset(&s->args, fd);
	*extra = str_printf(",logfile=%s,logappend=on", set);
	return 0;
}

static int add_monitors(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *events = NULL;

	if (log_fdset(vm, s, "events", vm->run_fd, &events, err) < 0)
		return -1;
	socket_chardev(vm, s, "qmp", "qmp", s->qmp_fd, "");
	qemu_args_add(&s->args, "-mon", "chardev=qmp,mode=control");
	socket_chardev(vm, s, "events", "ev", s->events_fd, events);
	qemu_args_add(&s->args, "-mon", "chardev=events,mode=control");
	socket_chardev(vm, s, "hmp", "hmp", s->hmp_fd, "");
	qemu_args_add(&s->args, "-mon", "chardev=hmp,mode=readline");
	return 0;
}

static int add_serial(struct vm *vm, struct start *s, struct vmf_error *err)
{
	int64_t n = conf_number(vm->root, "serial");

	for (int i = 0; i < (int)n; i++) {
		autofree char *id = str_printf("serial%d", i);
		autofree char *suffix = str_printf(".serial%d", i);
		autofree char *path = vm_lib_path(vm, "log", suffix);
		autofree char *socket = str_printf("s%d", i);
		autofree char *extra = NULL;

		if (log_fdset(vm, s, path, AT_FDCWD, &extra, err) < 0)
			return -1;
		socket_chardev(vm, s, id, socket, s->serial_fds[i], extra);
		qemu_args_addf(&s->args, "-serial", "chardev:%s", id);
	}
	return 0;
}

/* The drive is always there, so that a medium can be put in while the guest runs. */
static int add_cdrom(struct vm *vm, struct start *s, struct vmf_error *err)
{
	const char *path = vm_cdrom(vm->root);
	json_t *device = json_pack("{s:s, s:s, s:s}", "driver", "ide-cd", "id", "cdrom", "bus", "ide.1");

	if (path) {
		int fd = open_for_qemu("cdrom", path, err);
		json_t *node;

		if (fd < 0) {
			json_decref(device);
			return -1;
		}
		close(fd);
		node = file_node(s, "cdrom-medium", path, O_RDONLY, err);
		if (!node) {
			json_decref(device);
			return vmf_context(err, "cdrom");
		}
		qemu_args_json(&s->args, "-blockdev", node);
		json_object_set_new(device, "drive", json_string("cdrom-medium"));
	}
	if (str_starts(
		    conf_string(vm->root, "machine"), "q35")) /* its six ports are buses of one device each */
		json_object_set_new(device, "bus", json_string("ide.2"));
	command_device(s, device);
	return 0;
}

static int add_display(struct vm *vm, struct start *s)
{
	autostrbuf struct strbuf vnc = STRBUF_INIT;

	qemu_args_add(&s->args, "-display", "none");
	qemu_args_add(&s->args, "-vga", conf_string(vm->root, "vga"));
	if (!s->display.vnc)
		return 0;
	strbuf_put_keyval(&vnc, s->display.vnc);
	if (s->display.tls_dir) {
		qemu_args_json(&s->args, "-object",
			json_pack("{s:s, s:s, s:s, s:s, s:b}", "qom-type", "tls-creds-x509", "id",
				"display-tls", "endpoint", "server", "dir", s->display.tls_dir, "verify-peer",
				s->display.tls_verify != 0));
		strbuf_puts(&vnc, ",tls-creds=display-tls");
	}
	for (size_t i = 0; i < s->display.props.count; i++) {
		const struct vmf_prop *p =
			(const void *)((const char *)s->display.props.items +
				       i * (s->display.props.stride ? s->display.props.stride : sizeof(*p)));

		strbuf_printf(&vnc, ",%s=", p->key);
		if (p->type == VMF_PROP_STRING)
			strbuf_put_keyval(&vnc, p->string);
		else if (p->type == VMF_PROP_BOOL)
			strbuf_puts(&vnc, p->number ? "on" : "off");
		else
			strbuf_printf(&vnc, "%lld", (long long)p->number);
	}
	qemu_args_add(&s->args, "-vnc", vnc.data);
	if (s->started && s->display.note)
		strv_add(&s->started->notes, s->display.note);
	return 0;
}

static int add_shared(struct vm *vm, struct start *s, struct vmf_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < vm->root->n_sections; i++) {
		const struct conf_section *section = vm->root->sections[i];
		autostrbuf struct strbuf fsdev = STRBUF_INIT;
		autofree char *id = str_printf("shared%zu", n);
		const char *path;

		if (!str_equal(section->keyword, "shared"))
			continue;
		path = conf_string(section, "path");
		if (!path || !file_exists(path))
			return vmf_fail(err, VMF_E_CONFIG, 0, "set path = to a folder of this host",
				"%s: shared \"%s\": %s%s", conf_where(section->file, section->line),
				section->title, path ? "there is no " : "no path", path ? path : "");
		n++;
		strbuf_printf(&fsdev, "local,id=%s,security_model=mapped-xattr,multidevs=remap%s,path=", id,
			conf_number(section, "readonly") ? ",readonly=on" : "");
		strbuf_put_keyval(&fsdev, path);
		qemu_args_add(&s->args, "-fsdev", fsdev.data);
		command_device(s, json_pack("{s:s, s:s, s:s, s:s}", "driver", "virtio-9p-pci", "id", id,
					  "fsdev", id, "mount_tag", section->title));
	}
	return 0;
}

/* `start`'s arguments replace the configured ones; "_" first or last stands for those. */
static void add_args(struct vm *vm, struct start *s)
{
	const struct conf_value *configured = conf_get(vm->root, "args");
	const struct strv *given = s->options ? s->options->args : NULL;
	size_t n = given ? given->count : 0;
	bool first = n && str_equal(given->items[0], "_");
	bool last = n > 1 && str_equal(given->items[n - 1], "_");

	if (configured && (n == 0 || first))
		for (size_t i = 0; i < configured->n_items; i++)
			qemu_args_add(&s->args, configured->items[i], NULL);
	for (size_t i = first; i < n - last; i++)
		qemu_args_add(&s->args, given->items[i], NULL);
	if (configured && last)
		for (size_t i = 0; i < configured->n_items; i++)
			qemu_args_add(&s->args, configured->items[i], NULL);
}

char *command_program(const struct vm *vm, struct vmf_error *err)
{
	const char *program = conf_string(vm->root, "qemu");
	char *found = proc_find_program(program);

	if (!found)
		vmf_fail(err, VMF_E_MISSING, 0,
			"install Debian's package qemu-system-x86, or set qemu = to another",
			"no program \"%s\"", program);
	return found;
}

int command_build(struct vm *vm, struct start *s, struct vmf_error *err)
{
	struct qemu_args *args = &s->args;
	const char *append = conf_string(vm->root, "append"), *boot = conf_string(vm->root, "boot");
	autofree char *found = command_program(vm, err);
	autofree char *logs = str_printf("%s/log", vm->ctx->paths.lib);
	autostrbuf struct strbuf name = STRBUF_INIT;

	if (!found)
		return -1;
	qemu_args_init(args, found);
	strbuf_puts(&name, "guest=");
	strbuf_put_keyval(&name, vm->name);
	qemu_args_add(args, "-name", name.data);
	qemu_args_add(args, "-nodefaults", NULL);
	qemu_args_add(args, "-no-user-config", NULL);
	qemu_args_add(args, "-uuid", vm->uuid);
	if (conf_number(vm->root, "sandbox"))
		qemu_args_add(args, "-sandbox",
			"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	if (add_machine(vm, s, err) < 0)
		return -1;
	add_cpu(vm, s);
	qemu_args_addf(args, "-rtc", "base=%s", conf_string(vm->root, "rtc"));
	if (boot)
		qemu_args_addf(args, "-boot", strchr(boot, '=') ? "%s" : "order=%s", boot);
	if (add_file(vm, s, "-kernel", conf_string(vm->root, "kernel"), err) < 0 ||
		add_file(vm, s, "-initrd", conf_string(vm->root, "initrd"), err) < 0)
		return -1;
	if (append && conf_string(vm->root, "kernel"))
		qemu_args_add(args, "-append", append);
	if (conf_number(vm->root, "tablet")) {
		command_device(s, json_pack("{s:s, s:s}", "driver", "qemu-xhci", "id", "usb"));
		command_device(s,
			json_pack("{s:s, s:s, s:s}", "driver", "usb-tablet", "id", "tablet", "bus", "usb.0"));
	}
	add_agent(vm, s);
	if (conf_number(vm->root, "rng"))
		command_device(s, json_pack("{s:s, s:s}", "driver", "virtio-rng-pci", "id", "rng"));
	if (add_cdrom(vm, s, err) < 0 || command_disks(vm, s, err) < 0 || command_nics(vm, s, err) < 0 ||
		add_display(vm, s) < 0 || add_shared(vm, s, err) < 0)
		return -1;
	/* last, as these make files */
	if (!s->is_dry && file_mkdirs(logs, 0700, err) < 0)
		return -1;
	if (add_monitors(vm, s, err) < 0 || add_serial(vm, s, err) < 0)
		return -1;
	if (s->saved_fd >= 0) {
		qemu_args_addf(args, "-incoming", "fd:%d", qemu_args_fd(args, s->saved_fd));
		s->saved_fd = -1;
	}
	if (s->from_saved || (s->options && s->options->paused))
		qemu_args_add(args, "-S", NULL);
	add_args(vm, s);
	return 0;
}
