/* SPDX-License-Identifier: ISC */
/*
 * Which plugins there are. A plugin is the file KIND-NAME.so in one of the folders, or a module of that
 * name that is linked in; the first one found counts. Asking for one costs a look at each folder before
 * it and loading it; no folder is read for that. What was loaded, or was found to be broken, is kept.
 */
#include "plugin/plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "plugin/check.h"
#include "plugin/loader.h"

#ifndef VMF_PLUGIN_DIR
#define VMF_PLUGIN_DIR "/usr/local/lib/vmf/plugins"
#endif
#ifndef VMF_PREFIX
#define VMF_PREFIX "/usr/local"
#endif

#define BUILT_IN "built-in"

struct entry {
	struct plugin plugin; /* the first: a pointer to it is one to the entry */
	struct loader_module module;
	struct vmf_error error; /* of a broken one */
	struct entry *next;
};

static struct strv folders;
static bool has_folders;
static struct entry *entries;
static struct plugin const **listed;
static size_t n_listed;

static const char *const kinds[] = {[VMF_STORAGE] = "storage",
	[VMF_NETWORK] = "network",
	[VMF_DISPLAY] = "display",
	[VMF_PLACEMENT] = "placement"};

const char *plugin_kind_name(enum vmf_kind kind)
{
	return kind >= VMF_STORAGE && kind <= VMF_PLACEMENT ? kinds[kind] : "unknown";
}

/* ---- folders ------------------------------------------------------------------------------ */

static void add_folder(struct strv *list, const char *folder)
{
	autofree char *real = realpath(folder, NULL);

	/* one that is not there stays in the list: it may come to be, and `plugin list` names it */
	if (!strv_has(list, real ? real : folder))
		strv_add(list, real ? real : folder);
}

static char *program_folder(void)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length <= 0)
		return NULL;
	path[length] = '\0';
	return path_parent(path);
}

static void add_beside_program(struct strv *list)
{
	autofree char *folder = program_folder();
	autofree char *built = folder ? path_join(folder, "plugins/.libs") : NULL;
	autofree char *prefix = folder && str_equal(path_base(folder), "bin") ? path_parent(folder) : NULL;
	autofree char *moved = NULL;
	const char *plugins = VMF_PLUGIN_DIR;

	if (built && file_exists(built))
		add_folder(list, built);
	if (!prefix)
		return;
	moved = path_join(prefix,
		str_starts(plugins, VMF_PREFIX "/") ? plugins + strlen(VMF_PREFIX "/") : "lib/vmf/plugins");
	if (file_exists(moved))
		add_folder(list, moved);
}

void plugin_search_path(struct strv *list)
{
	const char *path = getenv("VMF_PLUGIN_PATH");

	/* with more rights than the caller's, neither what he says nor where he linked us to is believed */
	if (!getauxval(AT_SECURE)) {
		for (const char *at = path; at && *at; at += strspn(at, ":")) {
			autofree char *one = str_ndup(at, strcspn(at, ":"));

			if (*one)
				add_folder(list, one);
			at += strcspn(at, ":");
		}
		add_beside_program(list);
	}
	add_folder(list, VMF_PLUGIN_DIR);
}

void plugin_setup(const struct strv *search_path)
{
	strv_add_all(&folders, search_path);
	has_folders = true;
}

/* Many commands need no plugin: the folders are looked up with the first one. */
static const struct strv *searched(void)
{
	if (!has_folders)
		plugin_search_path(&folders);
	has_folders = true;
	return &folders;
}

/* ---- one plugin --------------------------------------------------------------------------- */

static struct entry *new_entry(enum vmf_kind kind, const char *name, const char *path)
{
	struct entry *e = mem_alloc(sizeof(*e)), **last = &entries;

	e->plugin.kind = kind;
	e->plugin.name = str_dup(name);
	e->plugin.path = str_dup(path);
	while (*last)
		last = &(*last)->next;
	*last = e;
	return e;
}

static void set_broken(struct entry *e)
{
	e->plugin.state = PLUGIN_BROKEN;
	e->plugin.why = e->error.hint ? str_printf("%s; %s", e->error.message, e->error.hint)
				      : str_dup(e->error.message);
	loader_close(&e->module);
}

/* Loads and checks PATH, or the module of that name that is linked in. Never NULL; may be broken. */
static struct entry *load(enum vmf_kind kind, const char *name, const char *path)
{
	struct entry *e = new_entry(kind, name, path);
	autofree char *module = str_printf("%s-%s", plugin_kind_name(kind), name);
	int rc;

	if (str_equal(path, BUILT_IN)) {
		rc = loader_open_linked(module, &e->module, &e->error);
	} else {
		rc = check_trust(path, &e->error);
		if (rc == 0)
			rc = loader_open(path, &e->module, &e->error);
	}
	if (rc == 0)
		rc = check_describe(e->module.symbol, &e->plugin, &e->error);
	if (rc < 0)
		set_broken(e);
	return e;
}

static struct entry *known(enum vmf_kind kind, const char *name)
{
	for (struct entry *e = entries; e; e = e->next)
		if (e->plugin.kind == kind && e->plugin.state != PLUGIN_SHADOWED &&
			str_equal(e->plugin.name, name))
			return e;
	return NULL;
}

static bool is_linked_in(enum vmf_kind kind, const char *name)
{
	autostrv struct strv linked = STRV_INIT;
	autofree char *module = str_printf("%s-%s", plugin_kind_name(kind), name);

	loader_linked_names(&linked);
	return strv_has(&linked, module);
}

static struct entry *find(enum vmf_kind kind, const char *name)
{
	struct entry *e = known(kind, name);
	struct stat st;

	for (size_t i = 0; !e && i < searched()->count; i++) {
		autofree char *path =
			str_printf("%s/%s-%s.so", folders.items[i], plugin_kind_name(kind), name);

		if (stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR))
			e = load(kind, name, path);
	}
	if (!e && is_linked_in(kind, name))
		e = load(kind, name, BUILT_IN);
	return e;
}

static int fail_missing(enum vmf_kind kind, const char *name, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	autofree char *all = NULL, *quoted = str_quote(name), *looked = strv_join(searched(), ", "),
		      *hint = NULL;
	const char *nearest;

	plugin_names(kind, &names);
	nearest = str_nearest(name, (const char *const *)names.items, names.count);
	all = strv_join(&names, ", ");
	if (nearest)
		hint = str_printf("did you mean \"%s\"? There are: %s", nearest, all);
	else if (names.count)
		hint = str_printf("there are: %s; install the plugin into one of: %s", all, looked);
	else
		hint = str_printf("no %s plugin is installed; looked in: %s", plugin_kind_name(kind), looked);
	return vmf_fail(err, VMF_E_MISSING, 0, hint, "no %s plugin %s", plugin_kind_name(kind), quoted);
}

const struct plugin *plugin_get(enum vmf_kind kind, const char *name, struct vmf_error *err)
{
	struct entry *e = check_name(name) ? find(kind, name) : NULL;

	if (!e) {
		fail_missing(kind, name ? name : "", err);
		return NULL;
	}
	if (e->plugin.state == PLUGIN_BROKEN) {
		vmf_fail(err, e->error.code, 0, e->error.hint, "%s", e->error.message);
		return NULL;
	}
	return &e->plugin;
}

/* ---- all plugins -------------------------------------------------------------------------- */

/* "storage-lvm.so" -> VMF_STORAGE and "lvm" */
static bool parse_module(const char *module, enum vmf_kind *kind, char **name)
{
	for (int k = VMF_STORAGE; k <= VMF_PLACEMENT; k++) {
		const char *rest = module + strlen(kinds[k]) + 1, *end;

		if (!str_starts(module, kinds[k]) || rest[-1] != '-')
			continue;
		end = rest + strcspn(rest, ".");
		*name = str_ndup(rest, (size_t)(end - rest));
		*kind = (enum vmf_kind)k;
		if (check_name(*name) && (!*end || str_equal(end, ".so")))
			return true;
		free(*name);
	}
	return false;
}

static bool is_known_path(const char *path)
{
	for (struct entry *e = entries; e; e = e->next)
		if (str_equal(e->plugin.path, path))
			return true;
	return false;
}

/* A file in a folder, or a module that is linked in: loaded, unless one of its name comes before it. */
static void look_at(const char *module, const char *path)
{
	enum vmf_kind kind;
	char *name;
	struct entry *e, *first;

	if (!str_equal(path, BUILT_IN) && is_known_path(path))
		return;
	if (!parse_module(module, &kind, &name)) {
		e = new_entry((enum vmf_kind)0, module, path);
		vmf_fail(&e->error, VMF_E_FAILED, 0, "rename or remove it",
			"plugin %s: the file's name is not storage-, network-, display- or placement-NAME.so",
			path);
		set_broken(e);
		return;
	}
	first = known(kind, name);
	if (!first) {
		load(kind, name, path);
	} else if (!str_equal(first->plugin.path, path)) {
		e = new_entry(kind, name, path);
		e->plugin.state = PLUGIN_SHADOWED;
		e->plugin.why = str_dup(first->plugin.path);
	}
	free(name);
}

static void look_at_folder(const char *folder)
{
	autostrv struct strv names = STRV_INIT;
	struct vmf_error ignored = VMF_ERROR_INIT;

	/* one that cannot be read holds no plugins for us */
	if (dir_list(folder, &names, &ignored) < 0)
		error_clear(&ignored);
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(folder, names.items[i]);

		if (str_ends(names.items[i], ".so"))
			look_at(names.items[i], path);
	}
}

static int compare(const void *left, const void *right)
{
	const struct plugin *a = *(const struct plugin *const *)left,
			    *b = *(const struct plugin *const *)right;
	int by_name = strcmp(a->name, b->name);

	if (a->kind != b->kind)
		return (int)a->kind - (int)b->kind;
	if (by_name)
		return by_name;
	if (a->state != b->state)
		return (int)a->state - (int)b->state;
	return strcmp(a->path, b->path);
}

size_t plugin_list(const struct plugin *const **list)
{
	autostrv struct strv linked = STRV_INIT;
	size_t count = 0;

	if (listed) {
		*list = listed;
		return n_listed;
	}
	for (size_t i = 0; i < searched()->count; i++)
		look_at_folder(folders.items[i]);
	loader_linked_names(&linked);
	for (size_t i = 0; i < linked.count; i++)
		look_at(linked.items[i], BUILT_IN);
	for (struct entry *e = entries; e; e = e->next)
		count++;
	listed = mem_alloc((count + 1) * sizeof(*listed));
	for (struct entry *e = entries; e; e = e->next)
		listed[n_listed++] = &e->plugin;
	qsort(listed, n_listed, sizeof(*listed), compare);
	*list = listed;
	return n_listed;
}

static void add_name(enum vmf_kind kind, const char *module, struct strv *names)
{
	enum vmf_kind of;
	char *name;

	if (!parse_module(module, &of, &name))
		return;
	if (of == kind && !strv_has(names, name))
		strv_add(names, name);
	free(name);
}

void plugin_names(enum vmf_kind kind, struct strv *names)
{
	autostrv struct strv linked = STRV_INIT;

	for (size_t i = 0; i < searched()->count; i++) {
		autostrv struct strv files = STRV_INIT;
		struct vmf_error ignored = VMF_ERROR_INIT;

		if (dir_list(folders.items[i], &files, &ignored) < 0)
			error_clear(&ignored);
		for (size_t j = 0; j < files.count; j++)
			if (str_ends(files.items[j], ".so"))
				add_name(kind, files.items[j], names);
	}
	loader_linked_names(&linked);
	for (size_t i = 0; i < linked.count; i++)
		add_name(kind, linked.items[i], names);
	strv_sort(names);
}

void plugin_teardown(void)
{
	while (entries) {
		struct entry *e = entries;

		entries = e->next;
		check_release(&e->plugin);
		loader_close(&e->module);
		error_clear(&e->error);
		free(e->plugin.name);
		free(e->plugin.path);
		free(e->plugin.why);
		free(e);
	}
	free(listed);
	listed = NULL;
	n_listed = 0;
	strv_free(&folders);
	has_folders = false;
	loader_teardown();
}
