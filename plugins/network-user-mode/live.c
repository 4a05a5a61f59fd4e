/* SPDX-License-Identifier: ISC */
#include "live.h"

#include <errno.h>
#include <string.h>

#include "passt.h"

int forward_check(
	const struct vmf_call *c, const struct forward *f, const char *origin, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *proto = f->is_udp ? "udp " : "";
	int errnum = forward_try(f);

	if (errnum == EADDRINUSE)
		return h->fail(err, VMF_E_BUSY, 0,
			h->printf(c,
				"choose another, or 0 for a free one; ss -lp%c 'sport = %u' shows who has it",
				f->is_udp ? 'u' : 't', f->host_port),
			"%s: host %sport %u is taken", origin, proto, f->host_port);
	if (errnum == EACCES)
		return h->fail(err, VMF_E_PERMISSION, 0, "choose one from 1024 on",
			"%s: host %sport %u is for root only", origin, proto, f->host_port);
	if (errnum == EADDRNOTAVAIL)
		return h->fail(err, VMF_E_CONFIG, 0, "ip address shows those that it has",
			"%s: this host has no address %s", origin, f->host);
	if (errnum)
		return h->fail(err, VMF_E_FAILED, errnum, NULL, "%s: cannot listen on host %sport %u", origin,
			proto, f->host_port);
	return 0;
}

/* ---- what is meant ------------------------------------------------------------------------ */

/* But for this host's port. */
static bool same_way(const struct forward *a, const struct forward *b)
{
	return a->is_udp == b->is_udp && a->guest_port == b->guest_port && strcmp(a->host, b->host) == 0;
}

/* Does the option name this port itself, so that it was not chosen? */
static bool is_named(const struct vmf_call *c, const struct forward *f)
{
	struct forward known;

	for (size_t i = 0; i < c->host->opt_count(c, "hostfwd"); i++)
		if (!forward_parse(c->host->opt_item(c, "hostfwd", i), &known) && same_way(f, &known) &&
			known.host_port == f->host_port)
			return true;
	return false;
}

static const char *rule_of(const struct vmf_call *c, const struct forward *f)
{
	char text[FORWARD_LENGTH];

	forward_format(f, text);
	return c->host->strdup(c, text);
}

/* The rule in the running VM that F stands for, which may leave the port open: then one that was chosen.
 * NULL: none. */
static const char *find_rule(const struct vmf_call *c, const struct forward *f)
{
	const char *state = c->host->state_get(c, STATE);
	char *save = NULL, *copy = c->host->strdup(c, state ? state : "");
	struct forward known;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!forward_parse(word, &known) && same_way(f, &known) &&
			(f->host_port ? f->host_port == known.host_port : !is_named(c, &known)))
			return c->host->strdup(c, word);
	return NULL;
}

static int plan_add(const struct vmf_call *c, struct vmf_forward *w, struct forward *f, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	struct forward known;
	size_t n = h->opt_count(c, "hostfwd");

	for (size_t i = 0; i < n; i++)
		if (!forward_parse(h->opt_item(c, "hostfwd", i), &known) && forward_same_port(&known, f))
			return h->fail(err, VMF_E_EXISTS, 0, "choose another port, or 0 for a free one",
				"port %u leads to the guest already (%s)", f->host_port,
				h->opt_item(c, "hostfwd", i));
	if (n >= MAX_FORWARDS)
		return h->fail(err, VMF_E_CONFIG, 0, NULL, "at most %d forwards are possible", MAX_FORWARDS);
	w->item = h->strdup(c, w->text);
	if (!f->host_port)
		f->host_port =
			forward_choose(f, h->printf(c, "%s/%s/%zu", c->vm->uuid, c->slot ? c->slot : "", n));
	if (!f->host_port)
		return h->fail(err, VMF_E_BUSY, 0, "name a port yourself", "%s has no free port", f->host);
	w->rule = rule_of(c, f);
	return forward_check(c, f, w->text, err);
}

/* As it is written, or by the port that was chosen for it. */
static bool is_meant(const struct vmf_call *c, const struct forward *f, const struct forward *item)
{
	return same_way(f, item) &&
	       (f->host_port == item->host_port ||
		       (!item->host_port && f->host_port && !is_named(c, f) && find_rule(c, f)));
}

static int plan_remove(
	const struct vmf_call *c, struct vmf_forward *w, const struct forward *f, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *all = "";
	struct forward known;

	for (size_t i = 0; i < h->opt_count(c, "hostfwd"); i++) {
		const char *item = h->opt_item(c, "hostfwd", i);

		all = h->printf(c, "%s%s%s", all, i ? ", " : "", item);
		if (w->item || forward_parse(item, &known) || !is_meant(c, f, &known))
			continue;
		w->item = item;
		w->rule = find_rule(c, f);
	}
	if (w->item)
		return 0;
	return h->fail(err, VMF_E_NOT_FOUND, 0, *all ? h->printf(c, "there are %s", all) : "there are none",
		"no port leads to the guest by \"%s\"", w->text);
}

/* ---- in the running VM -------------------------------------------------------------------- */

/* QEMU has no command for programs for this; *said is what it has to say. */
static int tell(const struct vmf_call *c, const char *line, char **said, struct vmf_error *err)
{
	char *end;

	if (c->host->qmp(c, "human-monitor-command", c->host->printf(c, "{\"command-line\": \"%s\"}", line),
		    -1, NULL, said, err) < 0)
		return -1;
	if (!*said)
		*said = c->host->strdup(c, "");
	if (**said == '"')
		++*said;
	end = strstr(*said, "\\r");
	if (!end)
		end = strrchr(*said, '"');
	if (end)
		*end = '\0';
	return 0;
}

static int keep_state(const struct vmf_call *c, const char *rule, bool remove, struct vmf_error *err)
{
	const char *state = c->host->state_get(c, STATE);
	char *save = NULL, *copy = c->host->strdup(c, state ? state : ""), *all = c->host->strdup(c, "");

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (strcmp(word, rule) != 0)
			all = c->host->printf(c, "%s%s%s", all, *all ? " " : "", word);
	if (!remove)
		all = c->host->printf(c, "%s%s%s", all, *all ? " " : "", rule);
	return c->host->state_set(c, STATE, all, err);
}

static int apply(
	const struct vmf_call *c, const struct vmf_forward *w, const struct forward *f, struct vmf_error *err)
{
	const char *rule = rule_of(c, f), *dash = strchr(rule, '-');
	char *said = NULL;

	/* also before it is added: it may be there already */
	if (tell(c, c->host->printf(c, "hostfwd_remove %s.net %.*s", c->slot, (int)(dash - rule), rule),
		    &said, err) < 0)
		return -1;
	if (!w->remove && tell(c, c->host->printf(c, "hostfwd_add %s.net %s", c->slot, rule), &said, err) < 0)
		return -1;
	if (!w->remove && said && *said)
		return c->host->fail(err, VMF_E_FAILED, 0, NULL, "QEMU: %s", said);
	return keep_state(c, rule, w->remove, err);
}

int user_forward(const struct vmf_call *c, struct vmf_forward *w, struct vmf_error *err)
{
	struct forward f;
	const char *why = forward_parse(w->text, &f);

	if (why)
		return c->host->fail(err, VMF_E_USAGE, 0,
			"write it as 2222:22, udp:5353:53 or 0.0.0.0:8080:80", "\"%s\": %s", w->text, why);
	if (w->apply && w->remove && passt_is_wanted(c) && !find_rule(c, &f)) /* it never came to be */
		return 0;
	if (w->apply && passt_is_wanted(c))
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "`stop` the VM, change them, and `start` it",
			"passt cannot change its ports while it runs");
	if (w->apply)
		return c->dry_run ? 0 : apply(c, w, &f, err);
	w->item = w->rule = NULL;
	return w->remove ? plan_remove(c, w, &f, err) : plan_add(c, w, &f, err);
}
