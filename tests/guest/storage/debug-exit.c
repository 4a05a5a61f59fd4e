/* SPDX-License-Identifier: ISC */
/*
 * debug-exit STATUS: ends QEMU at once, through its device isa-debug-exit, with the exit status
 * 2 * STATUS + 1, of which a process has the low eight bits. Nothing is shut down.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

#define DEBUG_EXIT_PORT 0x501

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: debug-exit STATUS\n", stderr);
		return 2;
	}
	if (iopl(3) != 0) {
		perror("debug-exit: iopl");
		return 1;
	}
	outl((unsigned int)atoi(argv[1]), DEBUG_EXIT_PORT);
	return 1;
}
