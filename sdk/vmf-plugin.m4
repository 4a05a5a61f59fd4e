dnl SPDX-License-Identifier: ISC
dnl vmf-plugin.m4 - for plugins of vmf that are built with autotools.
dnl
dnl VMF_PLUGIN_SDK([MINIMUM-VERSION])
dnl
dnl Finds the SDK by pkg-config and sets, for use in Makefile.am:
dnl   VMF_SDK_CFLAGS         the include path, and -fvisibility=hidden where the compiler has it
dnl   VMF_SDK_LDFLAGS        what a module must be linked with
dnl   vmfplugindir           where it is installed; --with-vmf-plugindir=DIR changes that
dnl
dnl     vmfplugin_LTLIBRARIES = storage-example.la
dnl     storage_example_la_SOURCES = storage-example.c
dnl     storage_example_la_CFLAGS = $(VMF_SDK_CFLAGS)
dnl     storage_example_la_LDFLAGS = $(VMF_SDK_LDFLAGS)
AC_DEFUN([VMF_PLUGIN_SDK], [
  AC_REQUIRE([PKG_PROG_PKG_CONFIG])
  PKG_CHECK_MODULES([VMF_SDK], [vmf m4_ifval([$1], [>= $1])])
  AC_ARG_WITH([vmf-plugindir],
    [AS_HELP_STRING([--with-vmf-plugindir=DIR], [where vmf looks for plugins (asked of pkg-config)])],
    [vmfplugindir=$withval],
    [vmfplugindir=`$PKG_CONFIG --variable=plugindir vmf`])
  AC_SUBST([vmfplugindir])
  vmf_saved_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror -fvisibility=hidden"
  AC_MSG_CHECKING([whether $CC accepts -fvisibility=hidden])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM],
    [AC_MSG_RESULT([yes])
     VMF_SDK_CFLAGS="$VMF_SDK_CFLAGS -fvisibility=hidden"],
    [AC_MSG_RESULT([no])])
  CFLAGS=$vmf_saved_CFLAGS
  VMF_SDK_LDFLAGS="-module -avoid-version -shared -no-undefined -export-symbols-regex _LTX_vmf_plugin\$\$ -Wl,-z,defs -Wl,-z,now"
  AC_SUBST([VMF_SDK_LDFLAGS])
])
