/* SPDX-License-Identifier: ISC */
#include "base/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t length)
{
	const unsigned char *from = data;
	char *text = mem_alloc((length + 2) / 3 * 4 + 1), *to = text;
	size_t i = 0;

	for (; i + 3 <= length; i += 3) {
		uint32_t bits = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = digits[bits >> 6 & 63];
		*to++ = digits[bits & 63];
	}
	if (i < length) {
		size_t n = length - i;
		uint32_t bits = (uint32_t)from[i] << 16;

		bits |= n > 1 ? (uint32_t)from[i + 1] << 8 : 0;
		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = '=';
	}
	return text;
}

/* Much goes through here: a look at a table for each digit. -1: it is none. */
static const signed char *values(void)
{
	static signed char table[256];

	if (table[0])
		return table;
	memset(table, -1, sizeof(table));
	for (int i = 0; i < 64; i++)
		table[(unsigned char)digits[i]] = (signed char)i;
	return table;
}

char *base64_decode(const char *text, size_t *length)
{
	size_t n = strlen(text), padding = 0;
	const signed char *value_of = values();
	char *data, *to;

	if (n % 4)
		return NULL;
	while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
		padding++;
	data = to = mem_alloc(n / 4 * 3 + 1);
	for (size_t i = 0; i < n; i += 4) {
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = i + k >= n - padding ? 0 : value_of[(unsigned char)text[i + k]];

			if (value < 0) {
				free(data);
				return NULL;
			}
			bits = bits << 6 | (uint32_t)value;
		}
		*to++ = (char)(bits >> 16);
		*to++ = (char)(bits >> 8);
		*to++ = (char)bits;
	}
	*length = n / 4 * 3 - padding;
	data[*length] = '\0';
	return data;
}
