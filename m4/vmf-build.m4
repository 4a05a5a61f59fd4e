dnl SPDX-License-Identifier: ISC
dnl What configure.ac needs besides autoconf's own: compiler flags that are tried, one switch per plugin.

dnl VMF_TRY_FLAG(VARIABLE, FLAG)
dnl Adds FLAG to VARIABLE if the compiler and the linker take it without a warning.
AC_DEFUN([VMF_TRY_FLAG], [
  AS_VAR_PUSHDEF([vmf_cv], [vmf_cv_flag_$2])
  AC_CACHE_CHECK([whether $CC accepts $2], [vmf_cv], [
    vmf_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[return puts("") < 0;]])],
      [AS_VAR_SET([vmf_cv], [yes])], [AS_VAR_SET([vmf_cv], [no])])
    CFLAGS=$vmf_saved_CFLAGS])
  AS_VAR_IF([vmf_cv], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([vmf_cv])
])

dnl VMF_PLUGIN(NAME, SUMMARY, [CHECK])
dnl The switch --enable-NAME=yes|no|auto|force of one plugin:
dnl   yes    build it; configure fails if CHECK says that something is missing
dnl   no     leave it out
dnl   auto   build it if CHECK finds all that it needs (the default; see --enable-plugins)
dnl   force  build it whatever CHECK's finer points say: a missing library is still an error, as nothing
dnl          could be compiled; a failed test (VMF_PLUGIN_DOUBT) is passed over
dnl CHECK is shell and m4 code. It calls VMF_PLUGIN_LACKS([what]) for what cannot be done without and
dnl VMF_PLUGIN_DOUBT([what]) for what looks wrong but may work on the machine that vmf will run on.
dnl Sets the automake conditional PLUGIN_NAME_IN_CAPITALS and adds a line to the summary.
AC_DEFUN([VMF_PLUGIN], [
  m4_pushdef([vmf_id], m4_translit([$1], [-], [_]))dnl
  AC_ARG_ENABLE([$1],
    [AS_HELP_STRING([--enable-$1=yes|no|auto|force], [$2 (auto)])],
    [vmf_want=$enableval], [vmf_want=$vmf_plugins_default])
  vmf_lacks= vmf_doubts=
  AS_CASE([$vmf_want],
    [no], [vmf_built=no vmf_why="switched off"],
    [yes|auto|force], [
      m4_default([$3], [:])
      vmf_built=yes vmf_why=
      AS_IF([test -n "$vmf_lacks"], [vmf_built=no vmf_why="needs $vmf_lacks"],
        [test -n "$vmf_doubts" && test "$vmf_want" != force], [vmf_built=no vmf_why="$vmf_doubts"])
      AS_IF([test $vmf_built = no && test "$vmf_want" != auto],
        [AC_MSG_ERROR([--enable-$1=$vmf_want: $vmf_why])])
      AS_IF([test $vmf_built = yes && test -n "$vmf_doubts"], [vmf_why="forced, although $vmf_doubts"])],
    [AC_MSG_ERROR([--enable-$1=$vmf_want: say yes, no, auto or force])])
  AM_CONDITIONAL(m4_toupper([PLUGIN_]vmf_id), [test $vmf_built = yes])
  AS_IF([test $vmf_built = yes], [vmf_n_plugins=`expr $vmf_n_plugins + 1`])
  vmf_line=`printf '  %-22s %-5s %-4s %s' '$1' "$vmf_want" "$vmf_built" "$vmf_why"`
  vmf_plugin_table="${vmf_plugin_table:+$vmf_plugin_table
}$vmf_line"
  m4_popdef([vmf_id])dnl
])

AC_DEFUN([VMF_PLUGIN_LACKS], [vmf_lacks="${vmf_lacks:+$vmf_lacks and }$1"])
AC_DEFUN([VMF_PLUGIN_DOUBT], [vmf_doubts="${vmf_doubts:+$vmf_doubts and }$1"])

dnl VMF_PLUGIN_NEEDS_PKG(VARIABLE-PREFIX, MODULES, DEBIAN-PACKAGE): for CHECK; a library by pkg-config.
AC_DEFUN([VMF_PLUGIN_NEEDS_PKG], [
  PKG_CHECK_MODULES([$1], [$2], [:], [VMF_PLUGIN_LACKS([$2 (Debian: $3)])])
])
