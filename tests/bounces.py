#!/usr/bin/env python3
"""Reads sets of returned mail and compares what is found with what is expected, beside Sisimai on the same messages.

usage: tests/bounces.py READER [DIR…]      READER: build/tools/read_bounces
A DIR holds expected.tsv (file, kind, class, category, recipients, status, reason …) and messages/. Recipients: "a|b" is
either, "a b" is both; "?" and a class with "?" are not scored. Debian's python3-flufl.bounce (115 messages) and
libsisimai-perl are fetched into build/peers/bounces. --failures prints what is wrong, message by message."""
import ast
import glob
import json
import os
import subprocess
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PEERS = os.path.join(TOP, "build", "peers", "bounces")
BOUNCES = ("bounce", "delayed")


def fetch(package):
	"""A Debian package unpacked, nothing of the system touched; None where it cannot be had."""
	root = os.path.join(PEERS, package)
	if os.path.isdir(os.path.join(root, "usr")):
		return root
	os.makedirs(root, exist_ok=True)
	run = subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "-q", "download", package], cwd=root, capture_output=True, text=True)
	debs = glob.glob(os.path.join(root, "*.deb"))
	if run.returncode != 0 or not debs:
		return None
	subprocess.run(["dpkg", "-x", debs[0], root], check=True)
	os.remove(debs[0])
	return root


# ---- readers: {file: {"kind", "failures": [{"address", "class"}]}} ----

def read_ours(reader, files):
	out = {}
	for i in range(0, len(files), 500):
		run = subprocess.run([reader, *files[i:i + 500]], stdout=subprocess.PIPE, check=True)
		for line in run.stdout.decode("utf-8", "replace").split("\n")[:-1]:
			found = json.loads(line)
			out[found["file"]] = found
	return out


SISIMAI = r"""
use Sisimai; binmode STDOUT, ':raw';
while(my $f = <STDIN>) { chomp $f; my $v = eval { Sisimai->make($f, 'delivered' => 1) }; my @r;
for my $e (@{ $v || [] }) { push @r, join("\t", $e->recipient->address, $e->reason, $e->softbounce, $e->action || '') }
print join("\x1e", $f, @r), "\n"; }
"""


def read_sisimai(files):
	roots = [fetch(p) for p in ("libsisimai-perl", "libclass-accessor-lite-perl", "libjson-perl")]
	if None in roots or not files:
		return None
	run = subprocess.run(["perl", *(f"-I{r}/usr/share/perl5" for r in roots), "-e", SISIMAI], input="\n".join(files).encode() + b"\n",
		stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
	if run.returncode != 0:
		return None
	out = {}
	for line in run.stdout.decode("utf-8", "replace").split("\n")[:-1]:
		name, *found = line.split("\x1e")
		failures, kinds = [], set()
		for one in found:
			address, reason, soft, _ = one.split("\t")
			kinds.add({"feedback": "complaint", "vacation": "autoreply", "delivered": "delivered"}.get(reason, "bounce"))
			failures.append({"address": address, "class": "hard" if soft == "0" else "soft"})
		out[name] = {"kind": kinds.pop() if len(kinds) == 1 else "bounce" if kinds else "none", "failures": failures}
	return out


# ---- scores ----

class Score:
	def __init__(self):
		self.n, self.right, self.wrong = {}, {}, []

	def count(self, what, right, text=""):
		self.n[what] = self.n.get(what, 0) + 1
		self.right[what] = self.right.get(what, 0) + (1 if right else 0)
		if not right:
			self.wrong.append(f"{what}: {text}")

	def share(self, what):
		return 100.0 * self.right.get(what, 0) / self.n[what] if self.n.get(what) else None

	def cell(self, what):
		share = self.share(what)
		return "-" if share is None else f"{share:.1f} % ({self.right[what]}/{self.n[what]})"


def wanted_groups(recipients):
	return [set(group.lower().split("|")) for group in recipients.split(" ")]


def judge(score, name, row, found):
	kind, wanted_class, recipients = row[1], row[2], row[4]
	failures = found.get("failures", [])
	named = {f["address"].lower() for f in failures}
	classes = {"hard" if f["class"] == "hard" else "soft" for f in failures}
	text = f"{name}: wanted {kind} {wanted_class} {recipients} ({row[6]}), found {found.get('kind')} " + \
		" ".join(f"{f['address']}={f['class']}/{f.get('reason', '')}" for f in failures)
	if kind in BOUNCES:
		score.count("seen", found.get("kind") in BOUNCES, text)
		if recipients not in ("?", "-"):
			groups = wanted_groups(recipients)
			all_named = all(g & named for g in groups)
			score.count("recipients", all_named, text)
			score.count("exact", all_named and not named - set().union(*groups), text)
	if kind == "bounce" and wanted_class in ("hard", "soft", "mixed"):
		score.count("class", classes == ({"hard", "soft"} if wanted_class == "mixed" else {wanted_class}), text)
		if wanted_class == "soft":
			score.count("soft kept soft", "hard" not in classes, text)
		if wanted_class == "hard":
			score.count("hard found", classes == {"hard"}, text)
	if kind in ("complaint", "optout"):
		score.count("complaints", found.get("kind") in ("complaint", "optout"), text)
	if kind not in BOUNCES:
		score.count("no false bounce", found.get("kind") not in BOUNCES, text)


def table(rows, columns):
	widths = [max(len(r[i]) for r in [columns] + rows) for i in range(len(columns))]
	for r in [columns] + rows:
		print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())


COLUMNS = ["seen", "recipients", "exact", "class", "soft kept soft", "hard found", "complaints", "no false bounce"]


def run_set(folder, reader, verbose):
	with open(os.path.join(folder, "expected.tsv"), encoding="utf-8") as f:
		rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
	files = {os.path.join(folder, "messages", r[0]): r for r in rows}
	missing = [f for f in files if not os.path.exists(f)]
	if missing:
		print(f"bounces: {folder}: {len(missing)} messages are missing, as {missing[0]}", file=sys.stderr)
		return False
	scores, printed = {}, []
	for name, found in (("postrider", read_ours(reader, list(files))), ("Sisimai", read_sisimai(list(files)))):
		if found is None:
			print("bounces: Sisimai cannot be fetched here: measured without it", file=sys.stderr)
			continue
		scores[name] = Score()
		for f, row in files.items():
			judge(scores[name], row[0], row, found.get(f, {"kind": "none"}))
		printed.append([name] + [scores[name].cell(c) for c in COLUMNS])
	print(f"{folder}: {len(files)} messages")
	table(printed, ["reader"] + COLUMNS)
	ours = scores["postrider"]
	if verbose:
		print("\n".join(sorted(set(ours.wrong))))
	limits = {"recipients": 99, "class": 98, "soft kept soft": 100, "complaints": 100, "no false bounce": 100}
	failed = [f"{what} {ours.cell(what)} is below {least} %" for what, least in limits.items()
		if ours.share(what) is not None and ours.share(what) < least]
	for line in failed:
		print("FAIL " + line)
	return not failed


def run_flufl(reader, verbose):
	root = fetch("python3-flufl.bounce")
	if root is None:
		print("bounces: python3-flufl.bounce cannot be fetched here: its messages are left out", file=sys.stderr)
		return True
	package = os.path.join(root, "usr/lib/python3/dist-packages/flufl/bounce")
	cases = flufl_cases(package)
	data = os.path.join(package, "tests/data")
	found = read_ours(reader, [os.path.join(data, f) for f in cases])
	score = Score()
	for name, (wanted, temporary) in cases.items():
		got = found.get(os.path.join(data, name), {"kind": "none", "failures": []})
		named = {f["address"].lower() for f in got["failures"]}
		text = f"{name}: wanted {sorted(wanted)}{' (delayed)' if temporary else ''}, found {got['kind']} {sorted(named)}"
		if wanted:
			score.count("recipients", wanted <= named, text)
			score.count("exact", wanted == named, text)
	print(f"flufl.bounce: {len(cases)} messages: recipients {score.cell('recipients')}, exact {score.cell('exact')}")
	if verbose:
		print("\n".join(sorted(set(score.wrong))))
	if score.share("recipients") < 98:
		print("FAIL recipients below 98 %")
		return False
	return True


def flufl_cases(package):
	"""{file: (addresses, temporary)} from the table in the package's own tests; several rows of a file are one."""
	with open(os.path.join(package, "testing/helpers.py"), encoding="utf-8") as f:
		tree = ast.parse(f.read())
	table_of = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "DATA"][0]
	cases = {f: (set(), False) for f in sorted(os.listdir(os.path.join(package, "tests/data"))) if f.endswith(".txt")}
	for _, name, addresses, *temporary in ast.literal_eval(table_of):
		cases[name] = (cases[name][0] | {a.decode().lower() for a in addresses}, bool(temporary))
	return cases


def main(args):
	verbose = "--failures" in args
	args = [a for a in args if a != "--failures"]
	if not args:
		print(__doc__)
		return 64
	reader, folders = args[0], args[1:]
	ok = True
	for folder in folders:
		if not os.path.exists(os.path.join(folder, "expected.tsv")):
			print(f"bounces: no set at {folder}: name one with BOUNCES=DIR (expected.tsv and messages/)", file=sys.stderr)
			ok = False
			continue
		ok = run_set(folder, reader, verbose) and ok
	return 0 if run_flufl(reader, verbose) and ok else 1


if __name__ == "__main__":
	sys.exit(main(sys.argv[1:]))
