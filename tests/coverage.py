#!/usr/bin/env python3
"""What the tests run, from the counters in build-cov: a table by folder, and in build-cov/uncovered.txt every file with the lines
that nothing ran. Fails where engine/, lists/ or templates/ are below 90 % of their lines.
usage: tests/coverage.py [--reset]"""
import glob
import json
import os
import subprocess
import sys

BUILD, LEAST, JUDGED = "build-cov", 90.0, ("engine", "lists", "templates")


def share(covered, total):
	return f"{100 * covered / total:5.1f} %" if total else "    –  "


def spans(numbers):
	"""1,2,3,7 as "1-3,7"."""
	out = []
	for n in numbers:
		if out and n == out[-1][1] + 1:
			out[-1][1] = n
		else:
			out.append([n, n])
	return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in out)


def main():
	if "--reset" in sys.argv:
		for name in glob.glob(BUILD + "/**/*.gcda", recursive=True):
			os.remove(name)
		return 0
	data = json.loads(subprocess.run(["gcovr", "--root", ".", "--object-directory", BUILD, "--filter", "(engine|lists|templates|src)/", "--exclude-unreachable-branches",
		"--exclude-lines-by-pattern", r".*\babort\(\);.*", "--gcov-ignore-parse-errors", "--json"], check=True, capture_output=True, text=True).stdout)
	folders, files = {}, []
	for f in data["files"]:
		lines = [x for x in f["lines"] if not x.get("gcovr/noncode")]
		branches = [b for x in lines for b in x["branches"]]
		missed = sorted({x["line_number"] for x in lines if x["count"] == 0})
		counts = [len(lines) - len(missed), len(lines), sum(b["count"] > 0 for b in branches), len(branches)]
		files.append((f["file"], counts, missed))
		parts = f["file"].split("/")
		for folder in {parts[0], "/".join(parts[:-1])}:
			folders[folder] = [a + b for a, b in zip(folders.get(folder, [0] * 4), counts)]
	print(f"{'folder':20} {'lines':>8} {'branches':>9}   of lines")
	for folder, (a, b, c, d) in sorted(folders.items()):
		print(f"{folder:20} {share(a, b):>8} {share(c, d):>9}   {b}")
	print("\nbelow 90 % of their lines:")
	for name, (a, b, c, d), missed in sorted(files, key=lambda x: x[1][0] - x[1][1]):
		if b and 100 * a / b < LEAST:
			print(f"  {name:40} {share(a, b)}  {b - a} not run")
	with open(BUILD + "/uncovered.txt", "w") as out:
		for name, (a, b, c, d), missed in sorted(files):
			out.write(f"{name} {share(a, b).strip()} of {b} lines, {share(c, d).strip()} of {d} branches: {spans(missed)}\n")
	short = [f for f in JUDGED if 100 * folders[f][0] / folders[f][1] < LEAST]
	print(f"coverage: {len(JUDGED) - len(short)} passed, {len(short)} failed" + (f" ({', '.join(short)})" if short else ""))
	return 1 if short else 0


if __name__ == "__main__":
	sys.exit(main())
