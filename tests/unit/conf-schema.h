/* SPDX-License-Identifier: ISC */
/* A schema with a bit of everything, for the tests of core/config. */
#ifndef TESTS_CONF_SCHEMA_H
#define TESTS_CONF_SCHEMA_H

#include "config/config.h"
#include "config/value.h"

static const struct vmf_option test_root_options[] = {
	{.name = "class", .type = VMF_OPT_STRING},
	{.name = "memory", .type = VMF_OPT_SIZE, .flags = VALUE_F_MIB, .default_value = "512M"},
	{.name = "cpus", .type = VMF_OPT_INT, .default_value = "1", .min = 1, .max = 64},
	{.name = "cdrom", .type = VMF_OPT_PATH},
	{.name = "key_file", .type = VMF_OPT_SECRET},
	{.name = "tablet", .type = VMF_OPT_BOOL, .default_value = "yes"},
	{.name = "timeout", .type = VMF_OPT_TIME, .default_value = "60s"},
	{.name = "accel", .type = VMF_OPT_ENUM, .default_value = "auto", .choices = "auto|kvm|tcg"},
	{.name = "args", .type = VMF_OPT_LIST},
	{.name = "words", .type = VMF_OPT_LIST, .default_value = "{\"one\", \"two\"}"},
	{.name = "storage", .type = VMF_OPT_STRING},
	{.name = "append", .type = VMF_OPT_STRING},
};

static const struct vmf_option test_disk_options[] = {
	{.name = "size", .type = VMF_OPT_SIZE, .min = 512, .max = INT64_MAX},
	{.name = "storage", .type = VMF_OPT_STRING},
	{.name = "readonly", .type = VMF_OPT_BOOL, .default_value = "no"},
	{.name = "tags", .type = VMF_OPT_LIST},
};

static const struct vmf_option test_nic_options[] = {
	{.name = "mac", .type = VMF_OPT_MAC},
};

static const struct conf_schema test_sections[] = {
	{.keyword = "storage", .flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN},
	{.keyword = "disk", .flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN, .options = test_disk_options,
		.n_options = VMF_COUNT(test_disk_options)},
	{.keyword = "nic", .flags = VMF_CONF_TITLED, .options = test_nic_options,
		.n_options = VMF_COUNT(test_nic_options)},
	{.keyword = "display", .flags = VMF_CONF_PLUGIN},
};

static const struct conf_schema test_schema = {
	.options = test_root_options,
	.n_options = VMF_COUNT(test_root_options),
	.sections = test_sections,
	.n_sections = VMF_COUNT(test_sections),
};

static const struct vmf_option test_lvm_options[] = {
	{.name = "vg", .type = VMF_OPT_STRING, .flags = VMF_OPT_F_REQUIRED, .help = "the volume group"},
	{.name = "thin", .type = VMF_OPT_BOOL, .default_value = "no"},
	{.name = "chunk", .type = VMF_OPT_SIZE, .default_value = "64K", .min = 4096, .max = 1 << 30},
	{.name = "dir", .type = VMF_OPT_PATH},
	{.name = "tags", .type = VMF_OPT_LIST, .default_value = "{\"vmf\"}"},
};

static const struct vmf_plugin test_lvm = {
	.size = sizeof(struct vmf_plugin),
	.name = "lvm",
	.options = test_lvm_options,
	.n_options = VMF_COUNT(test_lvm_options),
	.option_stride = sizeof(struct vmf_option),
};

#endif
