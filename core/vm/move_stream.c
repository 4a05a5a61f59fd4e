/* SPDX-License-Identifier: ISC */
/*
 * Parts: a length of four bytes, the lowest first, and so many bytes. The highest bit says that they are all
 * zero and are left out. Length 0 is the end; behind it stands a checksum of eight bytes.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vm/move.h"

#define PART 262144u
#define ZEROES 0x80000000u

static void add_sum(uint64_t *sum, const char *data, size_t length)
{
	uint64_t word, s = *sum;

	for (; length >= sizeof(word); data += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		s = (s ^ le64toh(word)) * 0x100000001b3u;
		s ^= s >> 29;
	}
	for (; length > 0; data++, length--)
		s = (s ^ (unsigned char)*data) * 0x100000001b3u;
	*sum = s;
}

static bool is_zero(const char *data, size_t length)
{
	return length > 0 && data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

/* As many as there are, up to LENGTH. */
static ssize_t read_part(int fd, char *data, size_t length)
{
	size_t have = 0;

	while (have < length) {
		ssize_t n = read(fd, data + have, length - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int read_all(int fd, void *data, size_t length)
{
	ssize_t n = read_part(fd, data, length);

	if (n == (ssize_t)length)
		return 0;
	if (n >= 0)
		errno = EPIPE;
	return -1;
}

static int put(int to, const char *data, size_t length)
{
	bool zero = is_zero(data, length);
	uint32_t head = htole32((uint32_t)length | (zero ? ZEROES : 0));

	if (fd_write_all(to, &head, sizeof(head)) < 0)
		return -1;
	return zero ? 0 : fd_write_all(to, data, length);
}

int move_encode(int from, int to)
{
	char *data = mem_alloc(PART);
	uint64_t sum = 0;
	uint32_t end = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read_part(from, data, PART)) > 0) {
		add_sum(&sum, data, (size_t)n);
		rc = put(to, data, (size_t)n);
	}
	sum = htole64(sum);
	if (rc == 0 &&
		(n < 0 || fd_write_all(to, &end, sizeof(end)) < 0 || fd_write_all(to, &sum, sizeof(sum)) < 0))
		rc = -1;
	free(data);
	return rc;
}

static int get(int from, char *data, uint32_t head)
{
	size_t length = head & ~ZEROES;

	if (length > PART) {
		errno = EBADMSG;
		return -1;
	}
	if (!(head & ZEROES))
		return read_all(from, data, length);
	memset(data, 0, length);
	return 0;
}

int move_decode(int from, int to)
{
	char *data = mem_alloc(PART);
	uint64_t sum = 0, said;
	uint32_t head = 0;
	int rc;

	while ((rc = read_all(from, &head, sizeof(head))) == 0 && head) {
		head = le32toh(head);
		rc = get(from, data, head);
		if (rc == 0) {
			add_sum(&sum, data, head & ~ZEROES);
			rc = fd_write_all(to, data, head & ~ZEROES);
		}
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = read_all(from, &said, sizeof(said));
	if (rc == 0 && le64toh(said) != sum) {
		errno = EBADMSG;
		rc = -1;
	}
	free(data);
	return rc;
}
