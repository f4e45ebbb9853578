#!/usr/bin/env python3
"""Runs a Liquid conformance suite in golden-liquid's JSON format through `postrider render --batch`.
usage: tests/conformance.py POSTRIDER SUITE.json"""
import json
import subprocess
import sys


def verdict(test, answer):
	"""None when right, else what was wanted."""
	if test.get("invalid"):
		return None if "error" in answer else "an error"
	wanted = test.get("results", [test.get("result")])
	return None if answer.get("result") in wanted else " or ".join(map(repr, wanted))


def main(program, suite):
	try:
		with open(suite, encoding="utf-8") as f:
			tests = json.load(f)["tests"]
	except FileNotFoundError:
		print(f"conformance: no suite at {suite}: name one with SUITE=FILE (golden-liquid's golden_liquid.json)", file=sys.stderr)
		return 66
	lines = "".join(json.dumps({"template": t["template"], "data": t.get("data") or {}, "templates": t.get("templates") or {},
		"mode": "strict2" if "strict2" in t.get("tags", []) else None}) + "\n" for t in tests)
	run = subprocess.run([program, "render", "--plain", "--batch"], input=lines.encode(), stdout=subprocess.PIPE)
	answers = [json.loads(line) for line in run.stdout.decode("utf-8", "replace").splitlines()]
	if len(answers) != len(tests):
		print(f"conformance: {len(tests)} templates, {len(answers)} answers, exit {run.returncode}", file=sys.stderr)
	failed = max(0, len(tests) - len(answers))
	for test, answer in zip(tests, answers):
		wanted = verdict(test, answer)
		if wanted is not None:
			failed += 1
			print(f"{test['name']}\n  template {test['template']!r}\n  wanted   {wanted}\n  got      {answer}", file=sys.stderr)
	print(f"conformance: {len(tests) - failed} passed, {failed} failed")
	return 1 if failed else 0


if __name__ == "__main__":
	sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 3 else print(__doc__) or 64)
