/* SPDX-License-Identifier: ISC */
/*
 * The far end of a connection: runs what the near end asks for, many at once, each in a process of its own.
 *
 *   near to far   {"id":1,"run":{...}}       run this; what is in there is the business of struct agent_ops
 *                 {"id":1,"in":"..."}        bytes for its standard input
 *                 {"id":1,"in_end":true}     no more of them
 *                 {"id":1,"signal":2}
 *   far to near   {"id":1,"out":"..."}       from its standard output; "err": from its standard error
 *                 {"id":1,"took":100}        so many bytes of its input were taken
 *                 {"id":1,"note":{...}}      what it says besides
 *                 {"id":1,"exit":0}          the last one of a run; or "exit":143,"signal":15
 *                 {"id":1,"error":"..."}     it could not even be run
 *
 * Bytes that are no UTF-8 stand in "in64", "out64", "err64" instead; many bytes follow the line as they are, and
 * "inraw", "outraw", "errraw" is their number. Each side says hello first, see hello.h.
 */
#ifndef VMF_REMOTE_AGENT_H
#define VMF_REMOTE_AGENT_H

#include <jansson.h>

#include "base/error.h"

/* Of a run's input, so much may be on its way, without a word that it was taken. */
#define AGENT_INPUT_MAX 1048576u

struct agent_ops {
	/* In the run's own process, whose standard fds are pipes by now; NOTES: where a note is a line of
	 * JSON. Returns the exit code. */
	int (*run)(const json_t *request, int notes, void *data);
	void *data;
};

/* Serves until the near end has closed and all runs have ended, for which they get a SIGHUP. */
int agent_serve(int in, int out, const struct agent_ops *ops, struct vmf_error *err);

#endif
