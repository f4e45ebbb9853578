"""What others say of a finished message: Python's email package under its strict policy, and GMime."""
import ctypes
import email
import email.policy


def python_email(data):
	"""Every complaint, as text."""
	try:
		message = email.message_from_bytes(data, policy=email.policy.strict)
	except Exception as e:
		return [f"email: {type(e).__name__}: {e}"]
	found = []
	for part in message.walk():
		found += [f"email: {type(d).__name__}: {d}" for d in part.defects]
		for name, value in part.items():
			found += [f"email: {name}: {type(d).__name__}: {d}" for d in getattr(value, "defects", ())]
		if part.get_content_maintype() == "text":
			try:
				part.get_content()
			except Exception as e:
				found.append(f"email: content of {part.get_content_type()}: {e}")
	return found


def text_of(data, subtype="html"):
	"""The decoded text part of that kind."""
	for part in email.message_from_bytes(data, policy=email.policy.default).walk():
		if part.get_content_type() == "text/" + subtype:
			return part.get_content()
	return ""


class GMime:
	"""GMime 3, called by ctypes; the parser tells each of its warnings. None where the library is not installed."""
	warning = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

	def __init__(self):
		self.lib = ctypes.CDLL("libgmime-3.0.so.0")
		for name in ("stream_mem_new_with_buffer", "parser_new_with_stream", "parser_options_new", "parser_construct_message",
				"message_get_mime_part", "message_get_message_id", "message_get_date"):
			getattr(self.lib, "g_mime_" + name).restype = ctypes.c_void_p
		self.lib.g_mime_init()

	def call(self, name, *args):
		return getattr(self.lib, "g_mime_" + name)(*[ctypes.c_void_p(a) if isinstance(a, int) else a for a in args])

	def complaints(self, data):
		found = []
		told = self.warning(lambda offset, code, item, _: found.append(f"gmime: warning {code} at {offset}: {item!r}"))
		options = self.call("parser_options_new")
		self.call("parser_options_set_warning_callback", options, told, None)
		parser = self.call("parser_new_with_stream", self.lib.g_mime_stream_mem_new_with_buffer(data, ctypes.c_size_t(len(data))))
		message = self.call("parser_construct_message", parser, options)
		if not message:
			return ["gmime: not a message"]
		for what in ("mime_part", "message_id", "date"):
			if not self.call("message_get_" + what, message):
				found.append(f"gmime: no {what}")
		return found


def gmime(data):
	"""Every complaint; None where the library is not installed."""
	if not hasattr(gmime, "referee"):
		try:
			gmime.referee = GMime()
		except OSError:
			gmime.referee = None
	return gmime.referee and gmime.referee.complaints(data)


def raw_lines(data):
	"""What no parser tells: bare CR or LF, lines too long, bytes over 127."""
	found = []
	if b"\n" in data.replace(b"\r\n", b"") or b"\r" in data.replace(b"\r\n", b""):
		found.append("a bare CR or LF")
	if any(len(line) > 998 for line in data.split(b"\r\n")):
		found.append("a line over 998 bytes")
	if any(byte > 127 for byte in data):
		found.append("a byte over 127")
	return found


def complaints(data):
	return raw_lines(data) + python_email(data) + (gmime(data) or [])
