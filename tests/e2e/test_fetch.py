"""Returned mail from mailboxes: a real Dovecot by IMAP and POP3, where only what is ours is moved or deleted."""
import json
import os

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
