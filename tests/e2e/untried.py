"""What `postrider help` offers and no end-to-end test has used: commands, subcommands, and options of each."""
import glob
import json
import os
import re
import subprocess

import harness

EVERYWHERE = {"--config", "--json", "--quiet", "--verbose", "--color", "--help"}


def help_of(*words):
	return subprocess.run([harness.PROGRAM, "help", *words], capture_output=True, text=True, check=True).stdout


def offered():
	"""{("suppressions", "add"): {"--list": "--list", "-o": "--output", …}}, also without a subcommand."""
	out = {}
	for name in re.findall(r"^  ([a-z]+) +\S", help_of(), re.M):
		own = None
		for line in help_of(name).splitlines():
			head = re.match(r"(?:Usage: )?postrider ([a-z]+)(?: ([a-z]+)\b)?", line)
			option = re.match(r" +(?:(-\w), )?(--[a-z-]+)", line)
			if head:
				own = out.setdefault((name, head[2] or ""), {})
			elif option and own is not None and option[2] not in EVERYWHERE:
				own.update({option[2]: option[2], option[1]: option[2]})
	return out


def used(folder):
	"""{(command, subcommand): options}, of all tests whose worlds are below the folder; (): those of every command."""
	all_of, commands = {(): set()}, offered()
	for path in glob.glob(os.path.join(folder, "**", "argv.jsonl"), recursive=True):
		for argv in map(json.loads, open(path)):
			words = [a for i, a in enumerate(argv) if not a.startswith("-") and (i == 0 or argv[i - 1] not in ("--config", "--color"))]
			key = next((k for k in (tuple((words + ["", ""])[:2]), ((words + [""])[0], "")) if k in commands), None)
			options = {a.split("=")[0] for a in argv if a.startswith("-")}
			all_of[()] |= options
			if key:
				all_of.setdefault(key, set()).update(commands[key].get(o) for o in options)
	return all_of


def untried(folder):
	tried = used(folder)
	missing = [" ".join(("every command", o)) for o in sorted(EVERYWHERE - tried[()])
		if {"--quiet": "-q", "--verbose": "-v", "--help": "-h"}.get(o) not in tried[()]]
	for key, options in offered().items():
		name = " ".join(key).strip()
		if key not in tried:
			missing.append(name)
		else:
			missing += [f"{name} {o}" for o in sorted(set(options.values()) - tried[key])]
	return missing
