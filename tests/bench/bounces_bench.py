"""Reading returned mail, one core: build/tools/read_bounces beside Sisimai (Perl, Debian's) on the same messages."""
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import harness
import measure
from measure import ratios

sys.path.insert(0, os.path.join(harness.TOP, "tests"))
import bounces  # noqa: E402

SISIMAI = r"""
use Sisimai; use Time::HiRes 'time'; my @f = <STDIN>; chomp @f; my $t = time;
for(1..$ARGV[0]) { Sisimai->make($_, 'delivered' => 1) for @f } print time - $t, "\n";
"""


def sample():
	"""The messages in the folder of $BOUNCES, or our own where there is none."""
	for at in (os.environ.get("BOUNCES") or os.path.join(harness.TOP, "..", "shared", "data", "bounces"), os.path.join(harness.TOP, "tests", "bounces")):
		files = sorted(glob.glob(os.path.join(at, "messages", "*.eml")))
		if files:
			return at, files
	raise FileNotFoundError(at)


def ours(files, rounds):
	start = time.monotonic()
	child = subprocess.Popen([*measure.PEAK, os.path.join(harness.BUILD, "tools", "read_bounces"), "--quiet", "--repeat", str(rounds), *files],
		stdout=subprocess.PIPE)
	out = child.stdout.read()
	status = child.wait()
	if status != 0:
		raise RuntimeError(f"read_bounces: exit {status}")
	return json.loads(out)["cpu_seconds"], measure.peak(), time.monotonic() - start


def sisimai(files, rounds):
	roots = [bounces.fetch(p) for p in ("libsisimai-perl", "libclass-accessor-lite-perl", "libjson-perl")]
	if None in roots:
		return None
	before = resource.getrusage(resource.RUSAGE_CHILDREN)
	run = subprocess.run([*measure.PEAK, "perl", *(f"-I{r}/usr/share/perl5" for r in roots), "-e", SISIMAI, str(rounds)], input="\n".join(files) + "\n",
		capture_output=True, text=True)
	if run.returncode != 0:
		return None
	after = resource.getrusage(resource.RUSAGE_CHILDREN)
	return float(run.stdout), measure.peak(), after.ru_utime - before.ru_utime


def reading(b):
	"""Reading returned mail, one core, beside Sisimai."""
	at, files = sample()
	b.title = "Reading returned mail, one core"
	mine, theirs = b.add("postrider"), b.add("Sisimai (Perl, Debian)")
	mean = sum(os.path.getsize(f) for f in files) / len(files)

	def us():
		seconds, rss, _ = ours(files, 20)
		mine.add(20 * len(files), seconds, seconds, rss)

	def them():
		run = sisimai(files, 2)
		if run is None:
			b.without("Sisimai", "it cannot be fetched, or Perl is not there")
		else:
			theirs.add(2 * len(files), run[0], run[2], run[1])
	b.rounds(3, 1, us, them)
	b.note(f"{len(files)} messages of {mean / 1000:.1f} KB on average from {os.path.relpath(at, harness.TOP)}, all read into memory before."
		+ (f" {statistics.median(ratios(mine, theirs)):.0f} times as many a second." if theirs.samples else ""))


BENCHES = {"bounces": reading}
