/* SPDX-License-Identifier: ISC */
#include "vm/segments.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define CONF_MAX (4 << 20)

struct segment_call {
	struct vmf_call call;
	struct host_services services;
};

/* A call that is no VM's. */
static void call_init(struct segments *s, struct segment_call *c)
{
	memset(c, 0, sizeof(*c));
	c->services.arena = &s->arena;
	host_call_init(&c->call, &c->services, s->opts, NULL, s->network, NULL, 0);
	c->call.dry_run = s->ctx->dry_run;
}

/* Does that network's plugin have segments? What is wrong with others is theirs. */
static bool try_network(struct segments *s, const struct conf_section *root, const char *name)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct segment_call c;
	struct vm_instance in;
	uint32_t caps = 0;

	if (vm_instance_find(root, "network", name, VMF_NETWORK, &in, &quiet) == 0)
		s->opts = vm_instance_opts(&in, NULL, &quiet);
	error_clear(&quiet);
	if (!s->opts)
		return false;
	s->plugin = in.plugin;
	s->network = name;
	call_init(s, &c);
	if (in.plugin->ops.network.caps)
		caps = in.plugin->ops.network.caps(&c.call);
	if ((caps & VMF_NETWORK_SEGMENTS) && in.plugin->ops.network.segment_list &&
		in.plugin->ops.network.segment_create && in.plugin->ops.network.segment_remove)
		return true;
	conf_opts_free(s->opts);
	s->opts = NULL;
	return false;
}

int segments_open(struct ctx *ctx, struct segments *s, struct vmf_error *err)
{
	const struct conf_section *root;

	memset(s, 0, sizeof(*s));
	s->ctx = ctx;
	if (ctx_load(ctx, err) < 0)
		return -1;
	root = conf_root(ctx->with_default);
	for (size_t i = 0; i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "network") &&
			try_network(s, root, root->sections[i]->title))
			return 0;
	return vmf_fail(err, VMF_E_MISSING, 0, "`vmf plugin list` shows what there is; tap-bridge has them",
		"no network of the configuration has segments");
}

void segments_free(struct segments *s)
{
	conf_opts_free(s->opts);
	arena_free(&s->arena);
	memset(s, 0, sizeof(*s));
}

const struct vmf_segment *segment_at(const struct segments *s, size_t i)
{
	size_t stride = s->list.stride ? s->list.stride : sizeof(struct vmf_segment);

	return (const void *)((const char *)s->list.items + i * stride);
}

const struct vmf_port *segment_port_at(const struct vmf_segment *segment, size_t i)
{
	size_t stride = segment->port_stride ? segment->port_stride : sizeof(struct vmf_port);

	return (const void *)((const char *)segment->port_items + i * stride);
}

/* ---- what is not shown -------------------------------------------------------------------- */

struct patterns {
	regex_t *items;
	size_t count;
};

static void patterns_free(struct patterns *p)
{
	for (size_t i = 0; i < p->count; i++)
		regfree(&p->items[i]);
	free(p->items);
}

/* The whole name is meant. */
static int compile(const char *text, regex_t *regex, const char *where, struct vmf_error *err)
{
	autofree char *whole = str_printf("^(%s)$", text);
	char why[128];
	int rc = regcomp(regex, whole, REG_EXTENDED | REG_NOSUB);

	if (rc == 0)
		return 0;
	regerror(rc, regex, why, sizeof(why));
	return vmf_fail(err, VMF_E_CONFIG, 0, "an extended regular expression, as in veth.*",
		"%s: \"%s\": %s", where, text, why);
}

static int patterns_load(const struct ctx *ctx, struct patterns *p, struct vmf_error *err)
{
	const struct conf_value *v = conf_get(conf_root(ctx->with_default), "net_ignore");

	memset(p, 0, sizeof(*p));
	p->items = mem_alloc((v ? v->n_items + 1 : 1) * sizeof(*p->items));
	for (size_t i = 0; v && i < v->n_items; i++, p->count++)
		if (compile(v->items[i], &p->items[p->count], conf_where(v->file, v->line), err) < 0) {
			patterns_free(p);
			return -1;
		}
	return 0;
}

static bool is_ignored(const struct patterns *p, const char *name)
{
	for (size_t i = 0; name && i < p->count; i++)
		if (regexec(&p->items[i], name, 0, NULL, 0) == 0)
			return true;
	return false;
}

/* Copies of ours, as the plugin's arrays may have another stride. */
static void leave_out(struct segments *s, const struct patterns *p)
{
	struct vmf_segment *items = arena_alloc(&s->arena, (s->list.count + 1) * sizeof(*items));
	size_t count = 0;

	for (size_t i = 0; i < s->list.count; i++) {
		const struct vmf_segment *from = segment_at(s, i);
		struct vmf_segment *to = &items[count];
		struct vmf_port *ports = arena_alloc(&s->arena, (from->n_port_items + 1) * sizeof(*ports));

		if (is_ignored(p, from->name))
			continue;
		*to = *from;
		to->port_items = ports;
		to->port_stride = sizeof(*ports);
		to->n_port_items = 0;
		for (size_t k = 0; k < from->n_port_items; k++)
			if (!is_ignored(p, segment_port_at(from, k)->name))
				ports[to->n_port_items++] = *segment_port_at(from, k);
		if (to->name || to->n_port_items)
			count++;
	}
	s->list = (struct vmf_segment_list){.items = items, .count = count, .stride = sizeof(*items)};
}

int segments_list(struct segments *s, bool all, struct vmf_error *err)
{
	struct patterns patterns;
	struct segment_call c;

	call_init(s, &c);
	if (s->plugin->ops.network.segment_list(&c.call, &s->list, err) < 0)
		return vmf_context(err, "%s", s->plugin->name);
	if (all)
		return 0;
	if (patterns_load(s->ctx, &patterns, err) < 0)
		return -1;
	leave_out(s, &patterns);
	patterns_free(&patterns);
	return 0;
}

bool segments_have(const struct segments *s, const char *name)
{
	for (size_t i = 0; i < s->list.count; i++) {
		const struct vmf_segment *segment = segment_at(s, i);

		if (str_equal(segment->name, name))
			return true;
		for (size_t k = 0; k < segment->n_port_items; k++)
			if (str_equal(segment_port_at(segment, k)->name, name))
				return true;
	}
	return false;
}

/* ---- changes ------------------------------------------------------------------------------ */

int segments_create(struct segments *s, const char *name, const char *const *ports, struct vmf_error *err)
{
	struct segment_call c;

	call_init(s, &c);
	return s->plugin->ops.network.segment_create(&c.call, name, ports, err);
}

int segments_remove(struct segments *s, const char *name, bool dry, struct vmf_error *err)
{
	struct segment_call c;

	call_init(s, &c);
	c.call.dry_run |= dry;
	return s->plugin->ops.network.segment_remove(&c.call, name, err);
}

int segments_wire(struct segments *s, const struct vmf_wire *wire, struct vmf_error *err)
{
	struct segment_call c;

	call_init(s, &c);
	if (!s->plugin->ops.network.wire)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s has no wires", s->plugin->name);
	return s->plugin->ops.network.wire(&c.call, wire, err);
}

/* ---- net_ignore --------------------------------------------------------------------------- */

static int write_ignored(struct ctx *ctx, const struct strv *list, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/vmf.conf", ctx->paths.etc);
	autofree char *text = file_exists(path) ? file_read(path, CONF_MAX, NULL, err) : str_dup("");
	autostrbuf struct strbuf value = STRBUF_INIT;
	autofree char *edited = NULL;

	if (!text)
		return -1;
	for (size_t i = 0; i < list->count; i++) {
		autofree char *quoted = conf_quote(list->items[i]);

		strbuf_printf(&value, "%s%s", i ? ", " : "{", quoted);
	}
	if (value.length)
		strbuf_putc(&value, '}');
	edited = conf_edit_text(&vm_schema, path, text, "net_ignore", value.data, err);
	if (!edited || file_mkdirs(ctx->paths.etc, 0755, err) < 0)
		return -1;
	return file_write(path, edited, strlen(edited), 0644, true, err);
}

int segments_ignore(
	struct ctx *ctx, const struct strv *patterns, bool remove, struct strv *now, struct vmf_error *err)
{
	const struct conf_value *v;
	regex_t regex;

	if (ctx_load(ctx, err) < 0)
		return -1;
	v = conf_get(conf_root(ctx->base), "net_ignore");
	for (size_t i = 0; i < patterns->count; i++) {
		if (compile(patterns->items[i], &regex, "net ignore", err) < 0)
			return -1;
		regfree(&regex);
	}
	for (size_t i = 0; v && i < v->n_items; i++)
		if (!(remove && strv_has(patterns, v->items[i])))
			strv_add(now, v->items[i]);
	for (size_t i = 0; !remove && i < patterns->count; i++)
		if (!strv_has(now, patterns->items[i]))
			strv_add(now, patterns->items[i]);
	if (patterns->count == 0 || now->count == (v ? v->n_items : 0) || ctx->dry_run)
		return 0;
	return write_ignored(ctx, now, err);
}
