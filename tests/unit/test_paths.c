/* SPDX-License-Identifier: ISC */
/* Where things are, for root, for a user, and below one folder. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "config/paths.h"

#define USER 12345

static struct vmf_error err;
static struct paths paths;
static char folder[64];
static char *user_run;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	memset(&paths, 0, sizeof(paths));
	strcpy(folder, "/tmp/vmf-test-paths-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	unsetenv("VMF_HOME");
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_DATA_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	ck_assert_int_eq(setenv("HOME", "/home/me", 1), 0);
	user_run = str_printf("/tmp/vmf-%d", USER);
	umask(022);
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	paths_free(&paths);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	error_clear(&err);
	free(user_run);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(lstat(path, &st) == 0, "%s", path);
	return st.st_mode & 07777;
}

/* Each test is a process of its own: becoming somebody else is for good. Without root, one is a user already.
 */
static bool become_user(void)
{
	if (geteuid() != 0)
		return false;
	ck_assert_int_eq(chown(folder, USER, USER), 0);
	ck_assert_int_eq(setresuid(USER, USER, USER), 0);
	return true;
}

static int wait_for_child(void)
{
	int status;

	ck_assert_int_gt(wait(&status), 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

START_TEST(of_root)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, VMF_SYSCONF_DIR);
	ck_assert_str_eq(paths.lib, VMF_LOCALSTATE_DIR "/lib/vmf");
	ck_assert_str_eq(paths.run, "/run/vmf");
	ck_assert(!paths.is_home);
}
END_TEST

START_TEST(of_a_user)
{
	if (!become_user())
		return;
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, "/home/me/.config/vmf");
	ck_assert_str_eq(paths.lib, "/home/me/.local/share/vmf");
	ck_assert_str_eq(paths.run, user_run);
	paths_free(&paths);
	ck_assert_int_eq(setenv("XDG_CONFIG_HOME", "/c", 1), 0);
	ck_assert_int_eq(setenv("XDG_DATA_HOME", "/d/", 1), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, "/c/vmf");
	ck_assert_str_eq(paths.lib, "/d/vmf");
	ck_assert(str_starts(paths.run, folder) && str_ends(paths.run, "/vmf"));
	paths_free(&paths);
	/* what the specification says is to be ignored, and what nobody could use */
	ck_assert_int_eq(setenv("XDG_CONFIG_HOME", "relative", 1), 0);
	ck_assert_int_eq(setenv("XDG_DATA_HOME", "", 1), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/none", 1), 0);
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, "/home/me/.config/vmf");
	ck_assert_str_eq(paths.lib, "/home/me/.local/share/vmf");
	ck_assert_str_eq(paths.run, user_run);
	paths_free(&paths);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/usr", 1), 0); /* somebody else's */
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.run, user_run);
}
END_TEST

START_TEST(without_a_home)
{
	autofree char *home = NULL;

	ck_assert_int_eq(setenv("HOME", "", 1), 0);
	home = paths_home();
	ck_assert_int_eq(*home, '/');
	ck_assert_str_ne(home, "/home/me");
	if (!become_user())
		return;
	free(home);
	home = paths_home(); /* no such user */
	ck_assert_str_eq(home, "/");
}
END_TEST

START_TEST(below_one_folder)
{
	char real[PATH_MAX];
	autofree char *etc = NULL;
	autofree char *link = path_join(folder, "link");

	ck_assert_ptr_nonnull(realpath(folder, real));
	etc = path_join(real, "etc");
	ck_assert_int_eq(paths_resolve(folder, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, etc);
	ck_assert(str_ends(paths.lib, "/lib") && str_ends(paths.run, "/run"));
	ck_assert(paths.is_home);
	ck_assert(!file_exists(paths.etc) && !file_exists(paths.lib) && !file_exists(paths.run));
	paths_free(&paths);
	/* from the environment, relative, and through a link */
	ck_assert_int_eq(setenv("VMF_HOME", ".", 1), 0);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(paths_resolve(NULL, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, etc);
	paths_free(&paths);
	ck_assert_int_eq(symlink(folder, link), 0);
	ck_assert_int_eq(paths_resolve(link, &paths, &err), 0);
	ck_assert_str_eq(paths.etc, etc);
	paths_free(&paths);
	/* the option wins, and need not be there yet */
	ck_assert_int_eq(paths_resolve("new/one", &paths, &err), 0);
	ck_assert(str_starts(paths.lib, real) && str_ends(paths.lib, "/new/one/lib"));
	ck_assert_int_eq(paths_create(&paths, &err), 0);
	ck_assert_int_eq(mode_of(paths.lib), 0700);
	ck_assert_int_eq(mode_of(paths.run), geteuid() ? 0700 : 0711);
	ck_assert_int_eq(mode_of("new/one"), geteuid() ? 0700 : 0711);
	ck_assert_int_eq(paths_create(&paths, &err), 0);
}
END_TEST

START_TEST(that_are_wrong)
{
	ck_assert_int_eq(paths_resolve("", &paths, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_USAGE);
	error_clear(&err);
	ck_assert_int_eq(paths_resolve("/etc/passwd", &paths, &err), -1);
	ck_assert_str_eq(err.message, "/etc/passwd is not a folder");
	error_clear(&err);
	ck_assert_int_eq(paths_resolve("/etc/passwd/below", &paths, &err), 0);
	ck_assert_int_eq(paths_create(&paths, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "/etc/passwd"));
}
END_TEST

START_TEST(narrow_umask)
{
	if (geteuid() != 0)
		return;
	umask(077);
	ck_assert_int_eq(paths_resolve(folder, &paths, &err), 0);
	ck_assert_int_eq(paths_create(&paths, &err), 0);
	ck_assert_int_eq(mode_of(paths.run), 0711);
	ck_assert_int_eq(mode_of(paths.lib), 0700);
}
END_TEST

/* In /tmp, where anybody may have been first. */
START_TEST(run_of_somebody_else)
{
	autofree char *lib = path_join(folder, "lib");

	if (geteuid() != 0)
		return;
	rmdir(user_run);
	unlink(user_run);
	ck_assert_int_eq(mkdir(user_run, 0777), 0); /* root's */
	ck_assert_int_eq(setenv("XDG_DATA_HOME", lib, 1), 0);
	if (fork() == 0) {
		struct vmf_error mine = VMF_ERROR_INIT;

		become_user();
		if (paths_resolve(NULL, &paths, &mine) < 0 || paths_create(&paths, &mine) == 0 ||
			mine.code != VMF_E_PERMISSION || !strstr(mine.message, "is no folder of yours alone"))
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(wait_for_child(), 0);
	ck_assert_int_eq(rmdir(user_run), 0);
	ck_assert_int_eq(symlink(folder, user_run), 0);
	if (fork() == 0) {
		struct vmf_error mine = VMF_ERROR_INIT;

		become_user();
		_exit(paths_resolve(NULL, &paths, &mine) == 0 && paths_create(&paths, &mine) < 0 &&
					mine.code == VMF_E_PERMISSION
				? 0
				: 1);
	}
	ck_assert_int_eq(wait_for_child(), 0);
	ck_assert_int_eq(unlink(user_run), 0);
	if (fork() == 0) {
		struct vmf_error mine = VMF_ERROR_INIT;
		struct stat st;

		become_user();
		_exit(paths_resolve(NULL, &paths, &mine) == 0 && paths_create(&paths, &mine) == 0 &&
					stat(user_run, &st) == 0 && (st.st_mode & 07777) == 0700 &&
					st.st_uid == USER
				? 0
				: 1);
	}
	ck_assert_int_eq(wait_for_child(), 0);
	ck_assert_int_eq(rmdir(user_run), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("paths");
	TCase *tc = tcase_create("paths");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, of_root);
	tcase_add_test(tc, of_a_user);
	tcase_add_test(tc, without_a_home);
	tcase_add_test(tc, below_one_folder);
	tcase_add_test(tc, that_are_wrong);
	tcase_add_test(tc, narrow_umask);
	tcase_add_test(tc, run_of_somebody_else);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
