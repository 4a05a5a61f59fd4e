/* SPDX-License-Identifier: ISC */
/*
 * storage-example - disks as raw files in a folder.
 *
 *     storage "files" { example { dir = "/srv/disks" } }
 *
 * A whole storage plugin, as small as it can be: it knows nothing of vmf but <vmf/plugin.h>. Volumes are
 * DIR/NAME.raw; beside each lies NAME.owner with the UUID of the VM that it was made for. That file is the
 * mark by which we know a volume as ours, and without it nothing is ever removed.
 *
 * The shape of every call: look at the options, look at the world, change it unless call->dry_run is set,
 * and return 0, or return c->host->fail(err, code, errno, hint, "what is wrong with \"%s\"", what).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <vmf/plugin.h>

#define SUFFIX ".raw"
#define OWNER ".owner"

/* ---- names -------------------------------------------------------------------------------- */

static const char *folder(const struct vmf_call *c)
{
	return c->host->opt_string(c, "dir"); /* required: never NULL */
}

static const char *path_of(const struct vmf_call *c, const char *name, const char *suffix)
{
	return c->host->printf(c, "%s/%s%s", folder(c), name, suffix);
}

/* A code that fits errno. */
static int code_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return VMF_E_NOT_FOUND;
	case EEXIST:
		return VMF_E_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return VMF_E_PERMISSION;
	case ENOSPC:
		return VMF_E_NO_SPACE;
	default:
		return VMF_E_FAILED;
	}
}

static int fail_at(const struct vmf_call *c, struct vmf_error *err, const char *what, const char *path)
{
	int errnum = errno;

	return c->host->fail(err, code_of(errnum), errnum, NULL, "cannot %s \"%s\"", what, path);
}

/* The UUID in NAME.owner, or NULL: not ours. */
static const char *owner_of(const struct vmf_call *c, const char *name)
{
	char uuid[64] = "";
	FILE *file = fopen(path_of(c, name, OWNER), "re");

	if (!file)
		return NULL;
	if (!fgets(uuid, sizeof(uuid), file))
		uuid[0] = '\0';
	fclose(file);
	uuid[strcspn(uuid, "\n")] = '\0';
	return c->host->strdup(c, uuid);
}

/* ---- the pool ----------------------------------------------------------------------------- */

static int check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err)
{
	struct statvfs fs;

	if (statvfs(folder(c), &fs) < 0)
		return c->host->fail(err, code_of(errno), errno, "create the folder, or set another `dir`",
			"%s: folder \"%s\"", c->host->opt_origin(c, "dir"), folder(c));
	pool->caps = VMF_STORAGE_RENAME;
	pool->size_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	pool->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	pool->data_percent = pool->meta_percent = -1;
	pool->description = c->host->strdup(c, folder(c));
	return 0;
}

static int describe(const struct vmf_call *c, const char *name, struct vmf_volume *volume)
{
	const char *path = path_of(c, name, SUFFIX);
	struct stat st;

	if (stat(path, &st) < 0)
		return -1; /* gone between readdir() and here */
	volume->size = sizeof(*volume);
	volume->name = name;
	volume->id = path;
	volume->format = "raw";
	volume->virtual_bytes = (uint64_t)st.st_size;
	volume->used_bytes = (uint64_t)st.st_blocks * 512;
	volume->owner_uuid = owner_of(c, name);
	volume->is_ours = volume->owner_uuid != NULL;
	return 0;
}

static int list(
	const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	DIR *dir = opendir(folder(c));
	struct dirent *entry;
	size_t room = 0;

	if (!dir)
		return fail_at(c, err, "read", folder(c));
	list->stride = sizeof(struct vmf_volume);
	list->count = 0;
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		char *name;

		if (length <= strlen(SUFFIX) || strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		if (prefix && strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		name = c->host->printf(c, "%.*s", (int)(length - strlen(SUFFIX)), entry->d_name);
		if (list->count == room) { /* host memory cannot grow: take more, and copy */
			struct vmf_volume *more = c->host->alloc(c, (room * 2 + 16) * sizeof(*more));

			if (room)
				memcpy(more, list->items, room * sizeof(*more));
			list->items = more;
			room = room * 2 + 16;
		}
		if (describe(c, name, &list->items[list->count]) == 0)
			list->count++;
	}
	closedir(dir);
	return 0;
}

/* ---- volumes ------------------------------------------------------------------------------ */

static int write_owner(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	const char *path = path_of(c, name, OWNER);
	FILE *file = fopen(path, "we");
	int bad;

	if (!file)
		return fail_at(c, err, "create", path);
	fprintf(file, "%s\n", c->vm ? c->vm->uuid : "-");
	bad = ferror(file);
	if (fclose(file) != 0 || bad)
		return fail_at(c, err, "write", path);
	return 0;
}

static int create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const char *path = path_of(c, name, SUFFIX);
	int fd;

	if (access(path, F_OK) == 0)
		return c->host->fail(err, VMF_E_EXISTS, 0, "remove it, or choose another name",
			"volume \"%s\" is there already", path);
	if (c->dry_run)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_at(c, err, "create", path);
	if (ftruncate(fd, (off_t)size_bytes) < 0) {
		fail_at(c, err, "grow", path);
		close(fd);
		unlink(path); /* either it is there whole, or it is not */
		return -1;
	}
	close(fd);
	if (write_owner(c, name, err) < 0) {
		unlink(path);
		unlink(path_of(c, name, OWNER));
		return -1;
	}
	return 0;
}

static int drop(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	const char *path = path_of(c, name, SUFFIX);

	if (access(path, F_OK) < 0 && errno == ENOENT) {
		if (!c->dry_run)
			unlink(path_of(c, name, OWNER)); /* what a killed create() left */
		return 0;				 /* undoing what is gone already succeeds */
	}
	if (!owner_of(c, name))
		return c->host->fail(err, VMF_E_PERMISSION, 0, "remove it by hand if it is not needed",
			"\"%s\" was not made by vmf", path);
	if (c->dry_run)
		return 0;
	if (unlink(path) < 0 && errno != ENOENT)
		return fail_at(c, err, "remove", path);
	unlink(path_of(c, name, OWNER));
	return 0;
}

static int rename_volume(
	const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err)
{
	const char *from = path_of(c, name, SUFFIX), *to = path_of(c, new_name, SUFFIX);

	if (access(to, F_OK) == 0)
		return c->host->fail(err, VMF_E_EXISTS, 0, NULL, "volume \"%s\" is there already", to);
	if (access(from, F_OK) < 0)
		return fail_at(c, err, "find", from);
	if (c->dry_run)
		return 0;
	/* the mark first: a volume is never without one */
	if (rename(path_of(c, name, OWNER), path_of(c, new_name, OWNER)) < 0 && errno != ENOENT)
		return fail_at(c, err, "rename", from);
	if (rename(from, to) < 0)
		return fail_at(c, err, "rename", from);
	return 0;
}

static int grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const char *path = path_of(c, name, SUFFIX);
	struct stat st;

	if (stat(path, &st) < 0)
		return fail_at(c, err, "find", path);
	if (size_bytes < (uint64_t)st.st_size)
		return c->host->fail(err, VMF_E_USAGE, 0, "volumes can only grow",
			"volume \"%s\" has %" PRIu64 " bytes, more than %" PRIu64, name, (uint64_t)st.st_size,
			size_bytes);
	if (!c->dry_run && truncate(path, (off_t)size_bytes) < 0)
		return fail_at(c, err, "grow", path);
	return 0;
}

/* ---- what QEMU gets ----------------------------------------------------------------------- */

static int attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err)
{
	struct vmf_block_layer *layer = c->host->alloc(c, sizeof(*layer));

	layer->driver = "raw";
	layer->path = path_of(c, name, SUFFIX);
	layer->fd = -1; /* vmf opens it, and QEMU gets the fd */
	if (access(layer->path, F_OK) < 0)
		return fail_at(c, err, "find", layer->path);
	block->layers = layer;
	block->n_layers = 1;
	block->layer_stride = sizeof(*layer);
	block->discard = 1;
	block->detect_zeroes = 1;
	return 0;
}

static int detach(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)c;
	(void)name;
	(void)err;
	return 0; /* attach() changed nothing on the host */
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct vmf_storage_ops ops = {
	.size = sizeof(ops),
	.check = check,
	.list = list,
	.create = create,
	.remove = drop,
	.rename = rename_volume,
	.grow = grow,
	.attach = attach,
	.detach = detach,
	/* all other calls stay NULL: vmf says that this storage cannot do that */
};

static const struct vmf_option options[] = {
	{
		.name = "dir",
		.type = VMF_OPT_PATH,
		.flags = VMF_OPT_F_REQUIRED,
		.help = "the folder that the disks are in",
		.since = "1.0",
	},
};

VMF_PLUGIN(storage_example) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_STORAGE,
	.name = "example",
	.version = "1.0",
	.summary = "disks as raw files in a folder",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.ops = &ops,
};
