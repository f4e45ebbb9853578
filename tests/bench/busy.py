"""`busy`: an import while a campaign runs: the longest silence at the server, and how soon a pause is obeyed."""
import time

import harness
from campaigns import csv_file, fresh
from smtpd import Sink


def busy(b):
	"""A long import while a campaign runs at 200/s."""
	rows = b.count(1000000, 200000)
	first, second = csv_file(rows), csv_file(rows, rows)
	b.title = f"An import of {rows:,} rows while a campaign runs at 200/s"
	with Sink() as sink, harness.World(fresh("busy")) as w:
		w.configure(sink.port, connections=8, rate="200/s")
		w.audience(50000)
		w.message()
		w.start("-q", "send", "june.html", "--list", "news", "--name", "june", "--yes")
		sink.wait(200)
		start = time.monotonic()
		w.run("-q", "import", "other", first, timeout=1800)
		end = time.monotonic()
		child = w.start("-q", "import", "third", second)
		time.sleep(b.count(2, 0.2))
		asked = time.monotonic()
		w.run("pause", "june")
		answered = time.monotonic()
		time.sleep(1.5)
		last = sink.messages[-1].time
		child.kill()
	times = [m.time for m in sink.messages if start <= m.time <= end]
	gap = max((y - x for x, y in zip(times, times[1:])), default=end - start)
	b.target("busy-gap", gap)
	b.target("busy-pause", max(0, last - asked))
	b.texts.append("\n".join(["| what | seconds |", "|---|---|", f"| the import | {end - start:.1f} |",
		f"| longest gap between two messages | {gap:.3f} |",
		f"| `pause` answered | {answered - asked:.2f} |", f"| last message after `pause` began | {max(0, last - asked):.2f} |"]))
	b.note(f"{len(times):,} messages in that time, {len(times) / max(end - start, 1e-3):.0f}/s.")


BENCHES = {"busy": busy}
