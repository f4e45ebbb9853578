"""The fixtures themselves: each server relays what an ordinary client gives it. If these fail, look here first."""
import smtplib
import ssl

import peers
from smtpd import Sink


def relays(w, server, **options):
	with Sink() as sink, server(w.folder, sink.port, **options) as peer:
		client = smtplib.SMTP("127.0.0.1", peer.port)
		client.ehlo("client.example")
		if "tls" in options:
			client.starttls(context=ssl.create_default_context(cafile=peers.certificates(w.path("tls"))["ca"]))
			client.ehlo()
		if "users" in options:
			client.login(*list(options["users"].items())[0])
		for i in range(3):
			client.sendmail("a@books.example", [f"r{i}@x.example"], b"Subject: hello\r\n\r\n.dot\r\n")
		assert sink.wait(3), peer.logs()
		assert sink.recipients() == {f"r{i}@x.example": 1 for i in range(3)}
		assert sink.messages[0].data.endswith(b"\r\n\r\n.dot\r\n")


def test_postfix_relays(w):
	c = peers.certificates(w.path("tls"))
	relays(w, peers.Postfix, tls=(c["cert"], c["key"]), users={"news": "s3cret"})


def test_exim_relays(w):
	c = peers.certificates(w.path("tls"))
	relays(w, peers.Exim, tls=(c["cert"], c["key"]))


def test_opensmtpd_relays(w):
	relays(w, peers.OpenSmtpd)


def test_rspamd_judges(w):
	with peers.Rspamd(w.folder, 0) as judge:
		assert "MISSING_MID" in judge.symbols(b"From: a@books.example\r\nSubject: hi\r\n\r\nbody\r\n")
