"""Hundreds of lying servers in one campaign, each a site of its own: whatever they do, each recipient ends in one state that
agrees with what the server took, nobody is mailed twice without a doubt, and all is over in time."""
import time

from harness import MESSAGE, wait_until
from liars import LASTING, Together, liars
from nameserver import Nameserver

# What is no answer, and what is none that lasts, is tried again at once; not in five minutes.
RULES = "* * - * * -> soft site protocol-error retry delay=2s\n* * 4xx * * -> soft site site-busy retry delay=2s\n"
PEOPLE = 2  # of each site


def fault_of(person):
	"""flow, step, fault"""
	return tuple((person.split("@d.")[1][:-len(".example")].split("-", 2) + ["", ""])[:3])


def passes(person):
	"""The fault is over with the first connection, and nobody has asked for a pause: the mail arrives in the end."""
	flow, step, fault = fault_of(person)
	if flow == "tls":
		return step in ("refuses", "500", "clear", "closes")  # the others never let go of the connection
	if step in ("greeting", "ehlo") and fault in ("twice", "250-behind", "354-behind", "354-250"):
		return False  # such a reply is given ten minutes
	return fault not in LASTING and fault not in ("450", "451", "452", "550-behind")


def test_every_step_and_fault(w):
	made = liars()
	assert len(made) > 500
	people = [f"p{i}@d.{name}.example" for name, _ in made for i in range(PEOPLE)]
	with Together(made) as servers, Nameserver(servers.records) as dns:
		w.write("soon.rules", RULES)
		w.configure(servers.port, kind="direct", host=None, resolver=f"127.0.0.1@{dns.port}", private_addresses="allow",
			helo="out.books.example", chunking="yes", timeout="3s", top="rules = soon.rules\n",
			extra="[domain books.example]\n[retry]\ndelays = 1s\nexpire = 1h\n[provider default]\nconnections = 1\n")
		w.write("news.csv", "email\n" + "".join(f"{p}\n" for p in people))
		w.run("import", "news", "news.csv")
		child = w.start("send", w.message(MESSAGE), "--list", "news", "--name", "june", "--yes", "--patience", "400s")
		passing = [p for p in people if passes(p)]
		wait_until(lambda: len(set(passing) - set(servers.recipients())) == 0 or child.poll() is not None, 400, every=0.5)
		time.sleep(1)
		w.run("cancel", "june", expect=(0, 76)) # what a refusal leaves waiting
		w.finish(child, expect=(0, 75, 76))
		w.audit("june", servers, people)
		rows = w.deliveries("june")
	wrong = []
	for p in people:
		flow, step, fault = fault_of(p)
		state = rows[p]["state"]
		fits = state == "sent" if passes(p) else True
		if fault in LASTING and step in ("rcpt", "end"):
			fits = state in ("bounced", "blocked", "cancelled")
		if state in ("bounced", "blocked", "expired") and fault not in LASTING and fault != "550-behind":
			fits = False
		if not fits:
			wrong.append((p, state, rows[p]["reply"]))
	assert not wrong, wrong[:20]
