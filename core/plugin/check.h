/* SPDX-License-Identifier: ISC */
/* What a plugin must be before it is believed. Knows the contract, and no folders, loaders or lists. */
#ifndef VMF_PLUGIN_CHECK_H
#define VMF_PLUGIN_CHECK_H

#include "plugin/plugin.h"

/*
 * May FILE be run in this process? Neither it nor its folder may be writable by others, and both belong
 * to root, to us, or to whoever owns this very program (who could as well change that).
 */
int check_trust(const char *file, struct vmf_error *err);

/*
 * Checks a plugin's struct and copies it into PLUGIN: desc, ops, kind. Arrays are copied with our own
 * strides, fields that the plugin does not reach are zero. PLUGIN's kind, name and path are what was
 * asked for. Free with check_release().
 */
int check_describe(const struct vmf_plugin *given, struct plugin *plugin, struct vmf_error *err);
void check_release(struct plugin *plugin);

/* "lvm", "tap-bridge": small letters, digits and dashes. */
bool check_name(const char *name);

#endif
