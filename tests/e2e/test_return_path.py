"""The circle closed: what a real mail server returns comes back by its pipe, and every delivery and suppression is right."""
import json
import os
import re
import socket

import peers
from harness import PROGRAM, free_port, wait_until
from smtpd import Sink

LETTER = """From: Kyoto Books <news@books.example>
Subject: The June list is here

<p>Forty new titles.</p>
<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
"""


class Receivers(Sink):
	"""Says of each recipient what its name says."""
	async def rcpt(self, s, address):
		if "unknown" in address:
			return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
		if "full" in address:
			return f"552 5.2.2 <{address}>: mailbox full"
		if "policy" in address:
			return "554 5.7.1 Message rejected due to local policy: 192.0.2.1 is blocked"
		return "250 2.1.5 ok"


def state_of(address):
	return "bounced" if "unknown" in address or "full" in address else "blocked" if "policy" in address else "sent"


def suppressed(w):
	return {line.split(",")[0] for line in w.run("suppressions", "export").out.replace("\ufeff", "").splitlines()[1:] if line}


def recorded(w, campaign):
	counts = w.status(campaign)["counts"]
	return counts.get("bounced", 0) + counts.get("blocked", 0)


def circle(w, peer, addresses, serve=None):
	"""A campaign through the peer: whoever the receivers refuse comes back, and every state and suppression is right."""
	w.message(LETTER)
	w.write("all.csv", "email\n" + "".join(a + "\n" for a in addresses))
	w.run("import", "news", "all.csv")
	for name in [".", *(n for n in os.listdir(w.folder) if n.startswith("postrider"))]:
		os.chown(w.path(name), peers.USERS["vmail"], -1)  # as whom the mail server hands over
	if serve:
		w.start("serve")
		wait_until(lambda: listens(serve))
	w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
	expected = sum(state_of(a) != "sent" for a in addresses)
	try:
		wait_until(lambda: recorded(w, "june") == expected)
	except AssertionError:
		print(w.run("bounces", "--nobodys").out, peer.logs())
		raise
	rows = w.deliveries("june")
	assert {a: r["state"] for a, r in rows.items()} == {a: state_of(a) for a in addresses}
	unknown = {a for a in addresses if "unknown" in a}
	assert suppressed(w) == unknown
	assert all(r["reason"] == "user-unknown" for a, r in rows.items() if a in unknown)
	assert sum(w.status("june")["counts"].values()) == len(addresses)
	return unknown, expected


def listens(port):
	try:
		socket.create_connection(("127.0.0.1", port), 1).close()
		return True
	except OSError:
		return False


def people(n):
	return [f"r{i}{kind}@{'gmail.com' if i % 3 == 0 else 'x.example'}" for i in range(n)
		for kind in ([["unknown", "full", "policy"][i % 3]] if i % 5 == 0 else [""])]


def receive(w):
	return f"{peers.program_of_host(PROGRAM)} --config /srv/host{w.path('postrider.conf')} receive"


def test_postfix_returns_by_its_pipe(w):
	pipe = f"postrider unix - n n - 4 pipe user=vmail null_sender= argv={receive(w)} --recipient ${{recipient}}"
	with Receivers() as sink, peers.Postfix(w.folder, sink.port, host=True, services=[pipe],
			main={"relay_domains": "$mydestination bounces.books.example", "transport_maps": "inline:{ bounces.books.example=postrider: }",
				"postrider_destination_recipient_limit": "1", "default_destination_concurrency_limit": "20"}) as peer:
		w.configure(peer.port, connections=4)
		unknown, expected = circle(w, peer, people(60))
		again_and_forged(w, unknown, expected)


def test_exim_returns_by_its_pipe(w):
	router = "back:\n  driver = accept\n  domains = bounces.books.example\n  transport = postrider\n"
	transport = f"postrider:\n  driver = pipe\n  command = {receive(w)}\n  user = vmail\n  group = vmail\n  log_output\n"
	with Receivers() as sink, peers.Exim(w.folder, sink.port, host=True, routers=router, transports=transport) as peer:
		w.configure(peer.port, connections=2)
		circle(w, peer, people(30))


def test_opensmtpd_returns_to_the_listener(w):
	port = free_port()
	rules = f'action back relay host "smtp://127.0.0.1:{port}"\nmatch from any for domain bounces.books.example action back\n'
	with Receivers() as sink, peers.OpenSmtpd(w.folder, sink.port, rules=rules) as peer:
		w.configure(peer.port, connections=2)
		conf = open(w.path("postrider.conf")).read()
		w.write("postrider.conf", conf.replace("[return-path]\n", f"[return-path]\nlisten = 127.0.0.1:{port}\n"))
		circle(w, peer, people(30), serve=port)


def test_sendmail_returns_to_the_listener(w):
	port = free_port()
	with Receivers() as sink, peers.Sendmail(w.folder, sink.port, back=port) as peer:
		w.configure(peer.port, connections=2)
		conf = open(w.path("postrider.conf")).read()
		w.write("postrider.conf", conf.replace("[return-path]\n", f"[return-path]\nlisten = 127.0.0.1:{port}\n"))
		circle(w, peer, people(30), serve=port)


def again_and_forged(w, unknown, expected):
	"""A returned message is kept as it came: given again it counts once, tampered with it is nobody's."""
	bounces = [b for b in map(json.loads, w.run("--json", "bounces").out.splitlines()) if b["source"] == "receive"]
	assert len(bounces) == expected
	one = next(b for b in bounces if b["class"] == "soft")
	shown = w.run("--json", "bounces", "--explain", one["id"]).json
	message = shown["message"]
	assert "mailbox full" in w.run("bounces", "--explain", one["id"]).out
	w.write("again.eml", message)
	token = re.search(r"b-[a-z2-7]{34}@bounces\.books\.example", message).group(0)
	seen = w.run("--json", "receive", "--recipient", token, "again.eml").json
	assert seen["events"][0]["duplicate"], seen
	# The same report about somebody else: without their token, with one letter of it changed, with
	# that of a delivery that came back before.
	victim = next(a for a in w.deliveries("june") if state_of(a) == "sent")
	bad = token[:10] + ("a" if token[10] != "a" else "b") + token[11:]
	forged = message.replace(one["address"], victim).replace("5.2.2", "5.1.1").replace("mailbox full", "User unknown")
	for i, to in enumerate(["news@books.example", bad, token, token.replace("b-", "u-"), victim]):
		w.write(f"forged{i}.eml", forged.replace(token, to).replace("Message-Id: <", f"Message-Id: <{i}"))
		seen = w.run("--json", "receive", "--recipient", to, f"forged{i}.eml").json
		assert seen["kind"] == "bounce" and not seen["events"][0]["lowered"], seen
	assert suppressed(w) == unknown
	assert w.deliveries("june")[victim]["state"] == "sent"


def test_mailbox_files(w):
	with Sink() as sink:
		w.configure(sink.port, extra="[suppress]\nsoft = 1\nsoft-days = 0\n")
		w.message(LETTER)
		addresses = w.audience(6)
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		paths = {m.recipients[0]: m.sender for m in sink.messages}
		stop = {m.recipients[0]: m.header("List-Unsubscribe") for m in sink.messages}
	def report(address, text):
		return (f"From: MAILER-DAEMON@mx.example\nTo: {paths[address]}\nDelivered-To: {paths[address]}\n"
			"Subject: failure notice\n\nHi. This is the qmail-send program at mx.example.\n"
			f"I'm afraid I wasn't able to deliver your message to the following addresses.\n\n<{address}>:\n{text}\n\n"
			"--- Below this line is a copy of the message.\n\n"
			f"Return-Path: <{paths[address]}>\nSubject: The June list is here\n\nForty new titles.\n")
	unknown = "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.1."
	full = "192.0.2.1 does not like recipient.\nRemote host said: 452 4.2.2 Mailbox full\nGiving up on 192.0.2.1."
	for folder in ("new", "cur", "tmp"):
		os.makedirs(w.path("Maildir/" + folder))
	w.write("Maildir/new/1.a", report(addresses[0], unknown))
	w.write("Maildir/new/2.b", "From: someone@x.example\nSubject: hello\n\nHow are you?\n")
	w.run("receive", "--dry-run", "Maildir")
	assert len(os.listdir(w.path("Maildir/new"))) == 2 and suppressed(w) == set()
	w.run("receive", "Maildir")
	assert sorted(os.listdir(w.path("Maildir/cur"))) == ["1.a:2,S", "2.b:2,S"] and not os.listdir(w.path("Maildir/new"))
	assert suppressed(w) == {addresses[0]}
	# An mbox, with the same message once more and a line that was marked.
	box = "".join(f"From MAILER-DAEMON Sun Nov 22 09:00:0{i} 2026\n{m}\n" for i, m in enumerate(
		[report(addresses[0], unknown), report(addresses[1], full).replace("Forty", ">From Forty")]))
	w.write("box", box)
	out = w.run("receive", "box").out
	assert "had it before" in out and suppressed(w) == set(addresses[:2])
	assert "From Forty" in w.run("bounces", "--explain", 2).out
	# Unsubscribing by mail, from standard input as a pipe gives it; twice is once.
	to = re.search(r"mailto:([^?>]+)", stop[addresses[2]]).group(1)
	for _ in range(2):
		w.run("receive", "--recipient", to, stdin=b"From: r2@x.example\nSubject: unsubscribe\n\n\n")
	assert suppressed(w) == set(addresses[:3])
	status = w.status("june")
	assert status["unsubscribed"] == 1 and status["counts"]["bounced"] == 2
	# What a mailing service reports counts when somebody answers for it: as events, and as a list.
	event = {"notificationType": "Bounce", "mail": {"messageId": "0100", "timestamp": "2026-11-22T09:00:00.000Z"}, "bounce": {
		"bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2026-11-22T09:00:01.000Z", "bouncedRecipients": [
			{"emailAddress": addresses[3], "action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]}}
	w.write("event.json", json.dumps(event))
	assert w.run("--json", "receive", "event.json").json["events"][0]["trust"] == ""
	assert w.run("--json", "receive", "--vouched", stdin=json.dumps(event).encode()).json["events"][0]["lowered"]
	w.write("errors.csv", f"email,reason,code\n{addresses[4]},550 5.1.1 User unknown,550\nnobody@x.example,550 5.1.1 User unknown,550\n")
	w.run("receive", "--vouched", "errors.csv")
	assert suppressed(w) == set(addresses[:5]) and w.status("june")["counts"]["bounced"] == 4
	# What cannot be recorded is for the mail server to keep.
	os.rename(w.path("postrider.db"), w.path("away.db"))
	w.run("receive", stdin=b"From: a@x.example\n\nhello\n", expect=75)
	os.rename(w.path("away.db"), w.path("postrider.db"))
	w.run("prune")
	# By the same rules all of it is what it was, whatever form it came in.
	assert w.run("reclassify", "--apply").out.startswith("0 of ")
	assert suppressed(w) == set(addresses[:5]) and w.status("june")["counts"]["bounced"] == 4
	rows = [json.loads(line) for line in w.run("--json", "bounces", "--nobodys").out.splitlines()]
	assert {r["source"] for r in rows} >= {"ses", "csv"}
	for row in rows:
		if row["source"] in ("ses", "csv"):
			assert "Read as    bounce" in w.run("bounces", "--explain", str(row["id"])).out
	w.write("typo.csv", "email\na@gmial.com\n")
	w.run("import", "more", "typo.csv")
	found = [json.loads(line) for line in w.run("--json", "hygiene", "--at-least", "1").out.splitlines()]
	assert {(f["what"], f.get("address") or f.get("meant")) for f in found} == {("typo", "gmail.com")}
