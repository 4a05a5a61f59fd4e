/* SPDX-License-Identifier: ISC */
/*
 * Names. LVM takes letters, digits and "+_.-", but no dash in front, and keeps some words for itself. A byte
 * that is not taken becomes + and two digits of capital hex; the same goes for tags. Plain names stay as they
 * are, and what a person called an LV is read back as it is.
 */
#include <ctype.h>
#include <string.h>

#include "lvm.h"

#define NAME_MAX_LVM 127  /* LVM's own limit, and the device-mapper's for VG and LV together */
#define ROOM_FOR_LAYERS 6 /* "-real", "-cow", "_tmeta" */

static const char *const reserved_starts[] = {"snapshot", "pvmove", LVM_TEMP_PREFIX};
static const char *const reserved_parts[] = {"_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta",
	"_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata",
	"_vorigin", "_wcorig"};

static bool is_hex(char ch)
{
	return isdigit((unsigned char)ch) || (ch >= 'A' && ch <= 'F');
}

static bool is_reserved(const char *name, const char *at)
{
	if (at == name) {
		if (*at == '-' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			return true;
		for (size_t i = 0; i < VMF_COUNT(reserved_starts); i++)
			if (strncmp(at, reserved_starts[i], strlen(reserved_starts[i])) == 0)
				return true;
	}
	for (size_t i = 0; *at == '_' && i < VMF_COUNT(reserved_parts); i++)
		if (strncmp(at, reserved_parts[i], strlen(reserved_parts[i])) == 0)
			return true;
	return false;
}

static bool is_taken(const char *name, const char *at)
{
	if (*at == '+') /* it must not look like one of ours */
		return !(is_hex(at[1]) && is_hex(at[2])) && strcmp(at, LVM_NEW_SUFFIX) != 0 &&
		       strcmp(at, LVM_OLD_SUFFIX) != 0;
	return (isalnum((unsigned char)*at) || strchr("_.-", *at)) && !is_reserved(name, at);
}

const char *lvm_encode(const struct vmf_call *c, const char *name)
{
	char *text = c->host->alloc(c, strlen(name) * 3 + 1), *to = text;

	for (const char *at = name; *at; at++) {
		if (is_taken(name, at)) {
			*to++ = *at;
		} else {
			*to++ = '+';
			*to++ = "0123456789ABCDEF"[(unsigned char)*at >> 4];
			*to++ = "0123456789ABCDEF"[*at & 15];
		}
	}
	return text;
}

static unsigned value_of(char digit)
{
	return (unsigned)(isdigit((unsigned char)digit) ? digit - '0' : digit - 'A' + 10);
}

const char *lvm_decode(const struct vmf_call *c, const char *lv)
{
	char *text = c->host->alloc(c, strlen(lv) + 1), *to = text;

	for (const char *at = lv; *at; at++) {
		if (*at == '+' && is_hex(at[1]) && is_hex(at[2])) {
			*to++ = (char)(value_of(at[1]) << 4 | value_of(at[2]));
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	return strcmp(lvm_encode(c, text), lv) == 0 ? text : c->host->strdup(c, lv);
}

bool lvm_is_plain_name(const char *name)
{
	for (const char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("+_.-", *at))
			return false;
	return *name && *name != '-' && strlen(name) <= NAME_MAX_LVM;
}

/* The device-mapper parts VG and LV by a dash: those in the names are doubled. */
static char *mangle(char *to, const char *name)
{
	for (; *name; name++) {
		if (*name == '-')
			*to++ = '-';
		*to++ = *name;
	}
	return to;
}

const char *lvm_dm_name(const struct vmf_call *c, const char *vg, const char *lv, const char *suffix)
{
	char *text = c->host->alloc(c, 2 * strlen(vg) + 2 * strlen(lv) + strlen(suffix) + 2),
	     *to = mangle(text, vg);

	*to++ = '-';
	to = mangle(to, lv);
	strcpy(to, suffix);
	return text;
}

int lvm_name_check(const struct lvm *s, const char *name, const char *lv, struct vmf_error *err)
{
	if (!*name)
		return s->h->fail(err, VMF_E_USAGE, 0, NULL, "a volume needs a name");
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return s->h->fail(
				err, VMF_E_USAGE, 0, NULL, "a volume's name holds a control character");
	if (strlen(lv) + strlen(LVM_TEMP_PREFIX) > NAME_MAX_LVM ||
		strlen(lvm_dm_name(s->c, s->vg, lv, "")) + ROOM_FOR_LAYERS > NAME_MAX_LVM)
		return s->h->fail(err, VMF_E_USAGE, 0, "choose a shorter name; each dash counts twice",
			"\"%.40s...\" together with the volume group's name is longer than LVM takes", name);
	return 0;
}
