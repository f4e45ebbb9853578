"""Returned mail by SMTP and LMTP: who is let in, what counts, and what an attacker gets: nothing."""
import contextlib
import os
import re
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import time

from dnsworld import Authority
from harness import PROGRAM, free_port, interrupt, wait_until
from smtpd import Sink
from test_brakes import complaint

REPORT = """From: MAILER-DAEMON@mx.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{id}@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=B

--B

It could not be delivered.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{address}>: User unknown

--B--
"""


class Ours:
	"""A campaign that was sent, and the daemon with its listener."""
	def __init__(self, w, count, extra=""):
		self.w, self.socket = w, w.path("lmtp")
		self.port = free_port()
		with Sink() as sink:
			w.configure(sink.port, extra=extra)
			conf = open(w.path("postrider.conf")).read().replace("[return-path]\n",
				f"[return-path]\nlisten = 127.0.0.1:{self.port}, lmtp:{self.socket}\npostmaster = post\n")
			w.write("postrider.conf", conf)
			w.message()
			self.addresses = w.audience(count)
			w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
			self.paths = {r: m.sender for m in sink.messages for r in m.recipients}
		self.start()

	def start(self):
		self.child = self.w.start("serve")
		wait_until(lambda: os.path.exists(self.socket))

	def client(self, **kw):
		return smtplib.SMTP("127.0.0.1", self.port, timeout=100, **kw)

	def report(self, address, id="1", to=None):
		return REPORT.format(to=to or self.paths[address], address=address, id=id).replace("\n", "\r\n")

	def bounced(self):
		return self.w.status("june")["counts"].get("bounced", 0)


def test_only_what_concerns_us(w):
	o = Ours(w, 5)
	a, b, c, d, e = o.addresses
	path = o.paths[a]
	with o.client() as s:
		s.ehlo()
		for nobody in ["news@bounces.books.example", "b-aaaa@bounces.books.example", path.replace("b-", "b-b", 1),
				path[:20] + ("a" if path[20] != "a" else "b") + path[21:], "root@localhost", "r1@x.example",
				"x" * 400 + "@bounces.books.example"]:
			s.mail("")
			assert s.rcpt(nobody)[0] in (500, 501, 550), nobody
			s.rset()
		assert s.docmd("VRFY", path)[0] in (252, 500, 502)
		s.mail("x@books.example")
		assert s.rcpt("someone@elsewhere.example")[0] == 550
	with o.client() as s: # by TLS, in capitals; then the same once more, and over the local socket
		s.starttls(context=ssl._create_unverified_context())
		s.sendmail("", [path.upper()], o.report(a))
		s.sendmail("", [path], o.report(a))
	with smtplib.LMTP(o.socket) as s:
		s.ehlo("host")
		assert s.sendmail("", [path], o.report(a)) == {}
		# two recipients of one message: an answer for each
		s.mail("")
		assert [s.rcpt(o.paths[x])[0] for x in (b, c)] == [250, 250]
		assert s.data(o.report(b, "2"))[0] == 250 and s.getreply()[0] == 250
	with o.client() as s:
		s.sendmail("x@y.example", ["postmaster@bounces.books.example", "Abuse@Bounces.Books.Example"], "Subject: hello\r\n\r\nyou\r\n")
	wait_until(lambda: o.bounced() >= 2)
	rows = w.deliveries("june")
	assert rows[a]["state"] == rows[b]["state"] == "bounced" and rows[d]["state"] == rows[e]["state"] == "sent"
	post = os.listdir(w.path("post/new"))
	assert len(post) == 2 and "Subject: hello\n" in open(w.path("post/new/" + post[0])).read()
	events = [l for l in w.run("--json", "bounces", "--campaign", "june").out.splitlines() if a in l]
	assert len(events) == 1, events
	interrupt(o.child)
	w.finish(o.child, (0, 75))


def test_smuggling_and_line_ends(w):
	o = Ours(w, 3)
	a, b, c = o.addresses
	for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r"]:
		with socket.create_connection(("127.0.0.1", o.port), 100) as k:
			f = k.makefile("rb")
			smuggled = f"MAIL FROM:<>\r\nRCPT TO:<{o.paths[b]}>\r\nDATA\r\n{o.report(b)}\r\n.\r\n"
			f.readline()
			for line in ["HELO x", "MAIL FROM:<>", f"RCPT TO:<{o.paths[a]}>", "DATA"]:
				k.sendall(line.encode() + b"\r\n")
				f.readline()
			k.sendall(("Subject: x\r\n\r\nhello" + end + smuggled + "\r\n.\r\n").encode())
			k.shutdown(socket.SHUT_WR)
			f.read()
	with o.client() as s:
		s.sendmail("", [o.paths[c]], o.report(c))  # what came before it is done when this is
	wait_until(lambda: o.bounced() > 0)
	assert {x: r["state"] for x, r in w.deliveries("june").items()} == {a: "sent", b: "sent", c: "bounced"}


def test_slow_and_many(w):
	o = Ours(w, 3)
	a, b, c = o.addresses
	before = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{o.child.pid}/status").read()).group(1))
	held = []
	for i in range(1000):
		k = socket.create_connection(("127.0.0.1", o.port), 100)
		try:
			k.sendall([b"EHLO a", b"EHLO a\r\nMAIL FROM:<>\r\n", b"\0" * 100][i % 3])
		except OSError:
			pass
		held.append(k)
	for i in range(30): # in the middle of a message, each with as much as is kept
		k = socket.create_connection(("127.0.0.1", o.port), 100)
		k.sendall(f"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<{o.paths[c]}>\r\nDATA\r\n".encode())
		held.append(k)
	start = time.monotonic()
	with o.client() as s:
		s.sendmail("", [o.paths[a]], o.report(a))
	with o.client() as s: # far longer than what is read of it
		s.sendmail("", [o.paths[b]], o.report(b, "3") + "x" * 70 + ("\r\n" + "y" * 70) * 60000)
	assert time.monotonic() - start < 60, "the others held them up"
	assert o.bounced() == 2
	after = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{o.child.pid}/status").read()).group(1))
	assert after - before < 80 << 10, f"{before} KiB before, {after} KiB after"
	for k in held:
		k.close()


def test_who_hangs_up_takes_no_memory(w):
	"""While nothing can be recorded, messages whose sender did not wait for the answer pile up: no more than are held in all."""
	o = Ours(w, 1)
	answer = None
	with contextlib.closing(sqlite3.connect(w.path("postrider.db"), isolation_level=None)) as db:
		db.execute("BEGIN IMMEDIATE")
		for i in range(400):
			with socket.create_connection(("127.0.0.1", o.port), 20) as k, k.makefile("rb") as f:
				k.sendall(b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<feedback@bounces.books.example>\r\nDATA\r\n")
				answer = [f.readline() for _ in range(5)][-1][:3]
				if answer != b"354":
					break
				k.sendall(b"Subject: x\r\n\r\n" + b"y" * (1 << 20) + b"\r\n.\r\n")
		db.execute("ROLLBACK")
	assert answer == b"452" and i > 60, (i, answer)

	def takes_again():
		with o.client() as s:
			try:
				return s.sendmail("", [o.paths[o.addresses[0]]], o.report(o.addresses[0])) == {}
			except smtplib.SMTPDataError:
				return False
	wait_until(takes_again)


def test_without_descriptors(w):
	"""Who cannot be let in costs neither the processor nor the log anything, and is let in later."""
	class Few(Ours):
		def start(self):
			w.write("postrider.conf", "workers = 1\n" + open(w.path("postrider.conf")).read())
			self.log = w.path("serve.log")
			self.child = subprocess.Popen(["prlimit", "--nofile=64:64", PROGRAM, "serve"], cwd=w.folder, env=w.environment(),
				stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.log, "wb"))
			w.children.append(self.child)
			wait_until(lambda: os.path.exists(self.socket) and w.status("june")["holder"])
			# All that it needs itself is open when it delivers: to a server that is gone.
			w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again", "--detach")
			wait_until(lambda: "refused" in (w.status("july")["limit"] or ""))
	o = Few(w, 1)
	held = [socket.create_connection(("127.0.0.1", o.port), 10) for _ in range(100)]
	told = "no more file descriptors"
	wait_until(lambda: open(o.log).read().count(told) > 1)
	assert open(o.log).read().count(told) < 10
	for k in held:
		k.close()
	with o.client() as s:
		s.sendmail("", [o.paths[o.addresses[0]]], o.report(o.addresses[0]))
	assert o.bounced() == 1


def test_a_certificate_and_a_feedback_address_of_ours(w):
	authority = Authority(w.path("ca"))
	certificate, key = authority.certificate("localhost")

	class Configured(Ours):
		def start(self):
			conf = open(w.path("postrider.conf")).read()
			w.write("postrider.conf", conf.replace("[return-path]\n",
				f"[return-path]\ncertificate = {certificate}\ncertificate-key = {key}\nfeedback = fbl@elsewhere.example\n"))
			super().start()
	o = Configured(w, 1, extra="[suppress]\ncomplaint = 0\n")
	with smtplib.SMTP("localhost", o.port, timeout=100) as s:
		s.starttls(context=ssl.create_default_context(cafile=authority.ca))
		s.ehlo()
		message_id = w.deliveries("june")[o.addresses[0]]["message_id"]
		s.mail("fbl@provider.example")
		refused = s.rcpt("feedback@bounces.books.example")
		assert refused[0] == 550, refused
		s.rset()
		s.sendmail("fbl@provider.example", ["fbl@elsewhere.example"], complaint("fbl@elsewhere.example", f"<{message_id}>").replace("\n", "\r\n"))
	wait_until(lambda: w.status("june")["complaints"] == 1)
	assert "is not suppressed" in w.run("suppressions", "why", o.addresses[0]).out
	interrupt(o.child)
	w.finish(o.child, (0, 75))


def test_a_taken_port(w):
	with socket.socket() as taken, Sink() as sink:
		taken.bind(("127.0.0.1", 0))
		taken.listen()
		w.configure(sink.port)
		conf = open(w.path("postrider.conf")).read()
		w.write("postrider.conf", conf.replace("[return-path]\n", f"[return-path]\nlisten = 127.0.0.1:{taken.getsockname()[1]}\n"))
		w.message()
		w.audience(3)
		child = w.start("serve")
		wait_until(lambda: "goes on without" in open(child.out + ".err").read())
		told = open(child.out + ".err").read()
		assert "transport_maps = inline:{ bounces.books.example=lmtp:" in told and "Exim" in told
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--detach")
		wait_until(lambda: len(sink.messages) == 3)
		interrupt(child)
		w.finish(child, (0, 75))
		# Who has it ends, as a daemon does that is started anew.
		child = w.start("serve")
		wait_until(lambda: "waits for who has that port" in open(child.out + ".err").read())
		taken.close()
		wait_until(lambda: "listener: takes returned mail on" in open(child.out + ".err").read())
		interrupt(child)
		w.finish(child, (0, 75))


def test_the_sandbox_sends_back(w):
	"""The circle closed on one machine: what the sandbox took and returns, in many forms, changes exactly whom it concerns."""
	port, back = free_port(), free_port()
	kinds = ["returned", "returned-full", "complaint", "away", "good"]
	w.configure(port)
	conf = open(w.path("postrider.conf")).read()
	w.write("postrider.conf", conf.replace("[return-path]\n", f"[return-path]\nlisten = 127.0.0.1:{back}\n") + "complaints = 100%\n")
	w.message()
	addresses = [f"r{i}-{kinds[i % 5]}@mail.example" for i in range(100)]
	w.write("all.csv", "email\n" + "".join(a + "\n" for a in addresses))
	w.run("import", "news", "all.csv")
	sandbox = w.start("sandbox", "--port", port, "--return-to", f"127.0.0.1:{back}")
	serve = w.start("serve")
	wait_until(lambda: "listens" in open(sandbox.out).read())
	w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
	wait_until(lambda: w.status("june")["counts"].get("bounced", 0) == 40 and w.status("june")["complaints"] == 20)
	wait_until(lambda: open(serve.out + ".err").read().count("listener: autoreply") == 20)
	rows = w.deliveries("june")
	assert {a for a, r in rows.items() if r["state"] == "bounced"} == {a for a in addresses if "returned" in a}
	out = {line.split(",")[0] for line in w.run("suppressions", "export").out.replace("\ufeff", "").splitlines()[1:]}
	assert out == {a for a in addresses if a.endswith(("-returned@mail.example", "-complaint@mail.example"))}, out
	interrupt(sandbox)
	assert " 80" in w.finish(sandbox).out
	interrupt(serve)
	w.finish(serve, (0, 75))
