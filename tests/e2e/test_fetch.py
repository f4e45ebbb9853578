"""Returned mail from mailboxes: a real Dovecot by IMAP and POP3, where only what is ours is moved or deleted."""
import base64
import json
import os
import socket
import threading

import peers
from harness import interrupt, wait_until
from smtpd import Sink
from test_listener import REPORT
from test_return_path import Receivers, state_of, suppressed

PRIVATE = "From: ann@x.example\r\nTo: news@books.example\r\nSubject: a question\r\nMessage-ID: <q{0}@x.example>\r\n\r\nWhen do you open?\r\n"


def mailbox(w, name, url, after, more=""):
	w.write("pw", "secret\n")
	os.chmod(w.path("pw"), 0o600)
	conf = open(w.path("postrider.conf")).read()
	w.write("postrider.conf", conf + f"[mailbox {name}]\nurl = {url}\nuser = bounces\npassword-file = pw\nafter = {after}\n{more}")


class Sent:
	"""A campaign whose return paths lead to a mailbox."""
	def __init__(self, w, count):
		self.w = w
		with Sink() as sink:
			w.configure(sink.port)
			w.message()
			self.addresses = w.audience(count)
			w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
			self.paths = {r: m.sender for m in sink.messages for r in m.recipients}

	def fill(self, peer, some, first=0):
		for i, address in enumerate(some):
			peer.deliver("bounces", f"{first + i}.b", f"Delivered-To: {self.paths[address]}\r\n" +
				REPORT.format(to=self.paths[address], address=address, id=f"f{first + i}").replace("\n", "\r\n"))
			peer.deliver("bounces", f"{first + i}.p", PRIVATE.format(first + i))

	def bounced(self):
		return self.w.status("june")["counts"].get("bounced", 0)


def flags(names):
	return [n.partition(":2,")[2] for n in names]


def test_imap_moves_what_is_ours(w):
	o = Sent(w, 12)
	with peers.Dovecot(w.folder, 0, users={"bounces": "secret"}) as peer:
		mailbox(w, "old", f"imap://127.0.0.1:{peer.port}", "move Read Bounces")
		o.fill(peer, o.addresses[:5])
		dry = w.run("--json", "fetch", "--dry-run")
		assert len(dry.out.splitlines()) == 10 and o.bounced() == 0 and len(peer.messages("bounces")) == 10
		assert all("S" not in f for f in flags(peer.messages("bounces")))
		w.run("fetch")
		assert o.bounced() == 5
		left = peer.messages("bounces")
		assert len(left) == 5 and all(n.split(":")[0].split(".")[1].startswith("p") for n in left), left
		assert all("S" not in f for f in flags(left)), f"other people's mail was marked as read: {left}"
		assert len(peer.messages("bounces", "Read Bounces")) == 5
		again = w.run("fetch")
		assert "0 messages read" in again.out and len(peer.messages("bounces")) == 5
		o.fill(peer, o.addresses[5:8], 100)
		child = w.start("serve")
		wait_until(lambda: o.bounced() == 8)
		interrupt(child)
		w.finish(child, (0, 75))
		assert len(peer.messages("bounces")) == 8 and len(peer.messages("bounces", "Read Bounces")) == 8


def coded(name):
	"""As IMAP writes it: modified UTF-7."""
	return "&" + base64.b64encode(name.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"


def test_imap_folders_in_japanese(w):
	o = Sent(w, 4)
	with peers.Dovecot(w.folder, 0, users={"bounces": "secret"}) as peer:
		mailbox(w, "old", f"imap://127.0.0.1:{peer.port}", "move 処理済み & 𠮷野")
		o.fill(peer, o.addresses)
		w.run("fetch")
		assert o.bounced() == 4 and len(peer.messages("bounces")) == 4
		mailbox(w, "raw", f"imap://127.0.0.1:{peer.port}/処理済み%20&%20𠮷野", "keep")
		mailbox(w, "escaped", f"imap://127.0.0.1:{peer.port}/{coded('処理済み')}%20&-%20{coded('𠮷野')}", "keep")
		for name in ["raw", "escaped"]:
			assert "4 messages read, 4 of ours" in w.run("fetch", name).out
		mailbox(w, "none", f"imap://127.0.0.1:{peer.port}/どこにもない", "keep")
		assert "doesn't exist" in w.run("fetch", "none", expect=65).err


def test_imap_deletes_and_keeps(w):
	o = Sent(w, 6)
	with peers.Dovecot(w.folder, 0, users={"bounces": "secret"}) as peer:
		mailbox(w, "old", f"imap://127.0.0.1:{peer.port}/INBOX", "delete")
		o.fill(peer, o.addresses[:3])
		assert "user-unknown" in w.run("fetch", "--dry-run", "--explain", "old").out
		w.run("fetch", "old")
		assert o.bounced() == 3 and len(peer.messages("bounces")) == 3
		w.run("fetch", "new", expect=66)
		mailbox(w, "kept", f"imap://127.0.0.1:{peer.port}", "keep")
		o.fill(peer, o.addresses[3:], 50)
		assert "9 messages read, 3 of ours" in w.run("fetch", "kept").out
		assert o.bounced() == 6 and len(peer.messages("bounces")) == 9
		assert "0 messages read" in w.run("fetch", "kept").out


def test_pop3(w):
	o = Sent(w, 6)
	with peers.Dovecot(w.folder, 0, users={"bounces": "secret"}) as peer:
		mailbox(w, "old", f"pop3://127.0.0.1:{peer.pop3_port}", "delete")
		o.fill(peer, o.addresses[:3])
		w.run("fetch", "--dry-run")
		assert o.bounced() == 0 and len(peer.messages("bounces")) == 6
		w.run("fetch")
		assert o.bounced() == 3 and len(peer.messages("bounces")) == 3
		assert "0 messages read" in w.run("fetch").out
		o.fill(peer, o.addresses[3:], 50)
		assert "6 messages read, 3 of ours" in w.run("fetch").out


def test_logins_and_tls(w):
	o = Sent(w, 2)
	cert = w.path("cert.pem"), w.path("key.pem")
	peers.subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", cert[1], "-out", cert[0], "-days", "2",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
	with peers.Dovecot(w.folder, 0, users={"bounces": "secret"}, tls=cert) as peer:
		o.fill(peer, o.addresses)
		mailbox(w, "unknown", f"imap://localhost:{peer.port}", "delete")
		mailbox(w, "good", f"imap://localhost:{peer.port}", "delete", more=f"ca-file = {cert[0]}\n")
		mailbox(w, "wrong", f"pop3://localhost:{peer.pop3_port}", "delete", more=f"ca-file = {cert[0]}\n")
		untrusted = json.loads(w.run("--json", "fetch", "unknown", expect=69).out)
		assert "certificate" in untrusted["error"]["why"].lower(), untrusted
		assert o.bounced() == 0
		w.run("fetch", "good")
		assert o.bounced() == 2
		w.write("pw", "nonsense\n")
		refused = w.run("fetch", "wrong", expect=77)
		assert "nonsense" not in refused.out + refused.err and "app password" in refused.err


def from_postfix(w, protocol):
	"""What a real Postfix returns lies in a real mailbox, among other mail: every state and suppression is right."""
	with Receivers() as sink, peers.Dovecot(w.folder, 0, users={"bounces": "secret"}) as boxes, peers.Postfix(w.folder, sink.port,
			host=True, services=["virtual unix - n n - - virtual"], main={"virtual_mailbox_domains": "bounces.books.example",
			"virtual_mailbox_maps": "static:bounces/", "virtual_mailbox_base": f"/srv/host{boxes.srv}/mail",
			"virtual_uid_maps": f"static:{peers.USERS['vmail']}", "virtual_gid_maps": f"static:{peers.USERS['vmail']}",
			"virtual_minimum_uid": "1", "default_destination_concurrency_limit": "20"}) as peer:
		w.configure(peer.port, connections=4)
		w.message()
		kinds = ["unknown", "full", "policy", "good", "good"]
		addresses = [f"r{i}{kinds[i % 5]}@x{i % 3}.example" for i in range(60)]
		w.write("all.csv", "email\n" + "".join(a + "\n" for a in addresses))
		w.run("import", "news", "all.csv")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(boxes.messages("bounces")) == 36)
		for i in range(5):
			boxes.deliver("bounces", f"p{i}", PRIVATE.format(i))
		mailbox(w, "old", f"{protocol}://127.0.0.1:{boxes.port if protocol == 'imap' else boxes.pop3_port}",
			"delete")
		assert "41 messages read, 36 of ours" in w.run("fetch").out
		assert len(boxes.messages("bounces")) == 5
		rows = w.deliveries("june")
		assert {a: r["state"] for a, r in rows.items()} == {a: state_of(a) for a in addresses}
		assert suppressed(w) == {a for a in addresses if "unknown" in a}


def test_postfix_returns_into_a_mailbox_by_imap(w):
	from_postfix(w, "imap")


def test_postfix_returns_into_a_mailbox_by_pop3(w):
	from_postfix(w, "pop3")


class Pop3:
	"""A mailbox by POP3 that misbehaves: `refused` messages are not handed out, a session is cut at message `cut_at` (once), and
	where it is `silent` nobody gets an answer to the login. Deletes what is marked at QUIT."""
	def __init__(self, messages, refused=(), cut_at=None, silent=False, uid="uid-{}"):
		self.messages, self.refused, self.cut_at, self.silent, self.uid = dict(enumerate(messages)), set(refused), cut_at, silent, uid
		self.logins = 0
		self.socket = socket.create_server(("127.0.0.1", 0))
		self.port = self.socket.getsockname()[1]
		threading.Thread(target=self.accept, daemon=True).start()

	def accept(self):
		while True:
			threading.Thread(target=self.session, args=(self.socket.accept()[0],), daemon=True).start()

	def session(self, k):
		k.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		uids, marked = sorted(self.messages), set()
		with k, k.makefile("rb") as lines:
			k.sendall(b"+OK\r\n")
			for line in lines:
				verb, _, what = line.decode().strip().partition(" ")
				uid = uids[int(what) - 1] if what.isdigit() else None
				answer = "+OK"
				if verb == "CAPA":
					answer = "+OK\r\nUSER\r\nUIDL\r\n."
				elif verb == "USER":
					self.logins += 1
					if self.silent:
						continue
				elif verb == "UIDL":
					answer = "\r\n".join(["+OK", *(f"{i + 1} {self.uid.format(u)}" for i, u in enumerate(uids)), "."])
				elif verb == "RETR" and uid == self.cut_at:
					self.cut_at = None
					return
				elif verb == "RETR":
					answer = "-ERR it is damaged" if uid in self.refused else "+OK\r\n" + self.messages[uid] + "\r\n."
				elif verb == "DELE":
					marked.add(uid)
				k.sendall(answer.encode() + b"\r\n")
				if verb == "QUIT":
					for uid in marked:
						self.messages.pop(uid, None)
					return


def returned(o, addresses):
	return [f"Delivered-To: {o.paths[a]}\r\n" + REPORT.format(to=o.paths[a], address=a, id=a).replace("\n", "\r\n") for a in addresses]


def test_pop3_passes_by_what_the_server_refuses(w):
	o = Sent(w, 5)
	peer = Pop3(returned(o, o.addresses), refused=[1, 3])
	mailbox(w, "old", f"pop3://127.0.0.1:{peer.port}", "delete")
	told = w.run("fetch", expect=65)
	assert "does not hand out message 2 and others" in told.err, told
	assert o.bounced() == 3 and sorted(peer.messages) == [1, 3]
	peer.refused.clear()
	w.run("fetch")
	assert o.bounced() == 5 and not peer.messages


def test_pop3_deletes_after_a_session_that_broke(w):
	o = Sent(w, 4)
	peer = Pop3(returned(o, o.addresses), cut_at=2)
	mailbox(w, "old", f"pop3://127.0.0.1:{peer.port}", "delete")
	w.run("fetch", expect=69)
	assert o.bounced() == 2 and len(peer.messages) == 4
	w.run("fetch")
	assert o.bounced() == 4 and not peer.messages, sorted(peer.messages)


def test_pop3_with_a_long_list(w):
	o = Sent(w, 3)
	peer = Pop3([PRIVATE.format(i) for i in range(30)] + returned(o, o.addresses), uid="u" * 50000 + "{:02}")
	mailbox(w, "old", f"pop3://127.0.0.1:{peer.port}", "keep")
	assert "33 messages read, 3 of ours" in w.run("fetch").out
	assert "0 messages read" in w.run("fetch").out


def test_serve_stops_while_a_mailbox_is_silent(w):
	o = Sent(w, 1)
	peer = Pop3(returned(o, o.addresses), silent=True)
	mailbox(w, "old", f"pop3://127.0.0.1:{peer.port}", "delete")
	child = w.serve()
	wait_until(lambda: peer.logins > 0)
	interrupt(child)
	w.finish(child, timeout=15)
