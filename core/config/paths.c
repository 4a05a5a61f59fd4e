/* SPDX-License-Identifier: ISC */
#include "config/paths.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* as configured; a build for fuzzing does without */
#ifndef VMF_SYSCONF_DIR
#define VMF_SYSCONF_DIR "/etc/vmf"
#endif
#ifndef VMF_LOCALSTATE_DIR
#define VMF_LOCALSTATE_DIR "/var"
#endif

/* The environment is the caller's, and counts only where vmf has no more rights than the caller has. */
static const char *environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

char *paths_home(void)
{
	const char *home = environment("HOME");
	const struct passwd *pw;

	if (home && *home == '/')
		return str_dup(home);
	pw = getpwuid(geteuid());
	return str_dup(pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : "/");
}

/* An XDG folder: what is not absolute is to be ignored (basedir-spec, 2). */
static char *xdg(const char *variable, const char *otherwise)
{
	const char *value = environment(variable);
	autofree char *home = NULL;
	autofree char *folder = NULL;

	if (value && *value == '/')
		return path_join(value, "vmf");
	home = paths_home();
	folder = path_join(home, otherwise);
	return path_join(folder, "vmf");
}

/* A folder that is a folder, is ours, and that nobody else can write to. */
static bool is_ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022);
}

static char *run_of_user(void)
{
	const char *runtime = environment("XDG_RUNTIME_DIR");

	/* unix sockets end at 107 characters: both are short */
	if (runtime && *runtime == '/' && is_ours(runtime) && access(runtime, W_OK | X_OK) == 0)
		return path_join(runtime, "vmf");
	return str_printf("/tmp/vmf-%u", (unsigned)geteuid());
}

static int below_home(const char *home, struct paths *paths, struct vmf_error *err)
{
	autofree char *here = NULL;
	autofree char *absolute = NULL;
	char resolved[PATH_MAX];
	struct stat st;

	if (!*home)
		return vmf_fail(err, VMF_E_USAGE, 0, "name a folder: --home DIR or VMF_HOME",
			"the home folder's name is empty");
	if (stat(home, &st) == 0 && !S_ISDIR(st.st_mode))
		return vmf_fail(err, VMF_E_USAGE, 0, "name a folder", "%s is not a folder", home);
	/* it may be made later: then its name as it is */
	if (realpath(home, resolved)) {
		absolute = str_dup(resolved);
	} else {
		here = *home == '/' ? NULL : getcwd(NULL, 0);
		if (*home != '/' && !here)
			return vmf_fail_errno(
				err, "go to a folder that exists", "%s: no current folder", home);
		absolute = path_join(here ? here : "/", home);
	}
	paths->etc = path_join(absolute, "etc");
	paths->lib = path_join(absolute, "lib");
	paths->run = path_join(absolute, "run");
	paths->is_home = true;
	return 0;
}

int paths_resolve(const char *home, struct paths *paths, struct vmf_error *err)
{
	memset(paths, 0, sizeof(*paths));
	if (!home)
		home = environment("VMF_HOME");
	if (home)
		return below_home(home, paths, err);
	if (geteuid() == 0) {
		paths->etc = str_dup(VMF_SYSCONF_DIR);
		paths->lib = str_dup(VMF_LOCALSTATE_DIR "/lib/vmf");
		paths->run =
			str_dup("/run/vmf"); /* FHS 3.0, 3.15: gone after a reboot, whatever the prefix */
	} else {
		paths->etc = xdg("XDG_CONFIG_HOME", ".config");
		paths->lib = xdg("XDG_DATA_HOME", ".local/share");
		paths->run = run_of_user();
	}
	return 0;
}

int paths_create(const struct paths *paths, struct vmf_error *err)
{
	/* disks reach QEMU as open files, but it makes its sockets by their path */
	mode_t run_mode = geteuid() == 0 ? 0711 : 0700;
	struct stat st;

	/* run first: what is missing above both must let QEMU through, too */
	if (file_mkdirs(paths->run, run_mode, err) < 0 || file_mkdirs(paths->lib, 0700, err) < 0)
		return -1;
	/* below /tmp anybody could have been there first */
	if (!paths->is_home && !is_ours(paths->run))
		return vmf_fail(err, VMF_E_PERMISSION, 0,
			"remove it, or set XDG_RUNTIME_DIR to a folder that only you can write to",
			"%s is no folder of yours alone", paths->run);
	if (geteuid() == 0 && stat(paths->run, &st) == 0 && (st.st_mode & run_mode) != run_mode &&
		chmod(paths->run, (st.st_mode & 07777) | run_mode) < 0) /* a narrow umask */
		return vmf_fail_errno(err, NULL, "cannot open %s to QEMU's user", paths->run);
	return 0;
}

void paths_free(struct paths *paths)
{
	free(paths->etc);
	free(paths->lib);
	free(paths->run);
	memset(paths, 0, sizeof(*paths));
}
