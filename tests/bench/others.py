"""`others`: the same personal messages by what people use today: nodemailer, Postfix as relay, Postfix with OpenDKIM, Python."""
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

import dkim_referees
import harness
import peers
from campaigns import (CONNECTIONS, LOREM, Measuring, campaign, check_ledger, check_samples, check_sink, contacts, copy, csv_file, fresh, letter,
	sink_figures, span)
from measure import FOLDER, HERE, Cost, check, ratios, tree_cpu, tree_pss
from sending import Signed, send_once, verify

# The letter as others write it: they make no text from HTML.
TEXT = "Dear {{ first_name }},\n\n" + (LOREM + "\n\n") * 36 + "Unsubscribe: {{ unsubscribe_url }}\n"
# Postfix told to do as much as it can: the defaults are for the wide world.
TUNED = {"default_destination_concurrency_limit": "100", "initial_destination_concurrency": "100", "smtp_destination_concurrency_limit": "100",
	"smtpd_client_connection_count_limit": "0", "smtp_connection_cache_on_demand": "yes", "smtp_connection_cache_destinations":
	"127.0.0.1", "qmgr_message_active_limit": "20000", "message_size_limit": "0"}


def templates(folder, form):
	"""The letter's HTML and text with values written as `form`; their paths."""
	paths = []
	for name, text in (("letter.html", letter().split("\n\n", 1)[1]), ("letter.txt", TEXT)):
		paths.append(os.path.join(folder, name))
		with open(paths[-1], "w", encoding="utf-8") as f:
			f.write(re.sub(r"{{ (\w+) }}", form, text))
	return paths


class Key:
	"""An RSA-2048 key for those that need a file, and its record."""

	def __init__(self, folder):
		with harness.World(folder) as w:
			w.configure(2525)
			made = w.run("--json", "dkim", "keygen", "books.example", "--selector", "peer").json
			self.path, self.records = w.path(made["key"]), {made["name"]: made["record"]}


# ---- programs that send by themselves ----

def node_modules():
	home = os.path.join(FOLDER, "npm")
	if not all(os.path.isdir(os.path.join(home, "node_modules", n)) for n in ("nodemailer", "handlebars")):
		if not shutil.which("npm"):
			raise peers.Unavailable("there is no npm")
		os.makedirs(home, exist_ok=True)
		run = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, "nodemailer", "handlebars"],
			capture_output=True, text=True, timeout=120)
		if run.returncode != 0:
			raise peers.Unavailable("npm cannot fetch it: " + run.stderr.strip()[-200:])
	return home


def by_program(b, series, messages, argv, cwd, folder, key=None):
	"""argv(port): a program that sends to so many contacts of the CSV."""
	with Measuring(folder, messages) as sink:
		cost = Cost(argv(sink.port), cwd)
		counts = sink.stop()
		check_sink(counts, messages)
		samples = check_samples(sink.samples, min(messages, 50), signatures=1 if key else 0)
		if key:
			with harness.World(folder) as w:
				verify(b, w, samples, key.records)
	series.add(messages, span(counts), cost.cpu, cost.rss, whole=cost.seconds, bytes=counts["bytes"] / messages, **sink_figures(counts))


def nodemailer(b, series, messages, key=None):
	home, folder = node_modules(), fresh("nodemailer")
	html, text = templates(folder, r"{{ \1 }}")
	more = [key.path, "peer"] if key else []
	by_program(b, series, messages, lambda port: ["node", os.path.join(HERE, "nodemailer.js"), csv_file(messages), str(port), str(messages), html,
		text, *more], home, folder, key)


def python(b, series, messages):
	folder = fresh("python")
	html, text = templates(folder, r"${\1}")
	by_program(b, series, messages, lambda port: [sys.executable, os.path.join(HERE, "python_mail.py"), csv_file(messages), str(port), str(messages),
		html, text], folder, folder)


# ---- Postfix, fed with our messages ----

class OpenDkim:
	"""The milter; `main` is what Postfix is told."""

	def __init__(self, folder, key):
		self.port, self.conf = harness.free_port(), os.path.join(folder, "opendkim.conf")
		self.program, self.env = dkim_referees.program()
		with open(self.conf, "w") as f:
			f.write(f"Mode s\nSocket inet:{self.port}@127.0.0.1\nDomain books.example\nSelector peer\nKeyFile {key.path}\nBackground no\n"
				"Canonicalization relaxed/relaxed\nInternalHosts 127.0.0.1\nSyslog no\nRequireSafeKeys no\n")
		self.main = {"smtpd_milters": f"inet:127.0.0.1:{self.port}", "milter_default_action": "tempfail"}

	def __enter__(self):
		self.child = subprocess.Popen([self.program, "-f", "-x", self.conf], env=self.env, stdin=subprocess.DEVNULL)
		return self

	def __exit__(self, *exc):
		self.child.terminate()
		self.child.wait()


class Nothing:
	main, child = {}, None

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		pass


def postfix(b, series, messages, key=None):
	"""Our program hands Postfix the messages, unsigned; Postfix queues, signs where there is a key, and delivers to the sink."""
	folder = copy(messages, "postfix")
	with Measuring(folder, messages) as sink, (OpenDkim(folder, key) if key else Nothing()) as milter, \
			peers.Postfix(folder, sink.port, main={**TUNED, **milter.main}) as relay, harness.World(folder) as w:
		w.configure(relay.port, connections=CONNECTIONS)
		w.write("june.html", letter())
		w.run("-q", "send", "june.html", "--list", "news", "--name", "june", "--yes", timeout=900)
		check_ledger(w.status("june"), messages)
		end, counts = time.monotonic() + 900, sink.sink.counts()
		while counts["messages"] < messages:
			check(time.monotonic() < end and (not milter.child or milter.child.poll() is None), f"Postfix delivered {counts['messages']} of {messages}")
			time.sleep(0.2)
			counts = sink.sink.counts()
		roots = [p.pid for p in (*relay.processes, *([milter.child] if milter.child else []))]
		cpu, memory = sum(map(tree_cpu, roots)), sum(map(tree_pss, roots))
		counts = sink.stop()
		check_sink(counts, messages)
		samples = check_samples(sink.samples, min(messages, 50), signatures=1 if key else 0)
		if key:
			verify(b, w, samples, key.records)
	b.not_ours(cpu)
	series.add(messages, span(counts), cpu, memory, bytes=counts["bytes"] / messages, **sink_figures(counts))


def prepare(quick):
	for count in (2, 3, 5, 6, 8, 20, 50):
		contacts(count * 100 * (1 if quick else 10))


def others(b):
	"""What people send with today, the same personal messages, unsigned and signed."""
	scale = b.count(10, 1)
	b.title = f"The same personal messages by others, {CONNECTIONS} connections"
	key = Key(fresh("key"))
	ours, signed = b.add("postrider"), Signed(b, "postrider, DKIM RSA-2048", ("rsa",), 2000 * scale)
	steps = [lambda: campaign(ours, 5000 * scale), signed.send]
	pairs = []

	def add(name, what, run, messages, *more):
		"""Left out, and said so, where it is not to be had."""
		series = b.add(name)

		def step():
			if name not in b.missing:
				try:
					run(b, series, messages, *more)
				except peers.Unavailable as e:
					b.without(name, e)
		steps.append(step)
		pairs.append((series, what))
		return series
	send_once(b)
	add("nodemailer, pool 50, handlebars", ours, nodemailer, 800 * scale)
	node = add("nodemailer, the same, DKIM RSA-2048", signed.series, nodemailer, 300 * scale, key)
	add("Postfix as relay", ours, postfix, 600 * scale)
	milter = add("Postfix with OpenDKIM RSA-2048", signed.series, postfix, 300 * scale, key)
	add("Python: string.Template, email, smtplib, a process for each core", ours, python, 300 * scale)
	b.rounds(3, 1, *steps)
	for series, key in ((node, "nodemailer-dkim"), (milter, "opendkim")):
		if series.samples:
			b.target(key, ratios(signed.series, series))
	lines = ["| | postrider is faster by | and takes less CPU by |", "|---|---|---|"]
	for series, what in pairs:
		if series.samples:
			faster, less = (statistics.median(r) for r in (ratios(what, series), ratios(series, what, "cpu_us")))
			lines.append(f"| {series.name} | {faster:.1f} | {less:.1f} |")
	b.texts.append("\n".join(lines))
	b.note("Rates are from the first to the last message at the same sink. Postfix gets the messages from Postrider, whose CPU is not counted "
		"here; its queue is on the same disk as our ledger; concurrency 100 and connection caching are switched on. Its CPU and memory, with "
		"OpenDKIM's, are those of all its processes. Nobody else keeps a record of who got what.")


BENCHES = {"others": others}
PREPARE = {"others": prepare}
