/* SPDX-License-Identifier: ISC */
/*
 * `list`: every VM, fast. No plugin is loaded, no store is asked and VMs that do not run cost no system call
 * but the reading of their file: the run folder, the saved memories and the journals are read once each, and
 * only VMs that occur there are looked at. QEMUs that may hang are asked side by side, with one deadline.
 * The columns that need more, and are therefore not among the usual ones, are `disks` and `addresses`.
 */
#include "cli/cli.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/list.h"
#include "config/value.h"

#define ASK_MS 500
#define HOST_MS 3000 /* for a host to answer, unless told */

enum column {
	NAME,
	STATE,
	CLASS,
	CPUS,
	MEMORY,
	DISKS,
	NICS,
	HOST,
	OWNER,
	PID,
	SINCE,
	DESCRIPTION,
	UUID,
	DETAIL,
	ADDRESSES
};

static const char *const words[] = {"name", "state", "class", "cpus", "memory", "disks", "nics", "host",
	"owner", "pid", "since", "description", "uuid", "detail", "addresses"};
static const char *const headings[] = {"NAME", "STATE", "CLASS", ">CPUS", ">MEMORY", ">DISKS", ">NICS",
	"HOST", "OWNER", ">PID", "SINCE", "DESCRIPTION", "UUID", "DETAIL", "ADDRESSES"};
static const char usual[] = "name,state,cpus,memory,nics,host";

struct list {
	struct ctx *ctx;
	struct row *rows;
	size_t n_rows;
	enum column columns[VMF_COUNT(words)];
	size_t n_columns;
	bool wants_disks, wants_addresses;
};

/* ---- which VMs ---------------------------------------------------------------------------- */

/* The order of strv_sort(). */
static int by_name(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* V is sorted. */
static bool is_in(const struct strv *v, const char *name)
{
	return v->count && bsearch(&name, v->items, v->count, sizeof(*v->items), by_name);
}

static int list_folder(const char *parent, const char *name, struct strv *names, struct vmf_error *err)
{
	autofree char *path = path_join(parent, name);

	if (dir_list(path, names, err) < 0)
		return -1;
	strv_sort(names);
	return 0;
}

static bool is_wanted(const struct strv *patterns, const char *name)
{
	for (size_t i = 0; i < patterns->count; i++)
		if (fnmatch(patterns->items[i], name, 0) == 0)
			return true;
	return patterns->count == 0;
}

static void add_row(struct list *list, const char *name, bool has_trace)
{
	struct row *row;

	list->rows = mem_resize(list->rows, (list->n_rows + 1) * sizeof(*list->rows));
	row = &list->rows[list->n_rows++];
	memset(row, 0, sizeof(*row));
	row->name = str_dup(name);
	if (has_trace) {
		vm_state_read(list->ctx, name, &row->state);
		return;
	}
	row->state.phase = VM_OFF;
	snprintf(row->state.status, sizeof(row->state.status), "off");
}

/* Defined VMs, and those of whom only a run folder or a journal is left. */
static int find_rows(struct list *list, const struct strv *patterns, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	autostrv struct strv runs = STRV_INIT;
	autostrv struct strv saved = STRV_INIT;
	autostrv struct strv journals = STRV_INIT;
	size_t n_defined;

	if (vm_names(list->ctx, &names, err) < 0 || list_folder(list->ctx->paths.run, "", &runs, err) < 0 ||
		list_folder(list->ctx->paths.lib, "saved", &saved, err) < 0 ||
		list_folder(list->ctx->paths.lib, "journal", &journals, err) < 0)
		return -1;
	n_defined = names.count;
	for (size_t i = 0; i < runs.count + journals.count; i++) {
		const char *name = i < runs.count ? runs.items[i] : journals.items[i - runs.count];
		struct strv defined = {names.items, n_defined};

		if (!is_in(&defined, name) && vm_name_check(name, NULL) == 0 &&
			!(i >= runs.count && is_in(&runs, name)))
			strv_add(&names, name);
	}
	if (names.count > n_defined)
		strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];

		if (is_wanted(patterns, name))
			add_row(list, name,
				is_in(&runs, name) || is_in(&saved, name) || is_in(&journals, name));
	}
	return 0;
}

/* ---- what QEMU itself says ----------------------------------------------------------------- */

static void take_answer(struct list *list, struct row *row, const char *word, int answered)
{
	if (answered < 0) { /* it has ended since */
		vm_state_read(list->ctx, row->name, &row->state);
	} else if (answered == 0) {
		snprintf(row->state.status, sizeof(row->state.status), "hung");
		snprintf(row->state.detail, sizeof(row->state.detail), "QEMU (pid %d) does not answer",
			(int)row->state.pid);
	} else if (!str_equal(vm_status_word(word), row->state.status)) {
		snprintf(row->state.status, sizeof(row->state.status), "%s", vm_status_word(word));
		row->state.detail[0] = '\0';
	}
}

/*
 * The event log says what a QEMU has done last, but not whether it hangs. One that waits for events in its
 * main loop does not; only the others are asked, as an answer costs ten times what all the rest of a row
 * does.
 */
static bool may_hang(const struct row *row)
{
	return !row->is_far && row->state.phase == VM_ALIVE && !str_equal(row->state.status, "hung") &&
	       !proc_is_polling(row->state.pid);
}

static void ask_doubtful(struct list *list)
{
	struct strv paths = STRV_INIT;
	size_t *of = mem_alloc((list->n_rows + 1) * sizeof(*of));
	char **status;
	int *answered;

	for (size_t i = 0; i < list->n_rows; i++)
		if (may_hang(&list->rows[i])) {
			of[paths.count] = i;
			strv_addf(&paths, "%s/%s/qmp", list->ctx->paths.run, list->rows[i].name);
		}
	status = mem_alloc((paths.count + 1) * sizeof(*status));
	answered = mem_alloc((paths.count + 1) * sizeof(*answered));
	if (paths.count)
		qmp_status_many((const char *const *)paths.items, paths.count, status, answered,
			time_now_ms() + ASK_MS);
	for (size_t i = 0; i < paths.count; i++) {
		take_answer(list, &list->rows[of[i]], status[i], answered[i]);
		free(status[i]);
	}
	free(status);
	free(answered);
	free(of);
	strv_free(&paths);
}

static bool is_up(const struct row *row)
{
	return row->state.phase != VM_OFF && row->state.phase != VM_ENDED && row->state.phase != VM_SAVED;
}

static void free_row(struct row *row)
{
	vm_free(row->vm);
	free(row->name);
	free(row->error);
	free(row->detail);
}

/* Of somebody who comes by the gate: what is not hers is not there. */
static void drop_others(struct list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->n_rows; i++) {
		struct row *row = &list->rows[i];
		struct vmf_error ignored = VMF_ERROR_INIT;

		row->vm = vm_load(list->ctx, row->name, true, &ignored);
		error_clear(&ignored);
		if (row->vm && row->vm->is_defined && vm_need_owned(row->vm, &ignored) == 0)
			list->rows[kept++] = *row;
		else
			free_row(row);
		error_clear(&ignored);
	}
	list->n_rows = kept;
}

static void drop_those_off(struct list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->n_rows; i++) {
		if (is_up(&list->rows[i]))
			list->rows[kept++] = list->rows[i];
		else
			free_row(&list->rows[i]);
	}
	list->n_rows = kept;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* What the running guest is known by. */
static void find_addresses(const struct row *row, struct vm *vm, struct strv *addresses)
{
	for (size_t i = 0; row->state.pid && vm && vm->is_resolved && i < vm->n_nics; i++) {
		struct vmf_error err = VMF_ERROR_INIT;
		json_t *nic = nic_json(vm, &vm->nics[i], true, &err), *address;
		size_t k;

		if (err.code)
			log_warn("vm \"%s\": nic \"%s\": %s", vm->name, vm->nics[i].title, err.message);
		json_array_foreach(json_object_get(nic, "addresses"), k, address)
		{
			strv_add(addresses, json_string_value(address));
		}
		json_decref(nic);
		error_clear(&err);
	}
}

static char *cell(const struct list *list, const struct row *row, struct vm *vm, enum column column)
{
	autostrv struct strv found = STRV_INIT;

	switch (column) {
	case NAME:
		return str_dup(row->name);
	case STATE:
		return str_dup(row->error && !is_up(row) ? "broken" : row->state.status);
	case PID:
		return row->state.pid ? str_printf("%d", (int)row->state.pid) : NULL;
	case SINCE:
		return row->state.since ? out_time(row->state.since) : NULL;
	case DETAIL:
		return row->error    ? str_ndup(row->error, strcspn(row->error, "\n"))
		       : row->detail ? str_dup(row->detail)
				     : str_dup(row->state.detail);
	default:
		break;
	}
	if (!vm)
		return NULL;
	switch (column) {
	case CLASS:
		return str_dup(vm->class_);
	case CPUS:
		return str_printf("%d", (int)conf_number(vm->root, "cpus"));
	case MEMORY:
		return value_format_size(vm_memory_bytes(vm));
	case DISKS:
		return list->wants_disks && vm->is_resolved ? str_printf("%zu", vm->n_disks) : NULL;
	case NICS:
		return str_printf("%zu", vm->n_nics);
	case HOST:
	case OWNER:
	case DESCRIPTION:
		return str_dup(conf_string(vm->root, words[column]));
	case UUID:
		return str_dup(vm->uuid);
	case ADDRESSES:
		find_addresses(row, vm, &found);
		return found.count ? strv_join(&found, " ") : NULL;
	default:
		return NULL;
	}
}

static json_t *row_json(const struct list *list, const struct row *row, struct vm *vm)
{
	autostrv struct strv found = STRV_INIT;
	autofree char *state = cell(list, row, vm, STATE);
	json_t *json = json_pack("{s:s, s:s}", "name", row->name, "state", state);
	const struct conf_section *root = vm ? vm->root : NULL;

	json_object_set_new(json, "detail",
		out_string(row->error		  ? row->error
			   : row->detail	  ? row->detail
			   : row->state.detail[0] ? row->state.detail
						  : NULL));
	json_object_set_new(json, "is_defined", json_boolean(row->error || (vm && vm->is_defined)));
	json_object_set_new(json, "pid", row->state.pid ? json_integer(row->state.pid) : json_null());
	json_object_set_new(json, "since", row->state.since ? json_integer(row->state.since) : json_null());
	json_object_set_new(json, "class", out_string(vm ? vm->class_ : NULL));
	json_object_set_new(json, "cpus", vm ? json_integer(conf_number(root, "cpus")) : json_null());
	json_object_set_new(
		json, "memory_bytes", vm ? json_integer((json_int_t)vm_memory_bytes(vm)) : json_null());
	if (list->wants_disks)
		json_object_set_new(json, "disks",
			vm && vm->is_resolved ? json_integer((json_int_t)vm->n_disks) : json_null());
	if (list->wants_addresses) {
		find_addresses(row, vm, &found);
		json_object_set_new(json, "addresses", out_strings(&found));
	}
	json_object_set_new(json, "nics", vm ? json_integer((json_int_t)vm->n_nics) : json_null());
	json_object_set_new(json, "host", out_string(vm ? conf_string(root, "host") : NULL));
	json_object_set_new(json, "owner", out_string(vm ? conf_string(root, "owner") : NULL));
	json_object_set_new(json, "description", out_string(vm ? conf_string(root, "description") : NULL));
	json_object_set_new(json, "uuid", out_string(vm ? vm->uuid : NULL));
	if (row->is_far)
		json_object_set_new(json, "is_old", json_boolean(row->is_old));
	return json;
}

/* The definition, if it can be read; else row->error. */
static struct vm *load(struct list *list, struct row *row)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct vm *vm = row->vm ? row->vm : vm_load(list->ctx, row->name, true, &err);

	row->vm = NULL; /* it is freed when the row is printed */
	if (!vm) {
		log_warn("vm \"%s\" is broken: %s", row->name, err.message);
		row->error = str_dup(err.message);
	} else if (!row->is_far && (list->wants_disks || (list->wants_addresses && row->state.pid)) &&
		   vm_resolve(vm, &err) < 0) {
		log_warn("%s", err.message);
	}
	error_clear(&err);
	return vm;
}

static int print(struct list *list, struct vmf_error *err)
{
	const char *heads[VMF_COUNT(words)];
	struct out_table *table;
	json_t *array = list->ctx->json ? json_array() : NULL;

	/* vmf.conf is everybody's: an error in it is no VM's */
	if (ctx_load(list->ctx, err) < 0) {
		json_decref(array);
		return -1;
	}
	for (size_t i = 0; i < list->n_columns; i++)
		heads[i] = headings[list->columns[i]];
	table = out_table_new(heads, list->n_columns);
	for (size_t i = 0; i < list->n_rows; i++) {
		struct row *row = &list->rows[i];
		struct vm *vm = load(list, row);
		char *cells[VMF_COUNT(words)] = {NULL};

		if (array) {
			json_array_append_new(array, row_json(list, row, vm));
		} else {
			for (size_t k = 0; k < list->n_columns; k++)
				cells[k] = cell(list, row, vm, list->columns[k]);
			out_table_row(table, (const char *const *)cells);
			for (size_t k = 0; k < list->n_columns; k++)
				free(cells[k]);
		}
		vm_free(vm);
	}
	if (array)
		out_json(array);
	else
		out_table_print(table);
	out_table_free(table);
	return 0;
}

static void print_names(const struct list *list)
{
	json_t *array = list->ctx->json ? json_array() : NULL;

	for (size_t i = 0; i < list->n_rows; i++) {
		if (array)
			json_array_append_new(array, json_string(list->rows[i].name));
		else
			puts(list->rows[i].name);
	}
	if (array)
		out_json(array);
}

/* ---- the command -------------------------------------------------------------------------- */

static int choose_columns(struct list *list, const char *text, struct vmf_error *err)
{
	autofree char *copy = str_dup(text);
	char *save = NULL;

	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < VMF_COUNT(words) && !str_equal(words[i], word))
			i++;
		if (i == VMF_COUNT(words) || list->n_columns == VMF_COUNT(words)) {
			const char *near = str_nearest(word, words, VMF_COUNT(words));
			autofree char *hint = near ? str_printf("do you mean %s?", near)
						   : str_dup("`vmf help list` names them");

			return vmf_fail(err, VMF_E_USAGE, 0, hint, "--columns: no column \"%s\"", word);
		}
		list->columns[list->n_columns++] = (enum column)i;
		list->wants_disks = list->wants_disks || i == DISKS;
		list->wants_addresses = list->wants_addresses || i == ADDRESSES;
	}
	return list->n_columns ? 0 : vmf_fail(err, VMF_E_USAGE, 0, NULL, "--columns: no column is named");
}

int command_list(struct cli_call *call, struct vmf_error *err)
{
	struct list list = {.ctx = call->ctx};
	const char *columns = cli_option(call, "--columns", 0);
	const char *timeout = cli_option(call, "--timeout", 0);
	bool only_names = cli_option(call, "--names", 0) != NULL,
	     running = cli_option(call, "--running", 0) != NULL;
	int64_t timeout_ms = HOST_MS;
	int rc = choose_columns(&list, columns ? columns : usual, err);

	if (rc == 0 && timeout && value_parse_time(timeout, &timeout_ms, err) < 0)
		rc = cli_usage(err, "--timeout");
	if (rc == 0)
		rc = find_rows(&list, &call->args, err);
	if (rc == 0 && call->ctx->owner)
		drop_others(&list);
	if (rc == 0 && (running || !only_names))
		list_ask_hosts(call->ctx, list.rows, list.n_rows, timeout_ms);
	if (rc == 0 && running)
		drop_those_off(&list);
	if (rc == 0 && only_names) {
		print_names(&list);
	} else if (rc == 0) {
		if (list.wants_disks)
			ctx_remember_volumes(call->ctx);
		ask_doubtful(&list);
		rc = print(&list, err);
	}
	for (size_t i = 0; i < list.n_rows; i++)
		free_row(&list.rows[i]);
	free(list.rows);
	return rc;
}
