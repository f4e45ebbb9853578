"""Several messages under way on one connection: whatever is refused or lost among them, each outcome is exactly true."""
import distance
import peers
from sink import RecordingSink
from smtpd import Sink


def campaign(w, port, count, **route):
	w.configure(port, extra="[retry]\ndelays = 1s\nexpire = 1h\n", **route)
	addresses = w.audience(count)
	w.run("-q", "send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "30s")
	return addresses


def some_refused(w, server):
	"""A real server refuses every tenth recipient, in the middle of what is under way."""
	with Sink() as sink, server(sink) as peer:
		addresses = campaign(w, peer.port, 200, connections=2, tls="none")
		wanted = {a for a in addresses if not a.startswith("r") or not a.split("@")[0].endswith("7")}
		assert sink.wait(len(wanted)), peer.logs()
		states = w.audit("june", sink, addresses)
		assert states == {"sent": len(wanted), "bounced": len(addresses) - len(wanted)}, states
		assert set(sink.recipients()) == wanted
		assert w.status("june")["doubted"] == 0


def test_postfix_refuses_some(w):
	refused = " ".join(f"{{r{i}@x.example = REJECT 5.1.1 no such user}}" for i in range(7, 200, 10))
	main = {"smtpd_recipient_restrictions": f"check_recipient_access inline:{{{refused}}}, permit_mynetworks, reject"}
	some_refused(w, lambda sink: peers.Postfix(w.folder, sink.port, main=main))


def test_exim_refuses_some(w):
	some_refused(w, lambda sink: peers.Exim(w.folder, sink.port, deny="message = 5.1.1 User unknown\n    local_parts = ^r.*7\\$"))


def test_far_away(w):
	"""Over 100 ms, to a server that refuses some, and hangs up behind messages that it took."""
	if not distance.permitted():
		raise peers.Unavailable("TUN devices and network namespaces need root here")
	options = ("--chunking", "--reject", "10", "--drop-end", "2", "--seed", "3")
	with RecordingSink(w.folder, *options, way=distance.FarAway(100)) as sink:
		addresses = campaign(w, sink.port, 300, host=sink.address, tls="none", connections=4, ahead=8)
		took, rows = sink.settle(), w.deliveries("june")
	assert set(rows) == set(addresses)
	for address, row in rows.items():
		taken = len(took.get(address, ()))
		assert row["state"] in ("sent", "bounced", "doubt"), row
		assert taken >= 1 if row["state"] == "sent" else taken == 0 or row["state"] == "doubt", row
		assert taken <= 1 or row["doubted"] == "yes", row
		assert len(set(took.get(address, ()))) <= 1, "a repeat has another Message-ID"
	lost = [r for r in rows.values() if r["doubted"] == "yes"]
	assert lost, "nothing was lost: this tests nothing"
	assert len(lost) <= 8 * sink.stop()["dropped"], "more in doubt than can have been under way"
