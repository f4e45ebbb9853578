"""`plain`, `dkim`, `tls`: a campaign of 10 KB multipart messages to the fast sink, beside smtp-source and `openssl speed`."""
import os
import statistics
import subprocess

import peers
from campaigns import CONNECTIONS, campaign, contacts, fresh, sink_figures, span
from measure import CORES, Cost, Series, check, ratios
from sink import FastSink
from test_dkim import make_keys, signed_by_all

SOURCE = "/usr/sbin/smtp-source"


def prepare(quick):
	for count in (2000, 5000, 10000, 20000) if quick else (20000, 40000, 60000, 100000, 200000):
		contacts(count)


def smtp_source(series, messages, size):
	"""One constant message of that size, again and again."""
	folder = fresh("source")
	with FastSink(folder) as sink:
		peer = peers.Postfix(folder, sink.port)
		cost = Cost(peer.command(SOURCE, "-d", "-s", str(CONNECTIONS), "-m", str(messages), "-l", str(int(size)), "-f", "a@books.example",
			"-t", "b@x.example", f"127.0.0.1:{sink.port}"), folder)
		counts = sink.stop()
	# It ends while its last sessions still connect: a message of each is missing.
	sent = counts["messages"]
	check(sent >= 0.95 * messages, f"smtp-source sent {sent} of {messages} messages")
	series.add(sent, span(counts), cost.cpu, cost.rss, whole=cost.seconds, **sink_figures(counts))


def plain(b):
	"""Unsigned and in the clear, beside smtp-source with one constant message."""
	messages = b.count(200000, 20000)
	b.title = f"{messages:,} messages in the clear, unsigned, {CONNECTIONS} connections"
	ours, theirs = b.add("postrider send"), b.add(f"smtp-source -d -s {CONNECTIONS}, one body for all, no ledger")
	try:
		peers.need()
	except peers.Unavailable as e:
		b.without("smtp-source", e)
	sizes = []

	def send():
		sizes.append(campaign(ours, messages)[0]["bytes"])

	def source():
		if not b.missing:
			smtp_source(theirs, messages, sizes[0])
	send_once(b)
	b.rounds(5, 2, send, source)
	b.target("plain-rate", ours.of("rate"))
	b.target("plain-cpu", ours.of("cpu_us"))
	b.target("plain-memory", ours.of("rss"))
	if theirs.samples:
		b.target("plain-ratio", ratios(ours, theirs))
	b.note(f"Multipart messages of {sizes[0] / 1000:.1f} KB with 75 values each. Rates are from the first to the last message at the sink, CPU and memory "
		"the whole command's, with checking the message, fixing the audience and the ledger. In every run the sink got every recipient's "
		"message once, a hundred of them were read and are personal, and the ledger says sent of all.")


def send_once(b):
	"""Everything is in the page cache before the first round."""
	campaign(Series("warm"), b.count(20000, 2000))


# ---- signed ----

def openssl_speed(*what):
	out = subprocess.run(["openssl", "speed", "-mr", *what], capture_output=True, text=True, check=True).stdout
	return [line[line.index("+F"):].split(" from ")[0].split(":") for line in out.splitlines() if "+F" in line]


def signs(kind, cores=1):
	"""Signatures a second; of several processes side by side their sum."""
	more = ["-multi", str(cores)] if cores > 1 else []
	mark, field = {"rsa2048": ("+F2", 3), "ed25519": ("+F6", 4)}[kind]
	return float([line for line in openssl_speed("-seconds", "2", *more, kind) if line[0] == mark][-1][field])


def hash_seconds(size):
	"""To hash a body of that size."""
	lines = openssl_speed("-seconds", "1", "-bytes", str(int(size)), "-evp", "sha256")
	return size / float(lines[-1][-1])


class Speeds:
	"""What OpenSSL does on this machine, once a round."""

	def __init__(self):
		self.rounds = []

	def measure(self, size):
		self.rounds.append({"rsa": signs("rsa2048"), "rsa_all": signs("rsa2048", CORES), "ed25519": signs("ed25519"), "hash": hash_seconds(size)})


def verify(b, w, samples, records, signatures=1):
	"""Other people's verifiers look at some of the messages that the sink kept."""
	try:
		signed_by_all(w, list(samples.values())[:5], records, signatures)
	except peers.Unavailable as e:
		b.without("verifying signatures", e)


class Signed:
	"""A campaign with these keys, of which other people's verifiers look at some messages."""

	def __init__(self, b, name, types, messages):
		self.b, self.series, self.types, self.messages, self.records = b, b.add(name), types, messages, None

	def setup(self, w):
		sections, self.records = make_keys(w, "books.example", self.types)
		return {"extra": sections}

	def send(self):
		campaign(self.series, self.messages, signatures=len(self.types), setup=self.setup, name="dkim",
			check_with=lambda w, samples: verify(self.b, w, samples, self.records, len(self.types)))


def dkim(b):
	"""Signed with RSA-2048, and with Ed25519 as well, beside `openssl speed`."""
	plain_count = b.count(60000, 10000)
	b.title = f"Signed messages, {CONNECTIONS} connections"
	unsigned = b.add("unsigned")
	rsa = Signed(b, "DKIM RSA-2048", ("rsa",), b.count(40000, 5000))
	dual = Signed(b, "DKIM RSA-2048 and Ed25519", ("rsa", "ed25519"), b.count(40000, 5000))
	speeds = Speeds()
	send_once(b)
	b.rounds(4, 1, lambda: campaign(unsigned, plain_count), rsa.send, lambda: speeds.measure(unsigned.samples[0]["bytes"]), dual.send)
	ends = [(s["cpu_us"] + s["sink_us"]) / 1e6 for s in unsigned.samples]
	for signed, key, more in ((rsa, "dkim", False), (dual, "dual", True)):
		each = [1 / s["rsa"] + (1 / s["ed25519"] if more else 0) + s["hash"] + e for s, e in zip(speeds.rounds, ends)]
		b.target(key + "-openssl", [r / (CORES * s["rsa"]) for r, s in zip(signed.series.of("rate"), speeds.rounds)])
		b.target(key + "-bound", [r / (CORES / t) for r, t in zip(signed.series.of("rate"), each)])
		spent = [t * 1e6 / (s["cpu_us"] + s["sink_us"]) for s, t in zip(signed.series.samples, each)]
		b.note(f"{signed.series.name}: the CPU of sign, hash and unsigned ends is {statistics.median(spent):.2f} of what both ends took.")
	b.data["openssl"] = speeds.rounds
	lines = ["| round | RSA-2048 signs/s, one core | all cores side by side | Ed25519 signs/s | SHA-256 of a message, µs | unsigned CPU of both ends, µs |",
		"|---|---|---|---|---|---|"]
	lines += [f"| {i + 1} | {s['rsa']:,.0f} | {s['rsa_all']:,.0f} | {s['ed25519']:,.0f} | {s['hash'] * 1e6:.1f} | {e * 1e6:.1f} |"
		for i, (s, e) in enumerate(zip(speeds.rounds, ends))]
	b.texts.append("\n".join(["`openssl speed` in the same rounds:", "", *lines]))
	b.note("The signatures of five messages of every run were verified by dkimpy and OpenDKIM, whichever is there.")


# ---- over TLS ----

def tls(b):
	"""STARTTLS on kept connections, beside the same in the clear."""
	messages = b.count(100000, 10000)
	b.title = f"{messages:,} messages over STARTTLS, {CONNECTIONS} kept connections"
	clear, secret = b.add("in the clear"), b.add("STARTTLS (TLS 1.3), verified")
	ca = os.path.join(fresh("ca"), "ca.pem")

	def encrypted():
		counts = campaign(secret, messages, sink_options=("--tls", "--ca-out", ca), name="tls", host="localhost", tls="starttls", ca_file=ca)[1]
		check(counts["connections"] <= CONNECTIONS * 2 + messages / 400, f"{counts['connections']} connections for {messages} messages")
	send_once(b)
	b.rounds(5, 1, lambda: campaign(clear, messages), encrypted)
	b.target("tls-rate", secret.of("rate"))
	b.target("tls-ratio", ratios(secret, clear))
	b.note("A certificate that verifies is demanded (`tls = starttls`), so that no message can have gone in the clear.")


BENCHES = {"plain": plain, "dkim": dkim, "tls": tls}
PREPARE = dict.fromkeys(BENCHES, prepare)
