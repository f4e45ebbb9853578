"""What cannot be read: the same mistake has the same exit status in every command."""
import os
import subprocess

import peers
from harness import PROGRAM

READ = {  # file: a command that reads it
	"postrider.conf": ["--config", "postrider.conf", "lists"],
	"postrider.key": ["preview", "june.html", "--list", "news"],
	"postrider.db": ["lists"],
	"june.html": ["preview", "june.html", "--list", "news"],
	"news.csv": ["import", "news", "news.csv", "--dry-run"],
	"a.eml": ["check", "--source", "a.eml"],
	"b.eml": ["receive", "--dry-run", "b.eml"],
	"c.html": ["render", "c.html"],
	"all.tar": ["restore", "all.tar", "there"],
	"data.json": ["preview", "june.html", "--sample", "data.json"],
}
NAMED = {"more.conf": ["lists"], "my.rules": ["receive", "--dry-run", "b.eml"], "dkim/pr1.key": ["dkim", "show", "books.example"]}


def as_nobody(w, argv):
	"""root may read everything."""
	argv = [PROGRAM, *argv] if os.geteuid() != 0 else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM, *argv]
	return subprocess.run(argv, cwd=w.folder, env=w.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_missing_and_unreadable(w):
	w.configure(25, top="rules = my.rules\ninclude = more.conf\n", extra="[dkim pr1]\ndomain = books.example\nkey = dkim/pr1.key\n")
	for name in ["my.rules", "more.conf", "a.eml", "b.eml", "c.html"]:
		w.write(name, "# none\n")
	w.write("data.json", "{}")
	w.write("other.conf", "")
	w.run("--config", "other.conf", "dkim", "keygen", "books.example")
	w.message()
	w.audience(2)
	w.run("backup", "all.tar")
	nobody = os.geteuid() == 0
	if nobody:
		for folder, _, files in os.walk(w.folder):
			for path in [folder, *(os.path.join(folder, f) for f in files)]:
				os.chown(path, 65534, 65534)
		if as_nobody(w, ["lists"]).returncode != 0:
			raise peers.Unavailable("another user cannot run the program where it lies")
	for files, statuses in (READ, (66, 74)), (NAMED, (78, 78)):
		for name, argv in files.items():
			path = w.path(name)
			mode = os.stat(path).st_mode & 0o777
			os.rename(path, path + ".away")
			gone = as_nobody(w, argv)
			os.rename(path + ".away", path)
			os.chmod(path, 0)
			unread = as_nobody(w, argv)
			os.chmod(path, mode)
			assert (gone.returncode, unread.returncode) == statuses, f"{name}:\n{gone.stderr}{unread.stderr}"
			assert "ermission denied" in unread.stderr and "backup" not in unread.stderr, unread.stderr
