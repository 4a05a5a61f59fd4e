/* SPDX-License-Identifier: ISC */
/* A volume as QEMU's block layers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

/* The guest would change what the overlays were made of. The search is done only if clone() left its note. */
static int check_base(struct fq_store *s, const struct fq_volume *v, struct vmf_error *err)
{
	char *names;
	int found;

	if (!fq_base_is_noted(s, v->file) || s->h->opt_bool(s->c, "write_base"))
		return 0;
	found = fq_overlays(s, v, &names, err);
	if (found <= 0) {
		if (found == 0 && !s->c->dry_run)
			fq_base_forget(s, v->file);
		return found;
	}
	return s->h->fail(err, VMF_E_STATE, 0,
		s->h->printf(s->c,
			"use a clone of it, attach it with readonly = yes, or remove %s or make full copies "
			"of "
			"them (clone --copy) first",
			names),
		"%s cannot be written to, as %s stand%s on it", v->path, names, found == 1 ? "s" : "");
}

static int fill(struct fq_store *s, const struct fq_volume *v, struct vmf_block *block, struct vmf_error *err)
{
	struct fq_layer found[FQ_MAX_LAYERS];
	const struct vmf_call *c = s->c;
	struct vmf_block_layer *layers;
	size_t count;

	if (fq_chain(s, v, found, &count, err) < 0)
		return -1;
	if (!c->dry_run && fq_must_be_free(s, v, !block->readonly, err) < 0)
		return -1;
	if (!block->readonly && check_base(s, v, err) < 0)
		return -1;
	layers = c->host->alloc(c, count * sizeof(*layers));
	for (size_t i = 0; i < count; i++)
		layers[i] = (struct vmf_block_layer){
			.driver = fq_format_name(found[i].format),
			.path = found[i].path,
			.fd = -1,
			.is_device = S_ISBLK(found[i].st.st_mode),
		};
	block->layers = layers;
	block->n_layers = count;
	block->layer_stride = sizeof(*layers);
	block->discard = (uint32_t)c->host->opt_bool(c, "discard");
	block->detect_zeroes = (uint32_t)c->host->opt_bool(c, "detect_zeroes");
	block->cache = c->host->opt_string(c, "cache");
	block->aio = c->host->opt_string(c, "aio");
	return 0;
}

int fq_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc = -1;

	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, false, err) < 0)
		return -1;
	if (fq_find_or_fail(&s, name, &v, err) == 0)
		rc = fill(&s, &v, block, err);
	fq_store_close(&s);
	return rc;
}

/* attach() changes nothing on the host. */
int fq_detach(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)c;
	(void)name;
	(void)err;
	return 0;
}
