"""A campaign through real mail servers, and what others say of the messages that came out."""
import glob
import os
import shutil

import harness
import peers
import referees
from smtpd import Sink

COUNT = 60


def deliver(w, server, options, **route):
	with Sink() as sink, server(w.folder, sink.port, **options) as peer:
		w.configure(peer.port, connections=4, **route)
		addresses = w.audience(COUNT - 2) + ["o'neil+news@x.example", "Mixed.Case@X.example"]
		w.write("more.csv", "email,first_name,city\n" + "".join(f"{a},Ünal,東京\n" for a in addresses[-2:]))
		w.run("import", "news", "more.csv")
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
		assert sink.wait(COUNT), peer.logs()
		counts = w.status("june")["counts"]
		assert counts["sent"] == COUNT == sum(counts.values()), counts
		assert {r.lower() for r in sink.recipients()} == {a.lower() for a in addresses}
		assert set(sink.recipients().values()) == {1}
		check_messages(w, sink.messages)
		return sink.messages


def check_messages(w, messages):
	rows = w.deliveries("june")
	ids, senders = set(), set()
	for m in messages:
		recipient = m.recipients[0]
		found = referees.complaints(m.data)
		assert not found, f"{recipient}: {found}\n{m.data.decode('latin-1')}"
		row = {a.lower(): r for a, r in rows.items()}[recipient.lower()]
		assert row["message_id"].strip("<>") == m.header("Message-ID").strip("<>"), row
		assert m.header("To") and recipient.lower() in m.header("To").lower(), m.header("To")
		for name in ("Date", "MIME-Version", "List-Id", "List-Unsubscribe", "Feedback-ID", "From", "Subject"):
			assert m.header(name), f"no {name}"
		ways = [uri.strip() for uri in m.header("List-Unsubscribe").split(",")]
		assert [uri.partition(":")[0] for uri in ways] == ["<https", "<mailto"] and all(uri[-1] == ">" for uri in ways), ways
		html = referees.text_of(m.data)
		assert "forty new titles" in html and "https://books.example/u?t=" in html, html
		ids.add(m.header("Message-ID"))
		senders.add(m.sender)
	assert len(ids) == len(senders) == len(messages), "Message-ID and return path are one for each delivery"
	assert all(s.endswith("@bounces.books.example") and len(s.split("@")[0]) <= 40 for s in senders), senders
	names = "".join(referees.text_of(m.data) for m in messages)
	assert "花子" in names and "O&#39;Brien" in names and "São Paulo" in names and "東京" in names


def test_through_postfix_with_starttls_and_login(w):
	c = peers.certificates(w.path("tls"))
	w.write("password", "s3cret\n")
	os.chmod(w.path("password"), 0o600)
	deliver(w, peers.Postfix, {"tls": (c["cert"], c["key"]), "users": {"news": "s3cret"}}, tls="starttls", ca_file=c["ca"],
		user="news", password_file="password", host="localhost")


def test_through_exim_with_starttls(w):
	c = peers.certificates(w.path("tls"))
	deliver(w, peers.Exim, {"tls": (c["cert"], c["key"])}, tls="starttls", ca_file=c["ca"])


def test_through_opensmtpd(w):
	deliver(w, peers.OpenSmtpd, {}, tls="none")


def test_implicit_tls(w):
	c = peers.certificates(w.path("tls"))
	with Sink(tls=(c["cert"], c["key"]), implicit=True) as sink:
		w.configure(sink.port, tls="implicit", ca_file=c["ca"])
		addresses = w.audience(20)
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
		assert w.audit("june", sink, addresses) == {"sent": 20}


def test_rspamd_finds_no_fault_in_the_form(w):
	"""Symbols that speak of the form of the message, not of its reputation or content."""
	with Sink() as sink, peers.Rspamd(w.folder, 0) as judge:
		w.configure(sink.port)
		w.audience(4)
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
		for m in sink.messages:
			symbols = judge.symbols(m.data)
			bad = [s for s, score in symbols.items() if score > 0 and not s.startswith(("HFILTER", "URI_"))]
			assert not bad, f"{bad} of {symbols}\n{m.data.decode('latin-1')}"


def test_every_example(w):
	"""Whatever lies in examples/ as a newsletter can be sent, and parses."""
	source = os.path.join(harness.TOP, "examples")
	shutil.copytree(source, w.path("examples"))
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(4)
		sent = 0
		for path in sorted(glob.glob(w.path("examples") + "/**/*", recursive=True)):
			if path.endswith((".md", ".html", ".txt")) and open(path).readline().startswith(("From:", "Subject:")):
				w.run("send", os.path.relpath(path, w.folder), "--list", "news", "--yes", "--again", "--name", f"example-{sent}")
				sent += 1
		assert sent >= 5 and len(sink.messages) == 4 * sent, sent
		for m in sink.messages:
			assert not referees.complaints(m.data), f"{referees.complaints(m.data)}\n{m.data.decode('latin-1')}"
