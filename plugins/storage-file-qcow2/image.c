/* SPDX-License-Identifier: ISC */
/* qemu-img: for what writes into images that are there, and for reading what content.c cannot. */
#include <string.h>

#include "store.h"

const char *fq_qemu_img_name(struct fq_store *s, const struct fq_volume *v)
{
	struct stat st;
	bool is_device = stat(v->path, &st) == 0 && S_ISBLK(st.st_mode);

	return s->h->printf(s->c,
		"json:{\"driver\": \"%s\", \"file\": {\"driver\": \"%s\", \"filename\": %s}}",
		fq_format_name(v->format), is_device ? "host_device" : "file", fq_json_string(s->c, v->path));
}

/* What it said, on one line and without its name before it. */
static const char *words_of(struct fq_store *s, const struct vmf_run *run)
{
	char *words = s->h->strdup(s->c, run->err && *run->err ? run->err : run->out ? run->out : "");
	size_t length = strlen(words);

	while (length && strchr("\n. ", words[length - 1]))
		words[--length] = '\0';
	for (char *at = words; (at = strchr(at, '\n'));)
		*at = ';';
	return strncmp(words, "qemu-img: ", 10) == 0 ? words + 10 : words;
}

int fq_qemu_img(struct fq_store *s, const char *const *argv, int64_t timeout_ms, struct vmf_error *err)
{
	struct vmf_run run = {
		.size = sizeof(run), .argv = argv, .timeout_ms = timeout_ms, .flags = VMF_RUN_DIES_WITH_HOST};
	const char *words;

	if (s->h->run(s->c, &run, err) < 0)
		return -1;
	if (run.status == 0)
		return 0;
	words = words_of(s, &run);
	if (strstr(words, "No space left"))
		return s->h->fail(err, VMF_E_NO_SPACE, 0, "make room, or use another storage",
			"qemu-img %s: %s", argv[1], words);
	if (!*words)
		words = s->h->printf(s->c, "exit code %d", run.status);
	return s->h->fail(err, VMF_E_FAILED, 0, NULL, "qemu-img %s failed: %s", argv[1], words);
}

void fq_give_back_leaks(struct fq_store *s, const struct fq_volume *v)
{
	const char *const check[] = {"qemu-img", "check", "-q", "-r", "leaks", fq_qemu_img_name(s, v), NULL};

	fq_qemu_img(s, check, 0, NULL);
}

int fq_qemu_img_change(
	struct fq_store *s, const struct fq_volume *v, const char *const *argv, struct vmf_error *err)
{
	int rc = fq_qemu_img(s, argv, 0, err);

	/* ended in the middle, it may have left clusters that nothing uses */
	if (rc < 0)
		fq_give_back_leaks(s, v);
	return rc;
}
