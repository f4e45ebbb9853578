"""Direct delivery over real name servers: which hosts a domain's mail goes to, and what TLS it goes under."""
import contextlib
import json
import os
import subprocess

import dnsworld
from nameserver import Nameserver
from harness import BUILD
from smtpd import Sink

ENFORCE = "version: STSv1\nmode: enforce\nmx: {}\nmax_age: 604800\n"
TESTING = "version: STSv1\nmode: testing\nmx: {}\nmax_age: 604800\n"
GOOD, WRONG, CLEAR, SIX = 1, 2, 3, 4  # the receiving hosts: 5.0.0.N, 2a00::N


def zones(good, wrong):
	"""good, wrong: certificates of the hosts so numbered."""
	signed = f"""
good A 5.0.0.{GOOD}
good AAAA 2a00::{GOOD}
wrong A 5.0.0.{WRONG}
clear A 5.0.0.{CLEAR}
six AAAA 2a00::{SIX}
refusing A {dnsworld.REFUSING}
silent A {dnsworld.SILENT}
order MX 20 wrong
order MX 10 good
null MX 0 .
dead MX 10 refusing
dead MX 20 good
half A 5.0.0.{GOOD}
half AAAA {dnsworld.SILENT6}
half-silent MX 10 half
silence MX 10 silent
silence MX 20 good
ipv6 MX 10 six
alias CNAME order
behind-alias MX 10 other-name
other-name CNAME good
bare A 5.0.0.{GOOD}
nothing TXT "no host"
nowhere MX 10 missing
bogus MX 10 good
tlsa-good A 5.0.0.{GOOD}
_25._tcp.tlsa-good TLSA {dnsworld.tlsa(good)}
tlsa-bad A 5.0.0.{GOOD}
_25._tcp.tlsa-bad TLSA {dnsworld.tlsa(wrong)}
tlsa-self A 5.0.0.{WRONG}
_25._tcp.tlsa-self TLSA {dnsworld.tlsa(wrong)}
tlsa-odd A 5.0.0.{WRONG}
_25._tcp.tlsa-odd TLSA 1 1 1 {"ab" * 32}
tlsa-bogus A 5.0.0.{GOOD}
_25._tcp.tlsa-bogus TLSA 3 1 1 {"cd" * 32}
tlsa-clear A 5.0.0.{CLEAR}
_25._tcp.tlsa-clear TLSA {dnsworld.tlsa(good)}
"""
	signed += "".join(f"dane-{kind} MX 10 tlsa-{kind}\n" for kind in ("good", "bad", "self", "odd", "bogus", "clear"))
	plain = f"""
good A 5.0.0.{GOOD}
wrong A 5.0.0.{WRONG}
clear A 5.0.0.{CLEAR}
home A 127.0.0.1
private MX 10 home
loop MX 10 mail.books
loop MX 20 good
mail.books A {dnsworld.US4}
hosted MX 10 tlsa-good.example.
enforce MX 10 good
enforce-wrong MX 10 wrong
enforce-other MX 10 wrong
enforce-clear MX 10 clear
testing MX 10 wrong
moved MX 10 wrong
untrusted MX 10 wrong
huge MX 10 wrong
clear-text MX 10 clear
lame NS ns.lame
ns.lame A 127.0.0.77
"""
	plain += "".join(f'_mta-sts.{d} TXT "v=STSv1; id=1"\nmta-sts.{d} A {dnsworld.POLICIES}\n' for d in
		("enforce", "enforce-wrong", "enforce-other", "enforce-clear", "testing", "moved", "untrusted", "huge"))
	return {"example": signed, "plain": plain}


POLICY_TEXTS = {"enforce.plain": ENFORCE.format("good.plain"), "enforce-wrong.plain": ENFORCE.format("wrong.plain"),
	"enforce-other.plain": ENFORCE.format("*.other.plain"), "enforce-clear.plain": ENFORCE.format("clear.plain"),
	"testing.plain": TESTING.format("wrong.plain"), "moved.plain": "https://elsewhere.plain/mta-sts.txt",
	"untrusted.plain": ENFORCE.format("wrong.plain"), "huge.plain": ENFORCE.format("good.plain") + "x: y\n" * 20000}


@contextlib.contextmanager
def names(w):
	"""The name servers and the policies; the rest of the network is there, but no mail host."""
	internet, authority = dnsworld.Internet(), dnsworld.Authority(w.path("ca"))
	good = authority.certificate("good.example", "good.plain")
	wrong = authority.certificate("elsewhere.example", trusted=False)
	trusted = [d for d in POLICY_TEXTS if d != "untrusted.plain"]
	spoil = {r"(bogus\.example\.\s+300\s+IN\s+MX\s+)10 good": r"\g<1>10 wrong", "cd" * 32: "ce" * 32}
	try:
		with dnsworld.Names(w.folder, 0, zones=zones(good[0], wrong[0]), signed=["example"], spoil=spoil) as server, \
				dnsworld.Resolver(w.folder, 0, names=server) as resolver, \
				dnsworld.PolicyServer(*authority.certificate(*("mta-sts." + d for d in trusted)), dict(POLICY_TEXTS)) as policies:
			yield internet, authority, good, wrong, server, resolver, policies
	finally:
		internet.close()


def look_up(*args):
	run = subprocess.run([os.path.join(BUILD, "tools", "sites"), *args], capture_output=True, text=True, timeout=300)
	assert run.returncode == 0, run.stderr
	return {o["domain"]: o for o in map(json.loads, run.stdout.splitlines())}


def test_sites(w):
	"""What the book says of every kind of domain, through Unbound and validated once more."""
	domains = {
		"order.example": ["good.example may", "wrong.example may"], "null.example": "5.1.10 domain-refuses-mail",
		"alias.example": ["good.example may", "wrong.example may"], "behind-alias.example": ["other-name.example may"],
		"bare.example": ["bare.example may"], "ipv6.example": ["six.example may"], "nothing.example": "5.4.4 domain-no-host",
		"nowhere.example": "4.4.4 routing", "missing.example": "5.1.2 domain-unknown", "bogus.example": "4.4.3 dnssec-bogus",
		"dane-good.example": ["tlsa-good.example dane"], "dane-odd.example": ["tlsa-odd.example encrypt"],
		"dane-bogus.example": "4.4.3 dnssec-bogus", "hosted.plain": ["tlsa-good.example may"], "private.plain": "5.4.4 private-address",
		"loop.plain": "5.4.6 mail-loop", "lame.plain": "4.4.3 dns-failed", "enforce.plain": ["good.plain verify"],
		"enforce-other.plain": "4.7.5 tls-policy", "testing.plain": ["wrong.plain testing"], "moved.plain": ["wrong.plain may"],
		"untrusted.plain": ["wrong.plain may"], "huge.plain": ["wrong.plain may"], "[5.0.0.1]": ["5.0.0.1 may"]}
	w.run("init", ".")
	with names(w) as (internet, authority, good, wrong, server, resolver, policies):
		options = [f"resolver=127.0.0.1@{resolver.port}", f"trust-anchor={server.anchor}", f"ca-file={authority.ca}",
			"own=mail.books.plain", "database=" + w.path("postrider.db")]
		for again in False, True:
			said, faults = look_up(*options, *domains), []
			for domain, expected in domains.items():
				o = said[domain]
				got = [f"{h['name']} {h['tls']}" for h in o["hosts"]] if "hosts" in o else f"{o['enhanced']} {o['reason']}"
				if got != expected:
					faults.append(f"{domain}: {o}")
			assert not faults, "\n".join(faults)
			assert said["order.example"]["hosts"][0]["addresses"] == ["2a00::1", "5.0.0.1"]
			assert said["enforce.plain"]["site"] == "good.plain+sts"
			# Kept in the store: the second process does not fetch it again.
			assert policies.asked["enforce.plain"] == 1 and policies.asked["moved.plain"] == (2 if again else 1), policies.asked
		# Without validation there is no DANE; a bogus answer of the resolver stays one.
		plain = look_up(f"resolver=127.0.0.1@{server.port}", f"trust-anchor={server.anchor}", "plain=yes", "dane-good.example")
		assert plain["dane-good.example"]["hosts"][0]["tls"] == "may"


SENT = {  # domain: the host that takes its mail, and whether under TLS
	"order.example": ("good", True), "dead.example": ("good", True), "silence.example": ("good", True),
	"half-silent.example": ("good", True),
	"ipv6.example": ("six", True), "alias.example": ("good", True), "behind-alias.example": ("good", True),
	"bare.example": ("good", True), "dane-good.example": ("good", True), "dane-self.example": ("wrong", True),
	"dane-odd.example": ("wrong", True), "hosted.plain": ("good", True), "enforce.plain": ("good", True),
	"testing.plain": ("wrong", True), "moved.plain": ("wrong", True), "untrusted.plain": ("wrong", True),
	"clear-text.plain": ("clear", False)}
DEFERRED = {  # why
	"dane-bad.example": "no TLSA record of tlsa-bad.example fits", "dane-bogus.example": "TLSA",
	"dane-clear.example": "does not offer STARTTLS, and the domain's policy (DANE)", "bogus.example": "DNSSEC",
	"nowhere.example": "has an address", "lame.plain": "DNS fails", "enforce-wrong.plain": "certificate",
	"enforce-other.plain": "MTA-STS policy", "enforce-clear.plain": "the domain's policy (MTA-STS)"}
BOUNCED = ["null.example", "nothing.example", "missing.example", "private.plain", "loop.plain"]


def test_delivery(w):
	"""The same Internet with Postfix on its hosts: what arrives where, and how; what does not go out, and why."""
	class Everywhere(Sink):
		address = None

	people = ["a@" + d for d in [*SENT, *DEFERRED, *BOUNCED]] + [f"b{i}@order.example" for i in range(10)]
	with names(w) as (internet, authority, good, wrong, server, resolver, policies), Everywhere(port=2525) as sink, \
			dnsworld.Receiver(w.folder, internet, GOOD, "good.example", sink.port, tls=good), \
			dnsworld.Receiver(w.folder, internet, WRONG, "wrong.example", sink.port, tls=wrong), \
			dnsworld.Receiver(w.folder, internet, CLEAR, "clear.example", sink.port), \
			dnsworld.Receiver(w.folder, internet, SIX, "six.example", sink.port, tls=good, four=False):
		w.configure(25, kind="direct", host=None, resolver=f"127.0.0.1@{resolver.port}", trust_anchor=server.anchor,
			ca_file=authority.ca, helo="mail.books.plain", timeout="5s", extra="[domain books.example]\n")
		w.write("news.csv", "email\n" + "".join(p + "\n" for p in people))
		w.run("import", "news", "news.csv")
		w.run("--json", "send", w.message(), "--list", "news", "--yes", "--patience", "0", expect=75)
		assert sink.wait(len(SENT) + 10), sink.recipients()
		states, rows = w.audit("june", sink, people), w.deliveries("june")
		arrived = {m.recipients[0]: m.data.decode() for m in sink.messages}
	assert states == {"sent": len(SENT) + 10, "deferred": len(DEFERRED), "bounced": len(BOUNCED)}, rows
	faults = []
	for domain, (host, tls) in SENT.items():
		received = arrived["a@" + domain].split("Received: ")[1:]
		last = " ".join(received[-1].split("\r\n\t"))
		if f"by {host}.example" not in last or ("using TLSv1" in last) != tls:
			faults.append(f"{domain}: {last}")
	for domain, why in DEFERRED.items():
		row = rows["a@" + domain]
		if row["state"] != "deferred" or why not in row["reply"]:
			faults.append(f"{domain}: {row}")
	faults += [f"{d}: {rows['a@' + d]}" for d in BOUNCED if rows["a@" + d]["state"] != "bounced"]
	faults += [p for p in people if p.startswith("b") and "by good.example" not in arrived[p]]
	assert not faults, "\n".join(faults)


def test_literals_and_international_names(w):
	records = {"xn--bcher-kva.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.1"]}}
	people = ["a@[127.0.0.1]", "b@b\u00fccher.example", "c@[127.0.0.1]"]
	with Nameserver(records) as dns, Sink() as sink:
		w.configure(sink.port, kind="direct", host=None, resolver=f"127.0.0.1@{dns.port}", private_addresses="allow",
			helo="mail.books.example", extra="[domain books.example]\n")
		w.write("news.csv", "email\n" + "".join(p + "\n" for p in people))
		w.run("import", "news", "news.csv")
		w.run("send", w.message(), "--list", "news", "--yes")
		assert sink.recipients() == {"a@[127.0.0.1]": 1, "b@xn--bcher-kva.example": 1, "c@[127.0.0.1]": 1}, sink.recipients()
		rows = w.deliveries("june")
		assert {r["site"] for r in rows.values()} == {"127.0.0.1", "mx.example"}, rows
