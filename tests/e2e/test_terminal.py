"""Somebody sits at a terminal."""
import os
import pty
import signal
import subprocess

from harness import PROGRAM, wait_until


def ask(w, *argv):
	"""Starts a command at a terminal; returns it, and the terminal's other end."""
	ours, theirs = pty.openpty()
	child = subprocess.Popen([PROGRAM, *w.note(argv)], cwd=w.folder, env=w.environment(), stdin=theirs, stdout=theirs, stderr=theirs)
	w.children.append(child)
	os.close(theirs)
	return child, ours


def test_a_question_can_be_interrupted(w):
	w.configure(25)
	w.audience(10)
	w.write("few.csv", "email\nr1@x.example\n")
	child, terminal = ask(w, "import", "news", "few.csv", "--sync")
	told = b""

	def asked():
		nonlocal told
		told += os.read(terminal, 1000)
		return b"Go on?" in told
	wait_until(asked)
	child.send_signal(signal.SIGINT)
	assert child.wait(20) == 75
	os.close(terminal)
	assert w.run("contacts", "--list", "news", "--count", "--json").json["selected"] == 10
