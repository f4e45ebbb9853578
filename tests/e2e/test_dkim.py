"""Signed mail, verified by other people's programs; keys, records, and what `dkim check` says of them."""
import glob
import json
import os
import random
import shutil
import stat

import dkim_referees
import harness
import peers
from nameserver import Nameserver
from smtpd import Sink
from test_messages import AWKWARD

LETTER = """From: Kyoto Books <news@{domain}>
Reply-To: {{{{ v }}}} <reply@books.example>
Subject: {{{{ v }}}}
Header: X-Value: before {{{{ v }}}} after
Header: List-Help: <https://books.example/help>

# Dear {{{{ v }}}},

{{{{ v }}}} at the start,   and blanks \t in the line; {{{{ w }}}}

.{{{{ v }}}}


"""


def make_keys(w, domain, types=("rsa", "ed25519")):
	"""Keys by `dkim keygen`: the sections for the configuration, and the records."""
	sections, records = "", {}
	for i, kind in enumerate(types):
		made = w.run("--json", "dkim", "keygen", domain, "--type", kind, "--selector", f"{domain.split('.')[0]}{i}").json
		sections += f"[dkim {made['selector']}]\ndomain = {domain}\nkey = {made['key']}\n"
		records[made["name"]] = made["record"]
	return sections, records


def signed_by_all(w, messages, records, signatures):
	"""Both referees, as far as they are there, find every signature of every message good."""
	os.makedirs(w.path("signed"), exist_ok=True)
	paths = []
	for i, data in enumerate(messages):
		paths.append(w.path(f"signed/{i}.eml"))
		with open(paths[-1], "wb") as f:
			f.write(data)
	asked, missing = 0, []
	for referee in dkim_referees.dkimpy, dkim_referees.opendkim:
		try:
			verdicts = referee(paths, records)
		except peers.Unavailable as e:
			verdicts = None
			missing.append(str(e))
		if verdicts is None:
			continue
		asked += 1
		for path, verdict in zip(paths, verdicts):
			assert verdict == [True] * signatures, (referee.__name__, path, verdict)
	if not asked:
		raise peers.Unavailable("neither dkimpy (python3-dkim) nor OpenDKIM: " + "; ".join(missing))


def odd(rng):
	return "".join(rng.choice(AWKWARD)[:400] if rng.random() < .5 else rng.choice([" ", "  ", "\t", "\n", "x", "é", "=", "-- "]) for _ in range(rng.randrange(1, 6)))


def test_random_campaign_verifies(w):
	rng = random.Random(3)
	w.configure(2525)
	sections, records = make_keys(w, "books.example")
	with Sink() as sink:
		w.configure(sink.port, extra=sections)
		lines = [json.dumps(f"r{i}@x.example") + "," + ",".join('"' + odd(rng).replace("\0", "").replace('"', '""') + '"' for _ in "vw") for i in range(1000)]
		w.write("news.csv", "email,v,w\n" + "\n".join(lines) + "\n")
		w.run("import", "news", "news.csv", "--max-rejects", "50%")
		w.run("send", w.message(LETTER.format(domain="books.example"), "june.md"), "--list", "news", "--name", "june", "--yes")
		assert len(sink.messages) > 900
		for m in sink.messages:
			for field in m.data.split(b"\r\n\r\n")[0].split(b"\r\nDKIM-Signature:"):
				assert not field.startswith(b"DKIM-Signature:") or all(len(line) <= 78 for line in field.split(b"\r\n"))
		signed_by_all(w, [m.data for m in sink.messages[:1000]], records, 2)


def test_examples_verify(w):
	"""From of each example has one key of its own."""
	shutil.copytree(os.path.join(harness.TOP, "examples"), w.path("examples"))
	w.configure(2525)
	sections, records, messages = "", {}, []
	found = [p for p in sorted(glob.glob(w.path("examples") + "/*/*")) if p.endswith((".md", ".html", ".txt")) and not p.endswith("README.md")]
	domains = {p: next(line.split("@")[1].rstrip(">\n") for line in open(p, encoding="utf-8") if line.startswith("From:")) for p in found}
	for domain in sorted(set(domains.values())):
		more, named = make_keys(w, domain, ("rsa",))
		sections += more
		records.update(named)
	w.configure(2525, extra=sections)
	for i, path in enumerate(found):
		w.run("import", f"l{i}", os.path.join(os.path.dirname(path), "readers.csv"), "--max-rejects", "50%")
		with open(w.path("one.eml"), "wb") as f:
			f.write(w.run("preview", path, "--list", f"l{i}", "--part", "source").out.encode())
		messages.append(open(w.path("one.eml"), "rb").read())
	assert len(messages) >= 4
	signed_by_all(w, messages, records, 1)


class Judge(peers.Rspamd):
	"""rspamd that verifies signatures, by a name server of ours."""
	network = [m for m in peers.Rspamd.network if m != "dkim"]
	filters = "chartable,dkim,regexp"
	more = "dkim { check_local = true; check_authed = true; }\n"


def test_rspamd_verifies(w):
	w.configure(2525)
	sections, records = make_keys(w, "books.example")
	w.configure(2525, extra=sections)
	w.audience(3)
	data = w.run("preview", w.message(), "--list", "news", "--part", "source").out.encode()
	with Nameserver({name: [text] for name, text in records.items()}) as dns:
		Judge.nameserver = f"127.0.0.1:{dns.port}"
		with Judge(w.folder, 0) as judge:
			good, bad = judge.judge(data), judge.judge(data.replace(b"forty", b"fifty", 1))
		assert good["R_DKIM_ALLOW"]["options"] == ["books.example:s=books0", "books.example:s=books1"], good
		assert "R_DKIM_ALLOW" not in bad and "R_DKIM_REJECT" in bad, bad


class Later(Sink):
	"""Refuses each message once, for now, and keeps what it refused."""
	def __init__(self):
		super().__init__()
		self.first = {}

	async def end(self, s, data):
		known = self.first.setdefault(s.recipients[0], data)
		return await super().end(s, data) if known is not data else "451 4.7.1 come back later"


def test_retry_has_the_same_bytes(w):
	with Later() as sink:
		w.configure(sink.port)
		sections, records = make_keys(w, "books.example")
		w.configure(sink.port, extra=sections + "[retry]\ndelays = 2s\n")
		w.audience(5)
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "30s")
		assert len(sink.messages) == 5
		for m in sink.messages:
			assert m.data == sink.first[m.recipients[0]] and m.data.startswith(b"DKIM-Signature:")
		signed_by_all(w, [m.data for m in sink.messages], records, 2)


def test_who_signs(w):
	"""A subdomain is signed for by its parent, another domain not at all; `test` signs too; ses keeps Date out of h=."""
	with Sink() as sink:
		w.configure(sink.port)
		sections, _ = make_keys(w, "books.example", ("ed25519",))
		w.configure(sink.port, extra=sections)
		w.audience(1)
		for domain, signed in ("mail.books.example", True), ("evilbooks.example", False), ("books.example", True):
			path = w.message(LETTER.format(domain=domain), "m.md")
			out = w.run("preview", path, "--list", "news", "--part", "source").out
			assert ("d=books.example" in out) == signed == ("DKIM-Signature" in out), out
			w.run("test", path, "--to", "me@x.example", "--list", "news")
			assert (sink.messages[-1].header("DKIM-Signature") is not None) == signed
			r = w.run("send", path, "--list", "news", "--name", domain, "--yes", "--dry-run")
			assert ("goes out unsigned" in r.err) == (not signed), r
		assert "Message-ID:" in sink.messages[-1].header("DKIM-Signature").replace(" ", "")
		w.configure(sink.port, preset="ses", tls="none", extra=sections)
		w.run("test", path, "--to", "me@x.example", "--list", "news")
		names = sink.messages[-1].header("DKIM-Signature").replace(" ", "").split(";h=")[1].split(";")[0].lower().split(":")
		assert "from" in names and "list-unsubscribe-post" in names and "date" not in names and "message-id" not in names, names


def test_key_that_cannot_be_used(w):
	"""It stops everything before anything is recorded."""
	with Sink() as sink:
		w.configure(sink.port)
		sections, _ = make_keys(w, "books.example", ("rsa",))
		w.configure(sink.port, extra=sections)
		w.audience(2)
		os.chmod(w.path("dkim/books0.key"), 0o644)
		r = w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", expect=78)
		assert "can be read or changed by others" in r.err and "chmod 600" in r.err, r
		assert not sink.messages and not w.run("campaigns").out.strip().count("june")


def test_keygen(w):
	w.configure(2525)
	r = w.run("dkim", "keygen", "Books.Example")
	key = w.path("dkim/pr1.key")
	assert stat.S_IMODE(os.stat(key).st_mode) == 0o600 and stat.S_IMODE(os.stat(w.path("dkim")).st_mode) == 0o700
	assert "[dkim pr1]\ndomain = books.example\nkey    = dkim/pr1.key" in r.out, r
	before = open(key, "rb").read()
	assert "never overwritten" in w.run("dkim", "keygen", "books.example", "--selector", "pr1", expect=73).err
	assert "never overwritten" in w.run("dkim", "keygen", "books.example", "-o", key, expect=73).err
	assert "overwritten" not in w.run("dkim", "keygen", "books.example", "-o", "no/folder.key", expect=73).err
	assert open(key, "rb").read() == before
	w.run("dkim", "keygen", "books.example")
	assert os.path.exists(w.path("dkim/pr2.key"))
	made = w.run("--json", "dkim", "keygen", "日本語.example", "--bits", "4096", "-o", "big.key").json
	assert made["domain"] == "xn--wgv71a119e.example" and made["bits"] == 4096
	for bad in ["--bits", "1024"], ["--bits", "8192"], ["--type", "dsa"], ["--type", "ed25519", "--bits", "2048"], ["--selector", "a b"]:
		w.run("dkim", "keygen", "books.example", *bad, expect=64)
	w.run("dkim", "keygen", "no domain", expect=64)
	w.run("dkim", "show", "books.example", expect=66)


def test_check(w):
	w.configure(2525)
	sections, records = make_keys(w, "books.example")
	big = w.run("--json", "dkim", "keygen", "books.example", "--bits", "4096", "--selector", "big").json
	w.configure(2525, extra=sections)
	shown = [json.loads(line) for line in w.run("--json", "dkim", "show", "books.example").out.splitlines()]
	assert {s["name"]: s["record"] for s in shown} == records
	for one in shown:
		assert w.run("--json", "dkim", "show", "books.example", "--selector", one["selector"]).json == one
	assert w.run("--json", "dkim", "show", "books.example", "--selector", "big", "--key", big["key"]).json["record"] == big["record"]
	with Nameserver({name: [text] for name, text in records.items()}) as dns:
		def ask(expect, *more):
			out = w.run("--json", "dkim", "check", "books.example", "--resolver", f"127.0.0.1@{dns.port}", *more, expect=expect).out
			return [(f["id"], f["severity"]) for f in map(json.loads, out.splitlines())]
		good, rsa = ("dkim-record", "pass"), "books0._domainkey.books.example"
		assert ask(0) == [good, good]
		dns.records[big["name"]] = [big["record"]]
		assert ask(0, "--selector", "big", "--key", big["key"]) == [good]
		text = records[rsa]
		for now, found in (None, "dkim-record-missing"), ([], "dkim-record-missing"), ([text, text], "dkim-record-several"), \
				(["v=DKIM1; p="], "dkim-key-revoked"), ([big["record"]], "dkim-key-other"), ([text[:300]], "dkim-key-malformed"), \
				([text[:200], text[200:]], "dkim-record-several"), (['"' + text + '"'], "dkim-record-quotes"):
			dns.records.pop(rsa, None)
			if now is not None:
				dns.records[rsa] = now
			assert ask(1) == [(found, "fail"), good], (now, found)
		dns.records[rsa] = ["t=y; " + text]
		assert ask(1)[0][0] == "dkim-record-version"
		dns.records[rsa] = [text.replace("k=", "t=y; k=")]
		assert ask(0) == [("dkim-record-testing", "warn"), good, good]
	w.run("dkim", "check", "other.example", expect=66)
