/* SPDX-License-Identifier: ISC */
/* Relays from TCP to something of a VM: what all of them have in common. */
#ifndef VMF_CLI_SERVE_H
#define VMF_CLI_SERVE_H

#include "base/net.h"
#include "base/relay.h"
#include "cli/cli.h"

struct serve {
	struct cli_call *call;
	const char *kind;    /* "vnc", "port 22", "serial 0": what it leads to */
	const char *what;    /* the same for people: "the screen of web0" */
	/* How; set beforehand to what holds unless the person says otherwise. */
	char *address;
	struct net_ports ports;
	bool many, any_user, detach;
	int64_t wait_ms;     /* 0: for ever */
	struct net_range *allow;
	size_t n_allow;
	char *password;      /* shown to the person, or NULL */
	char *url;           /* the same; what is to be opened, in place of an address */
	size_t most;         /* clients at once, 0: as relay_run() has it */
	/* The far end, as in struct relay_options; DATA is this struct. */
	int (*open)(void *data, int client);
	/* What relays, as relay_run() does, where that is not it; or NULL. */
	int (*run)(struct serve *serve, const struct relay_options *options, struct vmf_error *err);
	/* The relay ends (in whatever process it has run), or NULL. */
	void (*over)(struct serve *serve);
	/* Ours. */
	int listener, until_fd;
	struct sockaddr_storage bound;
};

#define SERVE_OPTIONS \
	{"--port", "PORT[-PORT]", "the port, or the first free one of a range; 0: any", NULL}, \
		{"--bind", "ADDRESS", "the address that it listens on; 127.0.0.1 unless told", NULL}, \
		{"--once", NULL, "for one client, and then it ends; so it is unless told", NULL}, \
		{"--many", NULL, "for all who come, until it is stopped or the VM ends", NULL}, \
		{"--timeout", "TIME", "end if nobody comes for so long; 0: never", NULL}, \
		{"--allow", "ADDRESS[/BITS]", "only these may come; may be given again", NULL}, \
		{"--any-user", NULL, "also other users of this machine may come", NULL}, \
		{"--detach", NULL, "go on in the background; `vmf relays` ends it", NULL}

/* Whether one of those options was given. */
bool serve_is_asked(const struct cli_call *call);
/* One more who may come. */
int serve_allow(struct serve *serve, const char *text, struct vmf_error *err);
/* How the plugin of a display says that its relays are. */
int serve_defaults(struct serve *serve, const struct vmf_display_info *info, struct vmf_error *err);
/* Reads the options over what SERVE says already. */
int serve_read(struct serve *serve, struct cli_call *call, struct vmf_error *err);
/* In a dry run: notes what would be done, and true. */
bool serve_dry(const struct serve *serve);
/* Listens, and watches the VM, which must be alive: the relay is going to end with it. */
int serve_listen(struct serve *serve, struct vmf_error *err);
/*
 * Relays, until an end; detached, it returns at once and the work goes on in another process. VMF_E_TIMEOUT if nobody has
 * come. QUIET: for a program of ours: nothing is said, `vmf relays` does not show it, and ends once END_FD is readable.
 */
int serve_run(struct serve *serve, struct vmf_error *err);
int serve_run_until(struct serve *serve, int end_fd, struct vmf_error *err);
/* For the one who is there already, on standard input and output, until either side ends. Nothing is listened on: SERVE has
 * CALL, WHAT and OPEN, which gets one end of a socket pair as its client. (stdio.c) */
int serve_stdio(struct serve *serve, struct vmf_error *err);
void serve_free(struct serve *serve);

/* ---- those that run (relays.c) -------------------------------------------------------------- */

/* Notes this process as a relay; ended by relays_forget(), or by whoever sees that the process is gone. -1: it could
 * not be noted. */
int relays_note(struct ctx *ctx, const struct serve *serve);
void relays_forget(struct ctx *ctx, const struct serve *serve, int note);

#endif
