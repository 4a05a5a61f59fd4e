/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a configuration. A first line "!KEY=VALUE" is a setting and a change; the rest is the file.
 * Looks for more than crashes: errors have a place, what was read can be changed, and nothing spoils the next
 * file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "../unit/conf-schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "fuzz_config: %s\n", what);
	abort();
}

/* Either done, or a message whose every line says where. */
static bool outcome(int rc, struct vmf_error *err, const char *place)
{
	need((rc < 0) == (err->code != 0), "result and error differ");
	for (const char *line = err->message; line && place;
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		need(str_starts(line, place), err->message);
	error_clear(err);
	return rc == 0;
}

static void check_plugins(const struct conf_section *in)
{
	struct vmf_error err = VMF_ERROR_INIT;

	for (size_t i = 0; i < in->n_sections; i++) {
		const struct conf_section *section = in->sections[i];
		struct vmf_opts *opts, *again;
		autofree char *json = NULL;

		check_plugins(section);
		if (section->schema)
			continue;
		opts = conf_opts_resolve(&test_lvm, &section, 1, &err);
		if (!outcome(opts ? 0 : -1, &err, NULL))
			continue;
		json = conf_opts_save(opts);
		again = conf_opts_load(&test_lvm, json, &err);
		need(outcome(again ? 0 : -1, &err, NULL), "saved options cannot be loaded");
		for (size_t j = 0; j < opts->n_values; j++)
			need(!opts->values[j] == !again->values[j] &&
					(!opts->values[j] ||
						opts->values[j]->n_items == again->values[j]->n_items),
				"saved options are others");
		conf_opts_free(opts);
		conf_opts_free(again);
	}
}

static void check_edit(const char *text, const char *setting, bool good)
{
	struct vmf_error err = VMF_ERROR_INIT;
	autofree char *key = str_dup(setting);
	char *value = strchr(key, '=');
	autofree char *once = NULL;
	autofree char *twice = NULL;
	struct conf *conf;

	if (value)
		*value++ = '\0';
	once = conf_edit_text(&test_schema, "t", text, key, value, &err);
	if (!outcome(once ? 0 : -1, &err, NULL) || str_ends(key, "+"))
		return;
	twice = conf_edit_text(&test_schema, "t", once, key, value, &err);
	need(outcome(twice ? 0 : -1, &err, NULL), "what was changed cannot be changed again");
	need(str_equal(once, twice), "the same change again changes more");
	conf = conf_new(&test_schema);
	if (good)
		need(outcome(conf_add_text(conf, "t", once, strlen(once), &err), &err, "t"),
			"what was changed cannot be read");
	conf_free(conf);
}

static void check_file(const char *text, size_t size)
{
	char folder[] = "/tmp/vmf-fuzz-config-XXXXXX";
	struct vmf_error err = VMF_ERROR_INIT;
	autofree char *path = NULL;
	struct conf *conf = conf_new(&test_schema);

	need(mkdtemp(folder) != NULL, "mkdtemp");
	path = path_join(folder, "self.conf");
	need(file_write(path, text, size, 0600, false, &err) == 0, "cannot write");
	outcome(conf_add_file(conf, path, &err), &err, NULL);
	unlink(path);
	rmdir(folder);
	conf_free(conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct conf *conf = conf_new(&test_schema), *copy;
	autofree char *all = str_ndup((const char *)data, size);
	autofree char *setting = NULL;
	const char *text = all, *newline = memchr(all, '\n', size);
	bool good;

	log_set_level(-1);
	if (*all == '!' && newline) {
		setting = str_ndup(all + 1, (size_t)(newline - all) - 1);
		text = newline + 1;
		size -= (size_t)(text - all);
	}
	good = outcome(conf_add_text(conf, "t", text, size, &err), &err, "t");
	if (good) {
		copy = conf_copy(conf);
		need(outcome(conf_add_text(copy, "t", text, size, &err), &err, "t"), "the same again fails");
		conf_rebase(copy, conf);
		check_plugins(conf_root(copy));
		conf_free(copy);
	}
	if (setting) {
		outcome(conf_add_setting(conf, setting, "t", &err), &err, "t");
		check_edit(text, setting, good);
	}
	if (strstr(text, "include"))
		check_file(text, size);
	need(conf_add_text(conf, "t", "class = \"a\" args = {\"b\"}\n", 25, &err) == 0 &&
			str_equal(conf_string(conf_root(conf), "class"), "a"),
		"the next text is spoilt");
	conf_free(conf);
	return 0;
}
