/* SPDX-License-Identifier: ISC */
/*
 * Start: a plan of run folder, disks, NICs, display, QEMU, and QEMU's word that the guest runs. Its journal
 * stays in the run folder afterwards: it is the record from which any later process tears the VM down.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "qemu/process.h"
#include "vm/disk.h"
#include "vm/place.h"
#include "vm/quota.h"
#include "vm/start.h"
#include "vm/steps.h"

/* ---- disks, NICs, display: one plugin call each ------------------------------------------- */

static size_t index_of(json_t *args)
{
	return (size_t)json_integer_value(json_object_get(args, "index"));
}

static int attach(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	size_t i = index_of(args);
	struct vm_disk *d = &vm->disks[i];
	struct vmf_volume v;
	struct vm_call call;

	if (!d->plugin->ops.storage.attach)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "disk \"%s\": %s cannot attach", d->title,
			d->plugin->name);
	vm_call_disk(vm, d, &call);
	s->blocks[i].size = sizeof(s->blocks[i]);
	s->blocks[i].readonly = d->readonly;
	if (d->plugin->ops.storage.attach(&call.call, d->volume, &s->blocks[i], err) == 0)
		return 0;
	/* not if something else is missing: an image that it stands on */
	if (d->section && err && err->code == VMF_E_NOT_FOUND && vm_disk_volume(vm, d, &v, NULL) == 0 &&
		!v.name) {
		free(err->hint);
		err->hint = str_printf("`vmf %s disk add --name %s` makes it", vm->name, d->title);
	}
	return vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
}

static int detach(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.storage.detach ? r.plugin->ops.storage.detach(&call.call, r.volume, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_disk_attach = {"disk-attach", attach, detach};

static void nic_of(const struct vm_nic *n, struct vmf_nic *nic)
{
	memset(nic, 0, sizeof(*nic));
	nic->size = sizeof(*nic);
	nic->mac = n->mac;
	nic->model = n->model;
	nic->segment = n->segment;
}

static int nic_up(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	size_t i = index_of(args);
	struct vm_nic *n = &vm->nics[i];
	struct vmf_nic nic;
	struct vm_call call;

	if (!n->plugin->ops.network.up)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "nic \"%s\": %s has no up", n->title,
			n->plugin->name);
	vm_call_nic(vm, n, &call);
	nic_of(n, &nic);
	s->netdevs[i].size = sizeof(s->netdevs[i]);
	if (n->plugin->ops.network.up(&call.call, &nic, &s->netdevs[i], err) < 0)
		return vmf_context(err, "nic \"%s\": %s", n->title, n->plugin->name);
	return 0;
}

static int nic_down(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.network.down ? r.plugin->ops.network.down(&call.call, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_nic_up = {"nic-up", nic_up, nic_down};

static int display_prepare(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	struct vm_call call;

	(void)args;
	if (!vm->display.plugin->ops.display.prepare)
		return 0;
	vm_call_display(vm, &vm->display, &call);
	s->display.size = sizeof(s->display);
	if (vm->display.plugin->ops.display.prepare(&call.call, &s->display, err) < 0)
		return vmf_context(err, "display: %s", vm->display.name);
	return 0;
}

static int display_cleanup(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.display.cleanup ? r.plugin->ops.display.cleanup(&call.call, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_display = {"display", display_prepare, display_cleanup};

/* ---- the whole ---------------------------------------------------------------------------- */

static void start_init(
	struct vm *vm, struct start *s, const struct vm_start_options *options, struct vm_started *started)
{
	memset(s, 0, sizeof(*s));
	s->options = options;
	s->started = started;
	s->blocks = mem_alloc(vm->n_disks * sizeof(*s->blocks));
	s->netdevs = mem_alloc(vm->n_nics * sizeof(*s->netdevs));
	s->saved_fd = s->pidfd = -1;
	s->qmp_fd = s->events_fd = s->hmp_fd = s->agent_fd = -1;
	for (int i = 0; i < SERIAL_MAX; i++)
		s->serial_fds[i] = -1;
}

static void start_free(struct start *s)
{
	qemu_args_free(&s->args);
	free(s->blocks);
	free(s->netdevs);
	json_decref(s->places);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->saved_fd >= 0)
		close(s->saved_fd);
}

int vm_command(
	struct vm *vm, const struct vm_start_options *options, struct qemu_args *args, struct vmf_error *err)
{
	struct start s;
	bool was_dry = vm->ctx->dry_run;
	json_t *index;
	int rc = 0;

	if (vm_resolve(vm, err) < 0)
		return -1;
	start_init(vm, &s, options, NULL);
	s.is_dry = true;
	vm->ctx->dry_run = true;
	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++) {
		index = json_pack("{s:i}", "index", (int)i);
		rc = attach(vm, index, &s, err);
		json_decref(index);
	}
	for (size_t i = 0; rc == 0 && i < vm->n_nics; i++) {
		index = json_pack("{s:i}", "index", (int)i);
		rc = nic_up(vm, index, &s, err);
		json_decref(index);
	}
	if (rc == 0 && vm->display.plugin)
		rc = display_prepare(vm, NULL, &s, err);
	if (rc == 0)
		rc = command_build(vm, &s, err);
	vm->ctx->dry_run = was_dry;
	if (rc == 0) {
		*args = s.args;
		memset(&s.args, 0, sizeof(s.args));
	}
	start_free(&s);
	return rc;
}

/* What would surely fail is said before anything is made. */
static int check_host(const struct vm *vm, struct vmf_error *err)
{
	autofree char *program = command_program(vm, err);
	autofree char *socket = str_printf("%s/qmp", vm->run_dir); /* none of the names is longer */

	if (!program || qemu_socket_check(socket, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	return 0;
}

/* A VM that lives elsewhere is not to be started here by mistake. */
static int check_placement(struct vm *vm, struct vmf_error *err)
{
	struct place *place = NULL;
	int rc = place_of(vm, &place, err);

	if (rc == 0 && place)
		rc = vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"start it on that host, or `set host=` to bring it here",
			"it lives on host \"%s\" (%s)", place->name, place->plugin->name);
	place_free(place);
	return rc;
}

/* Everything that a plugin can say beforehand. */
static int check(struct vm *vm, struct vmf_error *err)
{
	struct vm_call call;

	if (check_placement(vm, err) < 0 || vm_check_macs(vm, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];
		struct vmf_nic nic;

		nic_of(n, &nic);
		vm_call_nic(vm, n, &call);
		if (n->plugin->ops.network.check && n->plugin->ops.network.check(&call.call, &nic, err) < 0)
			return vmf_context(err, "nic \"%s\": %s", n->title, n->plugin->name);
	}
	if (vm->display.plugin && vm->display.plugin->ops.display.check) {
		vm_call_display(vm, &vm->display, &call);
		if (vm->display.plugin->ops.display.check(&call.call, err) < 0)
			return vmf_context(err, "display: %s", vm->display.name);
	}
	return 0;
}

static struct plan *make_plan(struct vm *vm)
{
	struct plan *plan = plan_new(vm, "start", false);
	json_t *record;

	plan_needs(plan, &(struct quota){.cpus = conf_number(vm->root, "cpus"),
				 .memory_bytes = (int64_t)vm_memory_bytes(vm)});
	plan_add(plan, &step_run_folder, NULL, "make the run folder %s", vm->run_dir);
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];

		record = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
		plan_add(plan, &step_disk_attach, record,
			"attach disk \"%s\": volume %s of storage \"%s\" (%s)", d->title, d->volume,
			d->instance, d->plugin->name);
	}
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];

		record = vm_record(vm, n->plugin, n->opts, n->instance, n->slot, n->index, NULL);
		plan_add(plan, &step_nic_up, record, "bring up nic \"%s\": %s on network \"%s\" (%s)",
			n->title, n->mac, n->instance, n->plugin->name);
	}
	if (vm->display.plugin) {
		record = vm_record(
			vm, vm->display.plugin, vm->display.opts, vm->display.name, "display", 0, NULL);
		plan_add(plan, &step_display, record, "prepare the display (%s)", vm->display.name);
	}
	plan_add(plan, &step_spawn, NULL, "start QEMU");
	plan_add(plan, &step_ready, NULL, "wait until QEMU answers");
	return plan;
}

/* Once the guest runs, its memory on disk is of the past. */
int vm_forget_saved(struct vm *vm, struct vmf_error *err)
{
	autofree char *saved = vm_lib_path(vm, "saved", "");
	autofree char *places = vm_lib_path(vm, "places", ".json");

	if (unlink(saved) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", saved);
	unlink(places); /* of no use without the memory */
	return 0;
}

static int open_saved(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *saved = vm_lib_path(vm, "saved", "");

	s->saved_fd = open(saved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->saved_fd < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot read %s", saved);
	s->from_saved = s->saved_fd >= 0;
	if (s->from_saved) {
		autofree char *places = vm_lib_path(vm, "places", ".json");
		autofree char *text = file_read_at(AT_FDCWD, places, 1 << 20, NULL);

		s->places = text ? json_loads(text, 0, NULL) : NULL;
	}
	return 0;
}

static void run_post(struct vm *vm)
{
	const char *post = conf_string(vm->root, "post");
	const char *const argv[] = {post, vm->name, NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = argv};
	struct vmf_error err = VMF_ERROR_INIT;

	if (!post)
		return;
	if (proc_run(&run, 0, &err) < 0)
		log_warn("vm \"%s\": post: %s", vm->name, err.message);
	else if (run.status)
		log_warn("vm \"%s\": post: %s ended with %d: %s", vm->name, post, run.status, run.err);
	error_clear(&err);
	free(run.out);
	free(run.err);
}

static int start_locked(struct vm *vm, const struct vm_start_options *options, struct vm_started *started,
	struct vmf_error *err)
{
	struct vm_state state;
	struct start s;
	struct plan *plan;
	int rc;

	vm_state_of(vm, &state);
	if (state.phase == VM_ALIVE)
		return vmf_fail(
			err, VMF_E_STATE, 0, NULL, "it is %s already (pid %d)", state.status, (int)state.pid);
	if (state.phase != VM_OFF && state.phase != VM_SAVED && plan_undo_start(vm, err) < 0)
		return -1;
	if (vm_need_unmounted(vm, err) < 0 || vm_resolve(vm, err) < 0 || check(vm, err) < 0)
		return -1;
	start_init(vm, &s, options, started);
	plan = make_plan(vm);
	if (options && options->discard_saved ? vm_forget_saved(vm, err) < 0 : open_saved(vm, &s, err) < 0)
		rc = -1;
	else
		rc = plan_run(plan, &s, true, err);
	started->from_saved = s.from_saved;
	/* committed: now what is on disk is of the past, and only then may the guest go on */
	if (rc == 0 && started->from_saved) {
		rc = vm_forget_saved(vm, err);
		if (rc == 0 && !(options && options->paused))
			rc = qmp_command(vm->qmp, "cont", NULL, NULL, time_now_ms() + READY_MS, err);
	}
	plan_free(plan);
	qmp_forget_death(vm->qmp); /* the connection stays, the pidfd goes */
	start_free(&s);
	return rc;
}

int vm_start(struct vm *vm, const struct vm_start_options *options, struct vm_started *started,
	struct vmf_error *err)
{
	int rc;

	memset(started, 0, sizeof(*started));
	if (vm_need_unlocked(vm, err) < 0 || check_host(vm, err) < 0)
		return -1;
	if (vm->ctx->dry_run) {
		struct plan *plan;

		if (vm_need_unmounted(vm, err) < 0 || vm_resolve(vm, err) < 0 || check(vm, err) < 0)
			return -1;
		plan = make_plan(vm);
		plan_describe(plan);
		plan_free(plan);
		return 0;
	}
	if (vm_lock(vm, err) < 0)
		return -1;
	rc = start_locked(vm, options, started, err);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	if (rc == 0)
		run_post(vm);
	return rc;
}
