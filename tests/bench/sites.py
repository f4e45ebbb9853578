"""Direct delivery to very many sites, of which some cannot be reached, are slow or hold connections: does it hurt the others?"""
import csv
import os
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
import harness  # noqa: E402
from campaigns import fresh  # noqa: E402
from measure import check, ratios  # noqa: E402
from names import Names  # noqa: E402
from sink import FastSink, RecordingSink  # noqa: E402

# One site in twenty each.
BAD = {"dead": "127.0.0.2", "hole": "127.0.0.4", "tar": "127.0.0.3", "slow": "127.0.0.5", "fail": "fail", "late": "late"}


class Hole:
	"""A port at which connections are never made: its queue is full."""

	def __init__(self, address, port):
		self.listener = socket.socket()
		self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		self.listener.bind((address, port))
		self.listener.listen(0)
		self.filling = []
		for _ in range(8):
			s = socket.socket()
			s.setblocking(False)
			s.connect_ex((address, port))
			self.filling.append(s)

	def __enter__(self):
		time.sleep(0.2)
		return self

	def __exit__(self, *exc):
		for s in [self.listener, *self.filling]:
			s.close()


def people(path, good, bad, each):
	"""Sites of all kinds side by side. Returns how many people are at healthy ones."""
	with open(path, "w", newline="") as f:
		rows = csv.writer(f)
		rows.writerow(["email", "first_name", "city"])
		kinds = list(BAD)
		for i in range(max(good, bad)):
			for n in range(each):
				if i < good:
					rows.writerow([f"p{n}@d{i}.good.example", "Aiko", "Kyoto"])
				if i < bad:
					rows.writerow([f"p{n}@d{i}.{kinds[i % len(kinds)]}.example", "Aiko", "Kyoto"])
	return good * each


def sub(folder, name):
	os.makedirs(os.path.join(folder, name))
	return os.path.join(folder, name)


class Run:
	"""One campaign; `healthy`: seconds until the last of the healthy mail was taken."""

	def __init__(self, folder, good, bad, each, limit=600, **route):
		with RecordingSink(folder, "--threads", "1") as sink, FastSink(sub(folder, "tar"), "--address", BAD["tar"], "--port", str(sink.port),
			"--delay", os.environ.get("TAR", "60000")) as _, FastSink(sub(folder, "slow"), "--address", BAD["slow"], "--port", str(sink.port), "--delay", "5000") as _, \
			Hole(BAD["hole"], sink.port), Names(folder, {"good": "127.0.0.1", **BAD}) as names, harness.World(folder) as w:
			w.configure(sink.port, kind="direct", host=None, resolver=f"127.0.0.1@{names.port}", private_addresses="allow",
				helo="out.books.example", extra="[domain books.example]\n", **route)
			want = people(w.path("news.csv"), good, bad, each)
			w.run("import", "news", "news.csv")
			start = time.monotonic()
			child = w.start("-q", "send", w.message(), "--list", "news", "--yes", "--patience", "0")
			while sink.count() < want and time.monotonic() - start < limit and child.poll() is None:
				self.look(child.pid)
				if os.environ.get("TRACE"):
					print(f"{time.monotonic() - start:.1f} s: {sink.count()} taken, cpu {self.cpu:.1f}, {self.descriptors} descriptors")
				time.sleep(0.1)
			self.took, self.healthy, self.want = sink.count(), time.monotonic() - start, want
			if os.environ.get("TO_THE_END"):
				print(f"ended with {child.wait(limit)} after {time.monotonic() - start:.1f} s")
			self.counts = w.status("june")["counts"]
			child.terminate()
			self.status = child.wait(60)

	def look(self, pid):
		try:
			with open(f"/proc/{pid}/stat") as f:
				fields = f.read().rsplit(")", 1)[1].split()
			with open(f"/proc/{pid}/status") as f:
				self.rss = next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM"))
			self.cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
			self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))
		except (OSError, StopIteration):
			pass  # it is over


def bad_sites(b):
	"""Direct delivery to many sites, alone and beside bad ones: does healthy mail suffer?"""
	good, bad, each = b.count((1400, 600, 20), (280, 120, 20))
	b.title = f"Direct delivery to {good * each:,} people at {good:,} sites, alone and beside {bad:,} bad sites"
	alone, beside = b.add("healthy sites alone"), b.add("beside bad ones")

	def go(series, number):
		folder = fresh("sites")
		r = Run(folder, good, number, each)
		check(r.took == r.want, f"{r.took} of {r.want} healthy messages arrived")
		series.add(r.took, r.healthy, r.cpu, r.rss)
	b.rounds(3, 1, lambda: go(alone, 0), lambda: go(beside, bad))
	b.target("sites", ratios(beside, alone, "seconds"))
	b.note("Bad: dead, never answering, stuck, slow, unknown to DNS, late in DNS. CPU is of all the mail, the rate of healthy mail until the last of it "
		"was taken.")


BENCHES = {"sites": bad_sites}

if __name__ == "__main__":
	folder = os.path.join(harness.BUILD, "bench", "sites")
	for bad in (0, int(sys.argv[2])):
		subprocess.run(["rm", "-rf", folder])
		os.makedirs(folder)
		r = Run(folder, int(sys.argv[1]), bad, int(sys.argv[3]), limit=float(sys.argv[4]) if len(sys.argv) > 4 else 300)
		print(f"{bad} bad: healthy {r.took}/{r.want} after {r.healthy:.1f} s, cpu {r.cpu:.1f}, {r.rss:.0f} MiB, {r.descriptors} descriptors, {r.counts}, exit {r.status}")
