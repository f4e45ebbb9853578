"""Receivers whose limits nobody told us: what is taken, and how often they had to refuse."""
import concurrent.futures
import os
import time

import harness
from campaigns import fresh
from names import Names
from receivers import Receiver

RATES = [50, 20, 80, 10, 40]
SETTLED = 120  # seconds after a change, until it is to be found


def world(folder, receiver, relay, connections):
	"""A campaign without an end to that receiver; returns what is to be closed."""
	os.makedirs(folder)
	w, names = harness.World(folder), Names(folder, {"big": "127.0.0.1"})
	names.__enter__()
	extra = "[retry]\ndelays = 30s\n"
	if relay:
		w.configure(receiver.port, connections=connections, extra=extra)
	else:
		w.configure(receiver.port, kind="direct", host=None, resolver=f"127.0.0.1@{names.port}", private_addresses="allow",
			helo="out.books.example", connections=connections, extra="[domain books.example]\n" + extra)
	return w, names


def run(folder, relay, code, seconds, delay):
	phases = [(n, seconds) for n in RATES]
	need = int(sum(n * s for n, s in phases) * 1.1)
	with Receiver(rates=phases, code=code, delay=delay) as receiver:
		w, names = world(folder, receiver, relay, 50)
		with w:
			w.audience(need, address="r{0}@d0.big.example")
			child = w.start("-q", "send", w.message(), "--list", "news", "--yes", "--patience", "forever")
			harness.wait_until(lambda: receiver.began, 60)
			time.sleep(len(phases) * seconds)
			child.terminate()
			child.wait(30)
		names.__exit__()
	found = []
	for i, (n, s) in enumerate(phases):
		taken, refused = receiver.between(i * s + SETTLED, (i + 1) * s)
		found.append((n, taken / (n * (s - SETTLED)), refused / max(taken + refused, 1)))
	return found, len(receiver.throttled) / max(len(receiver.throttled) + len(receiver.accepted), 1)


KINDS = (("receiver, 451", False, 451, 0), ("receiver, 421", False, 421, 0), ("receiver, 421, 100 ms a message", False, 421, 0.1),
	("relay, 421, 100 ms a message", True, 421, 0.1))


def shape(b):
	"""A quarter of an hour: receivers whose rate changes, and that nobody told us."""
	seconds = b.count(180, 150)
	b.title = f"Receivers whose rate changes every {seconds} s, nobody told"
	lines = [f"| who refuses above N/s | {' | '.join(f'{n}/s' for n in RATES)} | refused in all |", "|---|" + "---|" * (len(RATES) + 1)]
	shares, folder = [], fresh("shaping")
	# Side by side: they wait nearly all the time.
	with concurrent.futures.ThreadPoolExecutor(len(KINDS)) as pool:
		runs = [pool.submit(run, os.path.join(folder, str(i)), relay, code, seconds, delay) for i, (_, relay, code, delay) in enumerate(KINDS)]
	for (name, *_), r in zip(KINDS, runs):
		found, refused = r.result()
		shares += [share for _, share, _ in found]
		lines.append(f"| {name} | " + " | ".join(f"{share * 100:.0f} %, {part * 100:.2f} %" for _, share, part in found) +
			f" | {refused * 100:.2f} % |")
	b.target("shaping", min(shares))
	b.texts.append("\n".join(lines))
	b.note(f"Of N accepted, of the attempts refused, from {SETTLED} s after each change on (85 to 100 %, at most 2 %).")


BENCHES = {"shaping": shape}
