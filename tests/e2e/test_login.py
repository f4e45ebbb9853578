"""Logins and TLS that fail: the campaign pauses, exit 77, nobody's address is blamed, and a plain resume goes on after the repair."""
import os

import peers
from smtpd import Sink

COUNT = 10


def secret(w, text):
	w.write("password", text + "\n")
	os.chmod(w.path("password"), 0o600)


def refused(w, sink, expect, reasons, **route):
	"""Sends, and looks at what must be so whatever the reason."""
	w.configure(sink.port, connections=3, **route)
	w.addresses = w.audience(COUNT)
	w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "5s", expect=expect)
	status = w.status("june")
	assert status["state"] == "paused" and status["why"]["id"] in reasons, status
	assert status["counts"]["queued"] + status["counts"]["deferred"] == COUNT, status
	assert status["why"]["text"] and not sink.messages
	assert "x.example" not in w.run("suppressions", "list").out


def repaired(w, sink, **route):
	w.configure(sink.port, connections=3, **route)
	w.run("resume", "june", "--now")
	assert w.audit("june", sink, w.addresses) == {"sent": COUNT}


def test_wrong_password(w):
	c = peers.certificates(w.path("tls"))
	route = {"tls": "starttls", "ca_file": c["ca"], "user": "news", "password_file": "password"}
	with Sink(tls=(c["cert"], c["key"]), users={"news": "right"}) as sink:
		secret(w, "wrong")
		refused(w, sink, 77, {"login"}, **route)
		tries = sum(line.startswith("AUTH") for s in sink.sessions for line in s.commands)
		assert tries <= 6, f"{tries} attempts to log in with a password that is wrong: accounts are locked for less"
		secret(w, "right")
		repaired(w, sink, **route)


def test_wrong_password_at_postfix(w):
	c = peers.certificates(w.path("tls"))
	route = {"tls": "starttls", "ca_file": c["ca"], "user": "news", "password_file": "password", "host": "localhost"}
	with Sink() as sink, peers.Postfix(w.folder, sink.port, tls=(c["cert"], c["key"]), users={"news": "right"}) as peer:
		secret(w, "wrong")
		sink.port, port = peer.port, sink.port
		refused(w, sink, 77, {"login"}, **route)
		secret(w, "right")
		w.configure(peer.port, connections=3, **route)
		w.run("resume", "june", "--now")
		assert sink.wait(COUNT), peer.logs()
		sink.port = port


def test_login_demanded_and_none_configured(w):
	c = peers.certificates(w.path("tls"))
	with Sink(tls=(c["cert"], c["key"]), users={"news": "right"}) as sink:
		refused(w, sink, 77, {"login", "sender-refused"}, tls="starttls", ca_file=c["ca"])


def test_login_not_offered(w):
	with Sink() as sink:
		secret(w, "right")
		refused(w, sink, (76, 77), {"login"}, tls="none", user="news", password_file="password")


def test_sender_refused(w):
	class Refuses(Sink):
		async def mail(self, s, arg):
			return "550 5.7.1 <news@books.example>: Sender address rejected: not owned by user news"
	with Refuses() as sink:
		refused(w, sink, 77, {"sender-refused"}, tls="none")


def certificate(w, name, host, **more):
	c = peers.certificates(w.path("tls"))
	with Sink(tls=(c[name + "cert"], c[name + "key"]), users={"news": "right"}) as sink:
		secret(w, "right")
		w.configure(sink.port, connections=3, host=host, tls="starttls", user="news", password_file="password", **more)
		addresses = w.audience(COUNT)
		done = w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "5s", expect=(69, 75, 76, 77),
			timeout=60)
		assert "certificate" in done.err.lower() or "certificate" in w.run("status", "june").out.lower(), done
		assert not any(line.upper().startswith("AUTH") for s in sink.sessions for line in s.commands), "the password was told"
		assert not sink.messages
		w.audit("june", sink, addresses)


def test_certificate_of_an_unknown_authority(w):
	certificate(w, "self-", "localhost")


def test_certificate_of_another_host(w):
	certificate(w, "other-", "localhost", ca_file=peers.certificates(w.path("tls"))["ca"])


def test_starttls_required_and_not_offered(w):
	with Sink() as sink:
		secret(w, "right")
		w.configure(sink.port, tls="starttls", user="news", password_file="password")
		addresses = w.audience(COUNT)
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "5s", expect=(69, 75, 76, 77))
		assert not any(line.upper().startswith(("AUTH", "MAIL")) for s in sink.sessions for line in s.commands)
		w.audit("june", sink, addresses)
