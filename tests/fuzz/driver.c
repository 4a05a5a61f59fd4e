/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target without libFuzzer: every file of the corpus as it is, and then, for a number of
 * seconds, changed at random. Finds less than libFuzzer does, but is there with every compiler.
 *
 *     fuzz_NAME [--seconds N] [--seed N] FILE-or-FOLDER...
 *
 * The input of a run that crashes is left in crash.bin in the working directory.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"

#define INPUT_MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *data;
	size_t size;
};

static struct input *corpus;
static size_t n_corpus;
static uint64_t state = 88172645463325252u;

static uint64_t random_below(uint64_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return limit ? state % limit : 0;
}

static void add_file(const char *path)
{
	struct vmf_error err = VMF_ERROR_INIT;
	size_t size;
	char *data = file_read(path, INPUT_MAX_BYTES, &size, &err);

	if (!data) {
		fprintf(stderr, "%s\n", err.message);
		exit(2);
	}
	corpus = mem_resize(corpus, (n_corpus + 1) * sizeof(*corpus));
	corpus[n_corpus++] = (struct input){(uint8_t *)data, size};
}

static void add_path(const char *path)
{
	autostrv struct strv names = STRV_INIT;
	struct vmf_error err = VMF_ERROR_INIT;
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	if (dir_list(path, &names, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(2);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *one = path_join(path, names.items[i]);

		add_file(one);
	}
}

/* An exact copy on the heap, so that a read past the end is seen. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static size_t mutate(uint8_t *data, size_t size)
{
	static const char interesting[] = "{}\"'\\,=+#/$()[]:\n\0\xff -09";
	const struct input *other = &corpus[random_below(n_corpus)];
	size_t at = (size_t)random_below(size + 1), length = (size_t)random_below(1 + size / 4);

	switch (random_below(6)) {
	case 0: /* flip a bit */
		if (at < size)
			data[at] ^= (uint8_t)(1u << random_below(8));
		return size;
	case 1: /* put a telling character */
		if (at < size)
			data[at] = (uint8_t)interesting[random_below(sizeof(interesting) - 1)];
		return size;
	case 2: /* cut off */
		return at;
	case 3: /* take something out */
		if (at + length > size)
			return size;
		memmove(data + at, data + at + length, size - at - length);
		return size - length;
	case 4: /* put a telling character in between */
		if (size + 1 > INPUT_MAX_BYTES)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = (uint8_t)interesting[random_below(sizeof(interesting) - 1)];
		return size + 1;
	default: /* go on as another input does */
		length = (size_t)random_below(other->size + 1);
		if (at + other->size - length > INPUT_MAX_BYTES)
			return size;
		memcpy(data + at, other->data + length, other->size - length);
		return at + other->size - length;
	}
}

static void keep(const uint8_t *data, size_t size)
{
	FILE *file = fopen("crash.bin", "wb");

	if (!file)
		return;
	fwrite(data, 1, size, file);
	fclose(file);
}

static unsigned long fuzz(int64_t until_ms)
{
	static uint8_t data[INPUT_MAX_BYTES];
	unsigned long runs = 0;

	while (time_now_ms() < until_ms) {
		const struct input *from = &corpus[random_below(n_corpus)];
		size_t size = from->size;

		memcpy(data, from->data, size);
		for (uint64_t n = 1 + random_below(8); n; n--)
			size = mutate(data, size);
		keep(data, size);
		run(data, size);
		runs++;
	}
	remove("crash.bin");
	return runs;
}

int main(int argc, char **argv)
{
	long seconds = 0;
	unsigned long runs;

	for (int i = 1; i < argc; i++) {
		if (str_equal(argv[i], "--seconds") && i + 1 < argc)
			seconds = strtol(argv[++i], NULL, 10);
		else if (str_equal(argv[i], "--seed") && i + 1 < argc)
			state = strtoull(argv[++i], NULL, 10) | 1;
		else
			add_path(argv[i]);
	}
	for (size_t i = 0; i < n_corpus; i++)
		run(corpus[i].data, corpus[i].size);
	runs = n_corpus ? fuzz(time_now_ms() + seconds * 1000) : 0;
	fprintf(stderr, "%zu inputs, %lu changed ones\n", n_corpus, runs);
	for (size_t i = 0; i < n_corpus; i++)
		free(corpus[i].data);
	free(corpus);
	return n_corpus ? 0 : 2;
}
