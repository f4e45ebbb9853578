"""What is wanted, in the order of the report. A benchmark gives a value for each of its targets; a list of values (one for
each round) becomes its median."""


class Target:
	def __init__(self, key, bench, what, sign, bound, unit=""):
		self.key, self.bench, self.what, self.sign, self.bound, self.unit = key, bench, what, sign, bound, unit

	def met(self, value):
		return value >= self.bound if self.sign == ">=" else value <= self.bound

	def show(self, value):
		digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
		return f"{value:,.{digits}f}{self.unit}"


TARGETS = [Target(*t) for t in (
	("plain-rate", "plain", "plaintext, unsigned, one relay, 50 connections: messages/s", ">=", 30000),
	("plain-ratio", "plain", "the same, over smtp-source -d -s 50 with a constant message", ">=", 1.25),
	("plain-cpu", "plain", "CPU of a message, unsigned, ours alone", "<=", 35, " µs"),
	("plain-memory", "plain", "peak memory, 50 connections, no attachments", "<=", 96, " MiB"),
	("dkim-openssl", "dkim", "DKIM RSA-2048, over cores × `openssl speed rsa2048`", ">=", 0.80),
	("dkim-bound", "dkim", "DKIM RSA-2048, over cores / (sign + hash + unsigned CPU of both ends)", ">=", 0.93),
	("dual-openssl", "dkim", "RSA-2048 + Ed25519, over cores × `openssl speed rsa2048`", ">=", 0.72),
	("dual-bound", "dkim", "RSA-2048 + Ed25519, over cores / (both signs + hash + unsigned CPU of both ends)", ">=", 0.93),
	("tls-rate", "tls", "STARTTLS, kept connections: messages/s", ">=", 18000),
	("tls-ratio", "tls", "the same, over plaintext", ">=", 0.55),
	("nodemailer-dkim", "others", "signed, over nodemailer (pool 50, handlebars, DKIM)", ">=", 10),
	("opendkim", "others", "signed, over Postfix with OpenDKIM", ">=", 12),
	("audience", "audience", "fixing the audience of a campaign: contacts/s", ">=", 300000),
	("first-message", "audience", "from there to the first message on the wire", "<=", 2, " s"),
	("import-empty", "import", "import of 1 million rows, empty database: time over sqlite3's `.import` and a unique index", "<=", 1.3),
	("import-full", "import", "import of 1 million rows, full database: time over the same", "<=", 2),
	("check", "check", "`check` of a message for 1 million contacts: contacts/s", ">=", 80000),
	("report", "report", "`report --format csv` of 1 million deliveries: rows/s", ">=", 500000),
	("status", "look-10m", "`status` with 10 million deliveries", "<=", 100, " ms"),
	("trace", "look-10m", "`trace ADDRESS` with 10 million deliveries", "<=", 50, " ms"),
	("growth-cpu", "growth-10m", "CPU of a message at 10 million contacts over that at 10 thousand", "<=", 1.1),
	("growth-memory", "growth-10m", "peak memory at 10 million contacts over that at 10 thousand", "<=", 1.1),
	("templates", "templates", "HTML over the faster of ctemplate and Text::Xslate", ">=", 1.7),
	("compose", "templates", "whole messages composed, one core: messages/s", ">=", 60000),
	("address", "templates", "an address of a list read", "<=", 1, " µs"),
	("busy-gap", "busy", "longest gap between messages of a campaign during an import", "<=", 0.5, " s"),
	("busy-pause", "busy", "last message after `pause` during an import", "<=", 1, " s"),
	("sites", "sites", "healthy mail beside bad sites: time over that without", "<=", 1.2),
	("far-1-pipelining", "distance", "100 ms away, Postfix, 1 connection, PIPELINING only: messages/s", ">=", 9),
	("far-1", "distance", "100 ms away, Postfix, 1 connection, CHUNKING: messages/s", ">=", 40),
	("far-20", "distance", "100 ms away, Postfix, 20 connections, PIPELINING only: messages/s", ">=", 180),
	("far-20-chunking", "distance", "100 ms away, Postfix, 20 connections, CHUNKING: over what that Postfix takes", ">=", 0.75),
	("far-sink", "distance", "100 ms away, our sink, 20 connections: messages/s", ">=", 700),
	("shaping", "shaping", "receivers whose limits nobody told: the least of their rates that was used", ">=", 0.85),
)]
