#!/bin/bash
# SPDX-License-Identifier: ISC
# make lint: formatting, shell scripts, and what cppcheck finds. A tool that is absent is said and passed over.
# make format (--format): puts the sources' formatting right.
#
# Needs from the environment: LINT_C, LINT_SH (lists, relative to top_srcdir), LINT_FLAGS, top_srcdir.

failed=0
cd "$top_srcdir" || exit 1

have()
{
	command -v "$1" >/dev/null || {
		echo "lint: $1 is not installed: passed over"
		return 1
	}
}

# Headers are left out: their tables of comments are set by hand.
sources=$(echo "$LINT_C" | tr ' ' '\n' | grep '\.c$')

if [ "$1" = --format ]; then
	# shellcheck disable=SC2086 # lists are words
	have clang-format && exec clang-format -i $sources
	exit 1
fi
# Each version has its own taste: that of Debian 12 is ours.
# shellcheck disable=SC2086
case $(clang-format --version 2>/dev/null) in
*" version 14."*) clang-format --dry-run -Werror $sources || failed=1 ;;
*) echo "lint: the formatting is passed over: it takes clang-format 14" ;;
esac
# shellcheck disable=SC2086
if have shellcheck; then
	shellcheck $LINT_SH || failed=1
fi
# shellcheck disable=SC2086
if have cppcheck; then
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=ctuuninitvar \
		--suppress=unknownEvaluationOrder $LINT_FLAGS \
		$sources || failed=1
fi
[ $failed = 0 ] && echo "lint: nothing found"
exit $failed
