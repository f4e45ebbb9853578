"""A whole small campaign under valgrind: nothing read that was not written, nothing lost."""
import os
import shutil
import subprocess

import harness
import peers
from smtpd import Sink

VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "--num-callers=30", "--trace-children=no"]


def test_import_send_and_report(w):
	if shutil.which("valgrind") is None:
		raise peers.Unavailable("valgrind is not installed")
	if os.path.basename(harness.BUILD) != "build":
		raise peers.Unavailable("a build with a sanitizer finds the same by itself")
	with Sink() as sink:
		sink.extensions = Sink.extensions + ["CHUNKING"]
		w.configure(sink.port, connections=2, extra="[log]\ndeliveries = deliveries.log\n")
		w.message()
		w.audience(1)
		w.write("more.csv", "email,first_name,city\n" + "".join(f"v{i}@x.example,Ann {i},Kyoto\n" for i in range(30)) + "no address\n")

		def run(*argv):
			done = subprocess.run([*VALGRIND, harness.PROGRAM, *argv], cwd=w.folder, env=w.environment(), capture_output=True, text=True, timeout=300,
				stdin=subprocess.DEVNULL)
			assert done.returncode == 0 and "==" not in done.stderr, (argv, done.returncode, done.stdout[-1000:], done.stderr[-6000:])
		run("import", "news", "more.csv", "--max-rejects", "5%")
		run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		run("report", "june", "--format", "html", "-o", "june-report.html")
		run("--json", "report", "june")
		run("trace", "v1@x.example")
		assert len(sink.messages) == 31
