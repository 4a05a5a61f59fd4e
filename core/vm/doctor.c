/* SPDX-License-Identifier: ISC */
#include "vm/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "vm/storage.h"

/* ---- findings ----------------------------------------------------------------------------- */

/* All strings are given away. */
static void add(
	struct findings *f, enum finding_state state, char *subject, char *what, char *remedy, char *package)
{
	if (f->count == f->room) {
		struct finding *more = mem_alloc((f->room * 2 + 32) * sizeof(*more));

		if (f->count)
			memcpy(more, f->items, f->count * sizeof(*more));
		free(f->items);
		f->items = more;
		f->room = f->room * 2 + 32;
	}
	f->items[f->count++] = (struct finding){state, subject, what, remedy, package};
}

static char *copy(const char *text)
{
	return text ? str_dup(text) : NULL;
}

static void add_error(struct findings *f, char *subject, const struct vmf_error *err)
{
	add(f, FINDING_WRONG, subject, str_dup(err->message), copy(err->hint), NULL);
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->items[i].subject);
		free(f->items[i].what);
		free(f->items[i].remedy);
		free(f->items[i].package);
	}
	free(f->items);
	memset(f, 0, sizeof(*f));
}

/* ---- QEMU, plugins ------------------------------------------------------------------------ */

static void examine_qemu(const struct conf_section *root, struct findings *f)
{
	const char *program = conf_string(root, "qemu");
	autofree char *path = proc_find_program(program);

	if (path)
		add(f, FINDING_OK, str_dup("QEMU"), NULL, NULL, NULL);
	else
		add(f, FINDING_WRONG, str_dup("QEMU"), str_printf("there is no program %s", program),
			str_dup("apt install qemu-system-x86, or set qemu ="), str_dup("qemu-system-x86"));
}

bool doctor_is_met(const struct vmf_need *need)
{
	autofree char *program = NULL;

	switch (need->type) {
	case VMF_NEED_PROGRAM:
		program = proc_find_program(need->what);
		return program != NULL;
	case VMF_NEED_FILE:
		return file_exists(need->what);
	case VMF_NEED_ROOT:
		return geteuid() == 0;
	default:
		return false;
	}
}

/* Does a section of the configuration name the plugin? */
static bool is_used(const struct conf_section *root, const struct plugin *p)
{
	for (size_t i = 0; i < root->n_sections; i++) {
		const struct conf_section *s = root->sections[i];

		for (size_t k = 0; k < s->n_sections; k++)
			if (str_equal(s->sections[k]->keyword, p->name))
				return true;
	}
	return false;
}

static void examine_needs(const struct conf_section *root, const struct plugin *p, struct findings *f)
{
	bool all = true;

	for (size_t i = 0; i < p->desc.n_needs; i++) {
		const struct vmf_need *n = &p->desc.needs[i];

		if (doctor_is_met(n))
			continue;
		all = false;
		add(f, n->optional || !is_used(root, p) ? FINDING_NOTE : FINDING_WRONG,
			str_printf("plugin %s %s", plugin_kind_name(p->kind), p->name),
			str_printf("%s is missing%s%s", n->what ? n->what : "root", n->why ? ": " : "",
				n->why ? n->why : ""),
			n->package ? str_printf("apt install %s", n->package) : NULL, copy(n->package));
	}
	if (all)
		add(f, FINDING_OK, str_printf("plugin %s %s", plugin_kind_name(p->kind), p->name), NULL, NULL,
			NULL);
}

static void examine_plugins(const struct conf_section *root, struct findings *f)
{
	const struct plugin *const *list;
	size_t count = plugin_list(&list);

	for (size_t i = 0; i < count; i++) {
		const struct plugin *p = list[i];

		if (p->state == PLUGIN_BROKEN)
			add(f, is_used(root, p) ? FINDING_WRONG : FINDING_NOTE,
				str_printf("plugin %s %s", plugin_kind_name(p->kind), p->name), copy(p->why),
				NULL, NULL);
		else if (p->state == PLUGIN_OK)
			examine_needs(root, p, f);
	}
}

/* ---- what the configuration names --------------------------------------------------------- */

static int examine_storages(struct ctx *ctx, struct findings *f, struct vmf_error *err)
{
	struct stores stores;

	if (stores_open(ctx, &stores, err) < 0)
		return -1;
	for (size_t i = 0; i < stores.count; i++) {
		const struct store *s = &stores.items[i];
		char *subject = str_printf("storage \"%s\"", s->name);

		if (s->error.code)
			add_error(f, subject, &s->error);
		else
			add(f, FINDING_OK, subject, NULL, NULL, NULL);
	}
	stores_free(&stores);
	return 0;
}

static const struct vmf_trouble *trouble_at(const struct vmf_trouble_list *list, size_t i)
{
	size_t stride = list->stride ? list->stride : sizeof(struct vmf_trouble);

	return (const void *)((const char *)list->items + i * stride);
}

static void examine_network(
	struct ctx *ctx, const struct vm_instance *in, const struct vmf_opts *opts, struct findings *f)
{
	struct arena arena = {0};
	struct host_services services = {.arena = &arena};
	struct vmf_trouble_list list = {.stride = sizeof(struct vmf_trouble)};
	struct vmf_error error = VMF_ERROR_INIT;
	struct vmf_call call;

	host_call_init(&call, &services, opts, NULL, in->name, NULL, 0);
	call.dry_run = ctx->dry_run;
	if (in->plugin->ops.network.examine && in->plugin->ops.network.examine(&call, &list, &error) < 0) {
		add(f, FINDING_NOTE, str_printf("network \"%s\"", in->name), str_dup(error.message),
			copy(error.hint), NULL);
		error_clear(&error);
	} else if (list.count == 0) {
		add(f, FINDING_OK, str_printf("network \"%s\"", in->name), NULL, NULL, NULL);
	}
	for (size_t i = 0; i < list.count; i++)
		add(f, FINDING_WRONG, str_printf("network \"%s\"", in->name),
			copy(trouble_at(&list, i)->what), copy(trouble_at(&list, i)->remedy), NULL);
	arena_free(&arena);
}

static void examine_networks(struct ctx *ctx, const struct conf_section *root, struct findings *f)
{
	for (size_t i = 0; i < root->n_sections; i++) {
		const struct conf_section *s = root->sections[i];
		struct vmf_error error = VMF_ERROR_INIT;
		struct vmf_opts *opts = NULL;
		struct vm_instance in;

		if (!str_equal(s->keyword, "network"))
			continue;
		if (vm_instance_find(root, "network", s->title, VMF_NETWORK, &in, &error) == 0)
			opts = vm_instance_opts(&in, NULL, &error);
		if (opts)
			examine_network(ctx, &in, opts, f);
		else
			add_error(f, str_printf("network \"%s\"", s->title), &error);
		conf_opts_free(opts);
		error_clear(&error);
	}
}

int doctor_examine(struct ctx *ctx, struct findings *f, struct vmf_error *err)
{
	const struct conf_section *root;

	memset(f, 0, sizeof(*f));
	if (ctx_load(ctx, err) < 0)
		return -1;
	root = conf_root(ctx->with_default);
	examine_qemu(root, f);
	examine_plugins(root, f);
	if (examine_storages(ctx, f, err) < 0) {
		findings_free(f);
		return -1;
	}
	examine_networks(ctx, root, f);
	return 0;
}
