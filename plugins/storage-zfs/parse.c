/* SPDX-License-Identifier: ISC */
/* What `zfs get -Hp` prints: one line for each property of each dataset, fields parted by tabs. */
#include "zv.h"

#include <stdlib.h>
#include <string.h>

static const char *const props[ZV_PROPS] = {
	[ZV_P_TYPE] = "type",
	[ZV_P_USED] = "used",
	[ZV_P_AVAILABLE] = "available",
	[ZV_P_REFERENCED] = "referenced",
	[ZV_P_VOLSIZE] = "volsize",
	[ZV_P_VOLBLOCKSIZE] = "volblocksize",
	[ZV_P_REFRESERVATION] = "refreservation",
	[ZV_P_USEDBYDATASET] = "usedbydataset",
	[ZV_P_ORIGIN] = "origin",
	[ZV_P_KEYSTATUS] = "keystatus",
	[ZV_P_CREATION] = "creation",
	[ZV_P_CREATETXG] = "createtxg",
	[ZV_P_CLONES] = "clones",
	[ZV_P_DEFER_DESTROY] = "defer_destroy",
	[ZV_P_USERREFS] = "userrefs",
	[ZV_P_OWNER] = ZV_OWNER,
};

/* One line as its fields. A value may hold tabs of its own: it is what lies between the others. */
struct line {
	char *name, *prop, *value, *source;
};

static bool split(char *text, struct line *line)
{
	char *tab[3];

	tab[0] = strchr(text, '\t');
	tab[1] = tab[0] ? strchr(tab[0] + 1, '\t') : NULL;
	tab[2] = strrchr(text, '\t');
	if (!tab[1] || tab[2] == tab[1] || tab[0] == text)
		return false;
	for (int i = 0; i < 3; i++)
		*tab[i] = '\0';
	*line = (struct line){text, tab[0] + 1, tab[1] + 1, tab[2] + 1};
	return true;
}

/* The entry of that name: lines of one dataset follow on one another. */
static struct zv_item *entry_of(
	const struct vmf_call *c, struct zv_items *items, size_t *room, const char *name)
{
	if (items->count && strcmp(items->items[items->count - 1].name, name) == 0)
		return &items->items[items->count - 1];
	if (items->count == *room) {
		struct zv_item *more;

		*room = *room ? *room * 2 : 16;
		more = c->host->alloc(c, *room * sizeof(*more));
		if (items->count)
			memcpy(more, items->items, items->count * sizeof(*more));
		items->items = more;
	}
	items->items[items->count] = (struct zv_item){.name = name};
	return &items->items[items->count++];
}

static void take(struct zv_item *item, const struct line *line)
{
	for (size_t i = 0; i < ZV_PROPS; i++) {
		if (strcmp(line->prop, props[i]) != 0)
			continue;
		item->value[i] = strcmp(line->value, "-") == 0 || !*line->value ? NULL : line->value;
		if (i == ZV_P_OWNER)
			item->is_ours = item->value[i] && strcmp(line->source, "local") == 0;
	}
}

void zv_parse(const struct vmf_call *c, char *text, struct zv_items *items)
{
	size_t room = 0;
	char *rest = NULL;

	*items = (struct zv_items){0};
	for (char *at = text ? strtok_r(text, "\n", &rest) : NULL; at; at = strtok_r(NULL, "\n", &rest)) {
		struct line line;

		if (split(at, &line))
			take(entry_of(c, items, &room, line.name), &line);
	}
}

uint64_t zv_number(const struct zv_item *item, enum zv_prop prop)
{
	return item->value[prop] ? strtoull(item->value[prop], NULL, 10) : 0;
}

bool zv_is(const struct zv_item *item, enum zv_prop prop, const char *value)
{
	return item->value[prop] && strcmp(item->value[prop], value) == 0;
}

const char *zv_base(const char *name)
{
	const char *end = strpbrk(name, "@#");

	if (end)
		return end + 1;
	end = strrchr(name, '/');
	return end ? end + 1 : name;
}

const char *zv_owner_uuid(const struct zv_item *item)
{
	const char *owner = item->is_ours ? item->value[ZV_P_OWNER] : NULL;

	return owner && strlen(owner) == 36 ? owner : NULL;
}

bool zv_is_made_up(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && strlen(name) == n + ZV_HEX &&
	       strspn(name + n, "0123456789abcdef") == ZV_HEX;
}

const char *zv_next_name(const struct vmf_call *c, const char **list)
{
	size_t n;
	const char *name;

	if (!*list || !**list)
		return NULL;
	n = strcspn(*list, ",");
	name = c->host->printf(c, "%.*s", (int)n, *list);
	*list += n + ((*list)[n] == ',');
	return name;
}
