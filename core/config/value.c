/* SPDX-License-Identifier: ISC */
#include "config/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* ---- numbers ------------------------------------------------------------------------------ */

/* "12" or "1.5", and what stands behind it. Digits past the ninth place after the point do not count. */
struct decimal {
	uint64_t whole, fraction, scale; /* fraction / scale is what stands behind the point */
	const char *unit;
};

static bool parse_decimal(const char *text, struct decimal *d)
{
	const char *p = text;

	*d = (struct decimal){.scale = 1};
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(d->whole, 10, &d->whole) ||
			__builtin_add_overflow(d->whole, (uint64_t)(*p - '0'), &d->whole))
			return false;
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return false;
		for (; isdigit((unsigned char)*p); p++)
			if (d->scale < UINT64_C(1000000000)) {
				d->fraction = d->fraction * 10 + (uint64_t)(*p - '0');
				d->scale *= 10;
			}
	}
	d->unit = p;
	return true;
}

/* d * factor, or false if that is more than an int64_t holds. */
static bool multiply(const struct decimal *d, uint64_t factor, uint64_t *result)
{
	uint64_t part;

	if (__builtin_mul_overflow(d->whole, factor, result))
		return false;
	part = (uint64_t)((double)d->fraction / (double)d->scale * (double)factor + 0.5);
	return !__builtin_add_overflow(*result, part, result) && *result <= INT64_MAX;
}

static int refuse(struct vmf_error *err, const char *text, const char *what)
{
	autofree char *quoted = str_quote(text);

	return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s %s", quoted, what);
}

int value_parse_size(const char *text, uint64_t unit, uint64_t *bytes, struct vmf_error *err)
{
	static const char letters[] = "KMGTPE";
	const char *letter;
	struct decimal d;

	if (!parse_decimal(text, &d))
		return refuse(err, text, "is no size, write it as 512M, 2G or 1.5T");
	if (*d.unit && *d.unit != 'b' && *d.unit != 'B') {
		letter = strchr(letters, toupper((unsigned char)*d.unit));
		if (!letter)
			return refuse(err, text, "is no size, its unit is K, M, G or T");
		unit = UINT64_C(1) << (10 * (letter - letters + 1));
		d.unit++;
		if (*d.unit == 'i' && d.unit[1])
			d.unit++;
		if (*d.unit == 'b' || *d.unit == 'B')
			d.unit++;
	} else if (*d.unit) {
		unit = 1;
		d.unit++;
	}
	if (*d.unit)
		return refuse(err, text, "is no size, its unit is K, M, G or T");
	if (unit == 1 && d.fraction)
		return refuse(err, text, "is not a whole number of bytes, add a unit as in 1.5G");
	if (!multiply(&d, unit, bytes))
		return refuse(err, text, "is too large");
	return 0;
}

int value_parse_int(const char *text, int64_t *number, struct vmf_error *err)
{
	const char *p = text + (*text == '-');
	int64_t n = 0;

	if (!*p || p[strspn(p, "0123456789")])
		return refuse(err, text, "is no whole number");
	for (; *p; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, *p - '0', &n))
			return refuse(err, text, "is too large");
	/* gathered below zero, where there is room for one more */
	if (*text != '-' && __builtin_sub_overflow(0, n, &n))
		return refuse(err, text, "is too large");
	*number = n;
	return 0;
}

int value_parse_bool(const char *text, bool *truth, struct vmf_error *err)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

	for (size_t i = 0; i < VMF_COUNT(words); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*truth = i & 1;
			return 0;
		}
	return refuse(err, text, "is neither yes nor no");
}

int value_parse_time(const char *text, int64_t *ms, struct vmf_error *err)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
	struct decimal d;
	uint64_t result;

	if (!parse_decimal(text, &d))
		return refuse(err, text, "is no time, write it as 500ms, 30s, 5m or 1h");
	for (size_t i = 0; i < VMF_COUNT(units); i++)
		if (str_equal(d.unit, units[i].unit)) {
			if (!multiply(&d, units[i].ms, &result))
				return refuse(err, text, "is too large");
			*ms = (int64_t)result;
			return 0;
		}
	return refuse(err, text, "is no time, its unit is ms, s, m or h");
}

/* ---- what is no number -------------------------------------------------------------------- */

int value_parse_mac(const char *text, char *out, struct vmf_error *err)
{
	unsigned any = 0, first = 0;
	const char *p = text;

	for (int i = 0; i < 6; i++, p += 3) {
		unsigned byte;

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			(i < 5 ? p[2] != ':' && p[2] != '-' : p[2] != '\0'))
			return refuse(err, text, "is no MAC address, write it as 02:00:5e:10:00:01");
		byte = (unsigned)strtoul((char[]){p[0], p[1], '\0'}, NULL, 16);
		any |= byte;
		first = i ? first : byte;
	}
	if (first & 1)
		return refuse(err, text, "is a multicast address, the first byte of a NIC's is even");
	if (!any)
		return refuse(err, text, "is no MAC address of a NIC");
	for (int i = 0; i < 17; i++)
		out[i] = i % 3 == 2 ? ':' : (char)tolower((unsigned char)text[i]);
	out[17] = '\0';
	return 0;
}

static bool is_choice(const char *choices, const char *text)
{
	size_t length = strlen(text);

	while (choices) {
		const char *end = strchrnul(choices, '|');

		if ((size_t)(end - choices) == length && memcmp(choices, text, length) == 0)
			return true;
		choices = *end ? end + 1 : NULL;
	}
	return false;
}

static int check_choice(const struct vmf_option *option, const char *text, struct vmf_error *err)
{
	autofree char *quoted = NULL;
	autofree char *known = NULL;

	if (is_choice(option->choices, text))
		return 0;
	quoted = str_quote(text);
	known = str_dup(option->choices ? option->choices : "");
	for (char *p = known; *p; p++)
		if (*p == '|')
			*p = ' ';
	return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is not possible, choose one of: %s", quoted, known);
}

/* ---- options ------------------------------------------------------------------------------ */

/* A limit in the words of the option's type. */
static char *limit_text(const struct vmf_option *option, int64_t limit)
{
	if (option->type == VMF_OPT_SIZE)
		return value_format_size((uint64_t)limit);
	if (option->type == VMF_OPT_TIME)
		return limit % 1000 ? str_printf("%" PRId64 "ms", limit)
				    : str_printf("%" PRId64 "s", limit / 1000);
	return str_printf("%" PRId64, limit);
}

static int check_limits(
	const struct vmf_option *option, const char *text, int64_t number, struct vmf_error *err)
{
	autofree char *quoted = NULL;
	autofree char *least = NULL;
	autofree char *most = NULL;

	if (option->min == option->max || (number >= option->min && number <= option->max))
		return 0;
	quoted = str_quote(text);
	least = limit_text(option, option->min);
	if (option->max == INT64_MAX)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is too small, at least %s", quoted, least);
	most = limit_text(option, option->max);
	return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is out of range, from %s to %s", quoted, least, most);
}

int value_check(const struct vmf_option *option, const char *text, int64_t *number, struct vmf_error *err)
{
	static const struct vmf_option port = {.type = VMF_OPT_PORT, .min = 1, .max = 65535};
	char mac[18];
	uint64_t bytes;
	bool truth = false;
	int rc = 0;

	*number = 0;
	switch (option->type) {
	case VMF_OPT_INT:
		rc = value_parse_int(text, number, err);
		break;
	case VMF_OPT_SIZE:
		rc = value_parse_size(text, option->flags & VALUE_F_MIB ? 1 << 20 : 1, &bytes, err);
		*number = rc < 0 ? 0 : (int64_t)bytes;
		break;
	case VMF_OPT_TIME:
		rc = value_parse_time(text, number, err);
		break;
	case VMF_OPT_BOOL:
		rc = value_parse_bool(text, &truth, err);
		*number = truth;
		return rc;
	case VMF_OPT_PORT:
		rc = value_parse_int(text, number, err);
		return rc < 0 ? rc : check_limits(&port, text, *number, err);
	case VMF_OPT_ENUM:
		return check_choice(option, text, err);
	case VMF_OPT_MAC:
		return value_parse_mac(text, mac, err);
	default:
		return text[str_utf8_span(text)] == '\0' ? 0 : refuse(err, text, "is not valid UTF-8");
	}
	return rc < 0 ? rc : check_limits(option, text, *number, err);
}

char *value_exact_size(uint64_t bytes)
{
	static const char units[] = "KMGT";
	char unit[2] = "";

	for (size_t i = 0; units[i] && bytes && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit[0] = units[i];
	}
	return str_printf("%llu%s", (unsigned long long)bytes, unit);
}

char *value_format_size(uint64_t bytes)
{
	static const char letters[] = "BKMGTPE";
	int unit = 0;
	uint64_t factor;
	char text[32], *end;

	while (unit < 6 && bytes >= UINT64_C(1) << (10 * (unit + 1)))
		unit++;
	if (unit == 0)
		return str_printf("%" PRIu64, bytes);
	factor = UINT64_C(1) << (10 * unit);
	/* exact with two places, or else rounded to one */
	if (unit < 6 && bytes % factor * 100 % factor == 0)
		snprintf(text, sizeof(text), "%" PRIu64 ".%02u", bytes / factor,
			(unsigned)(bytes % factor * 100 / factor));
	else
		snprintf(text, sizeof(text), "%.1f", (double)bytes / (double)factor);
	if (str_equal(text, "1024.0") && unit < 6) {
		strcpy(text, "1.0");
		unit++;
	}
	end = text + strlen(text);
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	*end = '\0';
	return str_printf("%s%c", text, letters[unit]);
}

const char *value_type_name(uint32_t type)
{
	static const char *const names[] = {
		[VMF_OPT_STRING] = "string",
		[VMF_OPT_BOOL] = "bool",
		[VMF_OPT_INT] = "int",
		[VMF_OPT_SIZE] = "size",
		[VMF_OPT_PATH] = "path",
		[VMF_OPT_ENUM] = "enum",
		[VMF_OPT_LIST] = "list",
		[VMF_OPT_MAC] = "MAC",
		[VMF_OPT_PORT] = "port",
		[VMF_OPT_SECRET] = "secret",
		[VMF_OPT_TIME] = "time",
	};

	return type < VMF_COUNT(names) && names[type] ? names[type] : "unknown";
}
