#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/serve/sandbox.h"
#include "src/serve/sandbox_fate.h"

#include <signal.h>

static int read_rtt(struct cli *c, ms_t *out, struct err *e)
{
	const char *text = cli_value(c, "rtt");
	if (text != NULL && !fates_span(str_from(text), out))
		return cli_usage(c, e, "--rtt is a time up to a minute, such as 80ms: \"%.40s\"", text);
	return 0;
}

static int read_options(struct cli *c, struct sandbox_options *o, struct err *e)
{
	long long port = 2525, seed = 0, connections = 0, messages = 0;
	if (cli_value_int(c, "port", 0, 65535, &port, e) != 0 ||
		cli_value_int(c, "seed", 0, INT64_MAX, &seed, e) != 0 ||
		cli_value_int(c, "max-connections", 1, 100000, &connections, e) != 0 ||
		cli_value_int(c, "messages", 1, 1000000, &messages, e) != 0)
		return -1;
	*o = (struct sandbox_options){.port = (int)port,
		.profile = cli_value(c, "profile"),
		.rates = cli_value(c, "rates"),
		.seed = (uint64_t)seed,
		.no_words = cli_given(c, "no-words"),
		.tls = cli_given(c, "tls"),
		.tls_implicit = cli_given(c, "tls-implicit"),
		.ca_out = cli_value(c, "ca-out"),
		.auth = cli_value(c, "auth"),
		.keep = cli_value(c, "keep"),
		.return_to = cli_value(c, "return-to"),
		.log = cli_value(c, "log"),
		.max_connections = (int)connections,
		.messages_per_connection = (unsigned long)messages};
	if (o->ca_out != NULL && !o->tls && !o->tls_implicit)
		return cli_usage(c, e, "--ca-out needs --tls or --tls-implicit");
	return read_rtt(c, &o->rtt, e);
}

static int say_ready(const struct cli *c, const struct sandbox *s, struct err *e)
{
	int rc;
	if (c->json) {
		json_t *o = json_object();
		json_put(o, "listening", json_string("127.0.0.1"));
		json_put(o, "port", json_integer(sandbox_port(s)));
		rc = json_line(o);
	} else {
		rc = out_printf(c,
			"The sandbox listens on 127.0.0.1:%d. Interrupt it to stop and see its counts.\n",
			sandbox_port(s));
	}
	return rc == 0 && fflush(stdout) == 0 ? 0 : output_error(e);
}

static int say_counts(const struct cli *c, const struct sandbox *s, struct err *e)
{
	struct sandbox_counts n = sandbox_counts(s);
	const struct {
		const char *name;
		unsigned long n;
	} rows[] = {{"accepted", n.accepted}, {"refused", n.refused}, {"deferred", n.deferred},
		{"dropped", n.dropped}, {"messages", n.messages}, {"connections", n.connections},
		{"returned", n.returned}};
	json_t *o = c->json ? json_object() : NULL;
	int rc = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[TEXT_NUMBER];
		if (c->json)
			json_put(o, rows[i].name, json_integer((json_int_t)rows[i].n));
		else if (out_printf(c, "%-12s %12s\n", rows[i].name, text_count((int64_t)rows[i].n, text)) !=
			 0)
			rc = -1;
	}
	if (c->json)
		rc = json_line(o);
	return rc == 0 ? 0 : output_error(e);
}

static int sandbox_run(struct cli *c, struct err *e)
{
	struct sandbox_options o;
	sigset_t stop;
	int sig;
	if (read_options(c, &o, e) != 0)
		return -1;
	/* Blocked before the thread exists: a signal is only ever taken by sigwait(). */
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	struct sandbox *s = sandbox_start(&o, e);
	if (s == NULL)
		return -1;
	int rc = say_ready(c, s, e);
	if (rc == 0) {
		sigwait(&stop, &sig);
		rc = say_counts(c, s, e);
	}
	sandbox_stop(&s);
	return rc;
}

static const struct option sandbox_options[] = {
	{.name = "port",
		.value = "N",
		.help = "listen on this port of 127.0.0.1 (2525; 0: any, it is printed)"},
	{.name = "profile", .value = "P", .help = "clean, typical, hostile, or a file"},
	{.name = "rates",
		.value = "LIST",
		.help = "instead of the profile's: unknown=2%,full=1%,greylist=3%"},
	{.name = "seed",
		.value = "N",
		.help = "another number, other fates; the same number, the same fates"},
	{.name = "no-words", .help = "words in addresses decide nothing, only the profile does"},
	{.name = "rtt", .value = "TIME", .help = "everything it says comes so much later, such as 80ms"},
	{.name = "tls", .help = "offer STARTTLS, with a certificate made at the start"},
	{.name = "tls-implicit", .help = "TLS from the first byte"},
	{.name = "ca-out", .value = "FILE", .help = "write that certificate here, for ca-file of a route"},
	{.name = "auth", .value = "USER:PASSWORD", .help = "ask for this login"},
	{.name = "keep", .value = "DIR", .help = "put what is accepted into this Maildir"},
	{.name = "return-to",
		.value = "HOST:PORT",
		.help = "send bounces, complaints and automatic answers there: to [return-path] listen"},
	{.name = "log", .value = "FILE", .help = "append a line of JSON for each recipient"},
	{.name = "messages", .value = "N", .help = "close a connection after so many messages"},
	{.name = "max-connections", .value = "N", .help = "refuse more than so many at once (2,000)"},
	{0},
};

const struct command cmd_sandbox = {
	.name = "sandbox",
	.group = GROUP_SYSTEM,
	.summary = "a local mail world to rehearse against",
	.help = "Listens on this machine only and treats mail as real receivers do: it accepts,\n"
		"defers, refuses and drops, in the words of the recipient's provider.\n"
		"\n"
		"Words at the end of a local part, or as a domain's first label, fix what\n"
		"happens: bounce@, ann-full@, ann@disabled.example, block, spam, big, greylist,\n"
		"defer-3, never, slow-2 (seconds), limit, quota, drop, drop-data, drop-end. With\n"
		"--return-to these are taken, and then something comes back: returned,\n"
		"returned-full, complaint, away.\n"
		"A sender that ends in `refused` is not allowed. All others are decided by the\n"
		"profile: clean accepts them, typical has about 2 % unknown users, 1 % full\n"
		"mailboxes, 3 % greylisted once and 0.5 % blocked, hostile much more. The same\n"
		"address always has the same fate.\n"
		"\n"
		"A profile of your own is a file of lines: `rates LIST`, `rtt TIME`, `messages\n"
		"N`, `busy N%` (connections refused), or a pattern and a word: `*@a.example\n"
		"full`.\n",
	.options = sandbox_options,
	.run = sandbox_run,
};
