/* SPDX-License-Identifier: ISC */
/* What the program zfs of ZFS 2.1.11 has printed, word for word. */
#ifndef ZFS_RECORDED_H
#define ZFS_RECORDED_H

/* zfs get -Hp -d 1 -t filesystem,volume ... tank: a filesystem, a sparse volume, one that is not */
static const char recorded_volumes[] =
	"tank\ttype\tfilesystem\t-\n"
	"tank\tused\t12814336\t-\n"
	"tank\tavailable\t591165440\t-\n"
	"tank\treferenced\t24576\t-\n"
	"tank\tvolsize\t-\t-\n"
	"tank\tvolblocksize\t-\t-\n"
	"tank\torigin\t-\t-\n"
	"tank\tkeystatus\t-\t-\n"
	"tank\tvmf:owner\t-\t-\n"
	"tank/odd\ttype\tvolume\t-\n"
	"tank/odd\tused\t12623872\t-\n"
	"tank/odd\tavailable\t603777024\t-\n"
	"tank/odd\treferenced\t12288\t-\n"
	"tank/odd\tvolsize\t10002432\tlocal\n"
	"tank/odd\tvolblocksize\t8192\tdefault\n"
	"tank/odd\torigin\t-\t-\n"
	"tank/odd\tkeystatus\t-\t-\n"
	"tank/odd\tvmf:owner\tx\tlocal\n"
	"tank/vms\ttype\tfilesystem\t-\n"
	"tank/vms\tused\t24576\t-\n"
	"tank/vms\tavailable\t591165440\t-\n"
	"tank/vms\treferenced\t24576\t-\n"
	"tank/vms\tvolsize\t-\t-\n"
	"tank/vms\tvolblocksize\t-\t-\n"
	"tank/vms\torigin\t-\t-\n"
	"tank/vms\tkeystatus\t-\t-\n"
	"tank/vms\tvmf:owner\t-\t-\n"
	"tank/web-0\ttype\tvolume\t-\n"
	"tank/web-0\tused\t12288\t-\n"
	"tank/web-0\tavailable\t591165440\t-\n"
	"tank/web-0\treferenced\t12288\t-\n"
	"tank/web-0\tvolsize\t16777216\tlocal\n"
	"tank/web-0\tvolblocksize\t8192\tdefault\n"
	"tank/web-0\torigin\t-\t-\n"
	"tank/web-0\tkeystatus\t-\t-\n"
	"tank/web-0\tvmf:owner\t11111111-2222-3333-4444-555555555555\tlocal\n";

/* zfs get -Hp -d 1 -t volume,snapshot,bookmark ... tank/web-0: one with a clone, one with an inherited mark, a bookmark */
static const char recorded_snapshots[] =
	"tank/web-0\ttype\tvolume\t-\n"
	"tank/web-0\tused\t12288\t-\n"
	"tank/web-0\treferenced\t12288\t-\n"
	"tank/web-0\tvolsize\t16777216\tlocal\n"
	"tank/web-0\tcreation\t1795651421\t-\n"
	"tank/web-0\tcreatetxg\t7\t-\n"
	"tank/web-0\tclones\t-\t-\n"
	"tank/web-0\tdefer_destroy\t-\t-\n"
	"tank/web-0\tuserrefs\t-\t-\n"
	"tank/web-0\tvmf:owner\t11111111-2222-3333-4444-555555555555\tlocal\n"
	"tank/web-0@one\ttype\tsnapshot\t-\n"
	"tank/web-0@one\tused\t0\t-\n"
	"tank/web-0@one\treferenced\t12288\t-\n"
	"tank/web-0@one\tvolsize\t16777216\tlocal\n"
	"tank/web-0@one\tcreation\t1795651424\t-\n"
	"tank/web-0@one\tcreatetxg\t14\t-\n"
	"tank/web-0@one\tclones\ttank/c1\t-\n"
	"tank/web-0@one\tdefer_destroy\toff\t-\n"
	"tank/web-0@one\tuserrefs\t0\t-\n"
	"tank/web-0@one\tvmf:owner\taa\tlocal\n"
	"tank/web-0@two\ttype\tsnapshot\t-\n"
	"tank/web-0@two\tused\t0\t-\n"
	"tank/web-0@two\treferenced\t12288\t-\n"
	"tank/web-0@two\tvolsize\t16777216\tlocal\n"
	"tank/web-0@two\tcreation\t1795651424\t-\n"
	"tank/web-0@two\tcreatetxg\t15\t-\n"
	"tank/web-0@two\tclones\t-\t-\n"
	"tank/web-0@two\tdefer_destroy\toff\t-\n"
	"tank/web-0@two\tuserrefs\t0\t-\n"
	"tank/web-0@two\tvmf:owner\t11111111-2222-3333-4444-555555555555\tinherited from tank/web-0\n"
	"tank/web-0#m\ttype\tbookmark\t-\n"
	"tank/web-0#m\tused\t-\t-\n"
	"tank/web-0#m\treferenced\t12288\t-\n"
	"tank/web-0#m\tvolsize\t-\t-\n"
	"tank/web-0#m\tcreation\t1795651424\t-\n"
	"tank/web-0#m\tcreatetxg\t14\t-\n"
	"tank/web-0#m\tclones\t-\t-\n"
	"tank/web-0#m\tdefer_destroy\t-\t-\n"
	"tank/web-0#m\tuserrefs\t-\t-\n"
	"tank/web-0#m\tvmf:owner\t-\t-\n";

/* One dataset as zfs get -Hp -o name,property,value,source says it. */
#define FILESYSTEM(name, used, available, key, owner, source) \
	name "\ttype\tfilesystem\t-\n" name "\tused\t" used "\t-\n" name "\tavailable\t" available \
	     "\t-\n" name "\treferenced\t24576\t-\n" name "\tvolsize\t-\t-\n" name \
	     "\tvolblocksize\t-\t-\n" name "\torigin\t-\t-\n" name "\tkeystatus\t" key "\t-\n" name \
	     "\tvmf:owner\t" owner "\t" source "\n"
#define VOLUME(name, used, size, origin, owner, source) \
	name "\ttype\tvolume\t-\n" name "\tused\t" used "\t-\n" name "\tavailable\t671064064\t-\n" name \
	     "\treferenced\t12288\t-\n" name "\tvolsize\t" size "\tlocal\n" name \
	     "\tvolblocksize\t8192\tdefault\n" name "\torigin\t" origin "\t-\n" name \
	     "\tkeystatus\t-\t-\n" name "\tvmf:owner\t" owner "\t" source "\n"
#define TANK FILESYSTEM("tank", "135168", "671064064", "-", "-", "-")
#define SNAPSHOT(name, creation, txg, clones, defer, owner, source) \
	name "\ttype\tsnapshot\t-\n" name "\tused\t8192\t-\n" name "\treferenced\t1069056\t-\n" name \
	     "\tvolsize\t16777216\t-\n" name "\tcreation\t" creation "\t-\n" name "\tcreatetxg\t" txg \
	     "\t-\n" name "\tclones\t" clones "\t-\n" name "\tdefer_destroy\t" defer "\t-\n" name \
	     "\tuserrefs\t0\t-\n" name "\tvmf:owner\t" owner "\t" source "\n"
#define PLAIN "tank/web-0\ttype\tvolume\t-\ntank/web-0\tvmf:owner\t" UUID "\tlocal\n"

#endif
