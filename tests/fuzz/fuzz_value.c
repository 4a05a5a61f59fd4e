/* SPDX-License-Identifier: ISC */
/* Any text as a value of any type, and as a string that is quoted and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "../unit/conf-schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "fuzz_value: %s\n", what);
	abort();
}

static void check_type(uint32_t type, uint32_t flags, const char *text)
{
	const struct vmf_option option = {
		.name = "x", .type = type, .flags = flags, .choices = "a|bc|d", .min = -5, .max = INT64_MAX};
	struct vmf_error err = VMF_ERROR_INIT;
	int64_t number = 0;
	int rc = value_check(&option, text, &number, &err);

	need((rc < 0) == (err.code != 0), "result and error differ");
	if (rc == 0 && (type == VMF_OPT_SIZE || type == VMF_OPT_TIME))
		need(number >= 0, "less than nothing");
	if (rc == 0 && type == VMF_OPT_PORT)
		need(number >= 1 && number <= 65535, "no port");
	if (rc == 0 && type == VMF_OPT_SIZE) {
		autofree char *shown = value_format_size((uint64_t)number);
		uint64_t back;

		/* rounded to one place behind the point */
		need(value_parse_size(shown, 1, &back, &err) == 0 || number > INT64_MAX / 100 * 99,
			"a size that is none");
		error_clear(&err);
	}
	error_clear(&err);
}

static void check_quoting(const char *text)
{
	struct vmf_error err = VMF_ERROR_INIT;
	autofree char *quoted = conf_quote(text);
	autofree char *line = str_printf("class = %s\nargs = {%s}\n", quoted, quoted);
	struct conf *conf = conf_new(&test_schema);

	if (conf_add_text(conf, "t", line, strlen(line), &err) < 0)
		need(text[str_utf8_span(text)] != '\0', "what was quoted cannot be read");
	else
		need(str_equal(conf_string(conf_root(conf), "class"), text) &&
				str_equal(conf_get(conf_root(conf), "args")->items[0], text),
			"what was quoted reads back as something else");
	error_clear(&err);
	conf_free(conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = str_ndup((const char *)data, size);
	char mac[18];

	log_set_level(-1);
	for (uint32_t type = 0; type <= VMF_OPT_TIME + 1; type++)
		check_type(type, 0, text);
	check_type(VMF_OPT_SIZE, VALUE_F_MIB, text);
	if (value_parse_mac(text, mac, NULL) == 0)
		need(value_parse_mac(mac, mac, NULL) == 0 && strlen(mac) == 17, "a MAC address that is none");
	check_quoting(text);
	return 0;
}
