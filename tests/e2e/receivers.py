"""A receiver with limits of its own: so many messages a second (changing over time), so many connections, messages a connection."""
import asyncio
import time

from smtpd import Close, Sink


class Receiver(Sink):
	rates = []  # (messages a second, for so many seconds), counted by the second; then the last one
	code = 451  # or 421, which closes the connection
	text = "4.7.1 Rate limit exceeded, slow down"
	most = None  # connections at once
	per_connection = None  # messages; the next MAIL is answered by closing, without a word
	delay = 0.0  # before the answer to a message

	def __init__(self, **more):
		super().__init__(**{k: more.pop(k) for k in list(more) if k in ("tls", "port", "users")})
		self.__dict__.update(more)
		self.began, self.second, self.count = None, None, 0
		self.accepted, self.throttled, self.turned_away = [], [], []

	def rate_now(self, now):
		at = now - self.began
		for rate, seconds in self.rates:
			if at < seconds:
				return rate
			at -= seconds
		return self.rates[-1][0]

	def takes(self):
		now = time.monotonic()
		if not self.rates:
			return True
		self.began = self.began or now
		if int(now - self.began) != self.second:
			self.second, self.count = int(now - self.began), 0
		if self.count >= self.rate_now(now):
			return False
		self.count += 1
		return True

	async def greeting(self, s):
		if self.most is not None and self.open_now > self.most:
			self.turned_away.append(time.monotonic())
			await s.send("421 4.7.0 Too many connections from your host")
			return await self.close(s)
		return await super().greeting(s)

	async def close(self, s):
		raise Close

	async def mail(self, s, arg):
		if self.per_connection is not None and s.messages >= self.per_connection:
			return await self.close(s)
		if not self.takes():
			self.throttled.append(time.monotonic())
			if self.code != 421:
				return f"{self.code} {self.text}"
			await s.send(f"421 {self.text}")
			return await self.close(s)
		return await super().mail(s, arg)

	async def end(self, s, data):
		if self.delay:
			await asyncio.sleep(self.delay)
		self.accepted.append(time.monotonic())
		return await super().end(s, data)

	def between(self, start, end):
		"""(accepted, refused) in those seconds since the first message."""
		return tuple(sum(start <= t - self.began < end for t in times) for times in (self.accepted, self.throttled))


def check_rate(sink, times, rate, spare=2):
	"""No more than that many a second, in any second and in any three."""
	for span in 1, 3:
		most = most_within(times, span)
		assert most <= rate * (span + sink.late) + spare, f"{most} within {span} s, of {rate}/s; seen {sink.late:.3f} s late"


def most_within(times, span):
	"""The most that fall into any window of that many seconds."""
	times, most, first = sorted(times), 0, 0
	for last, t in enumerate(times):
		while t - times[first] >= span:
			first += 1
		most = max(most, last - first + 1)
	return most
