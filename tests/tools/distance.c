/* distance: runs a command in a network namespace of its own that is some way off. Not every kernel has
 * netem; this is a wire of two TUN devices with a wait between them.
 *
 *   distance --rtt MS --near ADDRESS --far ADDRESS COMMAND...
 *
 * COMMAND sees its own loopback and a device with the address --far; from here it is reached by that address
 * alone, through a device with the address --near. A packet needs MS/2 milliseconds either way. Needs root.
 * Ends with the command, or at SIGTERM and SIGINT, and ends the command then. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As with a network card, large segments are cut (and put together) on the far side of the devices: what is
 * read and written are up to 64 KB with their virtio header, so that the wire costs little. */
enum { PACKET = sizeof(struct virtio_net_hdr) + 65536, MTU = 1500 };
enum { QUEUE = 1 << 14, BYTES = 32 << 20 }; /* packets and bytes on the way in one direction */

struct packet {
	int64_t due; /* monotonic ns */
	size_t at, n;
};

struct way {
	int from, to;
	struct packet *ring;
	size_t first, n;
	char *bytes; /* those of the packets, in order; what does not fit at the end begins at 0 */
	unsigned long dropped;
};

static volatile sig_atomic_t ending;

static void on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "distance: %s: %s\n", what, strerror(errno));
	exit(74);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- Devices ---- */

static void set_flags(int s, struct ifreq *r, short flags)
{
	if (ioctl(s, SIOCGIFFLAGS, r) < 0)
		die("SIOCGIFFLAGS");
	r->ifr_flags = (short)(r->ifr_flags | flags);
	if (ioctl(s, SIOCSIFFLAGS, r) < 0)
		die("SIOCSIFFLAGS");
}

static void set_address(int s, struct ifreq *r, unsigned long request, const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1) {
		fprintf(stderr, "distance: %s is no IPv4 address\n", address);
		exit(64);
	}
	memcpy(&r->ifr_addr, &a, sizeof a);
	if (ioctl(s, request, r) < 0)
		die("address");
}

/* A device in the namespace we are in: `own` is its address, `peer` what is reached through it. */
static int device(const char *own, const char *peer)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || s < 0 || ioctl(fd, TUNSETIFF, &r) < 0 ||
		ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
		die("/dev/net/tun");
	set_address(s, &r, SIOCSIFADDR, own);
	set_address(s, &r, SIOCSIFDSTADDR, peer);
	r.ifr_mtu = MTU;
	if (ioctl(s, SIOCSIFMTU, &r) < 0)
		die("MTU");
	r.ifr_qlen = QUEUE;
	if (ioctl(s, SIOCSIFTXQLEN, &r) < 0)
		die("queue");
	set_flags(s, &r, IFF_UP | IFF_RUNNING);
	close(s);
	return fd;
}

static void loopback_up(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_flags(s, &r, IFF_UP);
	close(s);
}

/* ---- The wire ---- */

/* Where the next packet lies; NULL: the wire is full. */
static char *room(struct way *w, size_t *at)
{
	if (w->n == QUEUE)
		return NULL;
	*at = 0;
	if (w->n != 0) {
		const struct packet *last = &w->ring[(w->first + w->n - 1) % QUEUE];
		size_t used = w->ring[w->first].at, end = last->at + last->n;
		bool wrapped = last->at < used;
		*at = !wrapped && end + PACKET > BYTES ? 0 : end;
		if ((wrapped || *at == 0) && *at + PACKET > used)
			return NULL;
	}
	return w->bytes + *at;
}

static void take(struct way *w, int64_t wait)
{
	int64_t due = now_ns() + wait;
	char lost[PACKET];
	for (;;) {
		size_t at;
		char *p = room(w, &at);
		ssize_t n = read(w->from, p != NULL ? p : lost, PACKET);
		if (n <= 0)
			return;
		if (p == NULL) {
			w->dropped++;
			continue;
		}
		w->ring[(w->first + w->n++) % QUEUE] = (struct packet){due, at, (size_t)n};
	}
}

static void give(struct way *w, int64_t now)
{
	for (; w->n != 0 && w->ring[w->first].due <= now; w->n--) {
		const struct packet *p = &w->ring[w->first];
		if (write(w->to, w->bytes + p->at, p->n) < 0 && errno == EAGAIN)
			return;
		w->first = (w->first + 1) % QUEUE;
	}
}

static void carry(struct way ways[2], int64_t wait)
{
	struct pollfd fds[2] = {{ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
	while (!ending) {
		int64_t now = now_ns(), next = INT64_MAX;
		for (int i = 0; i < 2; i++) {
			give(&ways[i], now);
			if (ways[i].n != 0 && ways[i].ring[ways[i].first].due < next)
				next = ways[i].ring[ways[i].first].due;
		}
		int64_t left = next == INT64_MAX ? 1000000000 : next > now ? next - now : 0;
		struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		if (ppoll(fds, 2, &t, NULL) > 0)
			for (int i = 0; i < 2; i++)
				take(&ways[i], wait);
	}
}

static pid_t start(char **argv)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"rtt", 1, 0, 'r'}, {"near", 1, 0, 'n'}, {"far", 1, 0, 'f'}, {0, 0, 0, 0}};
	const char *near = NULL, *far = NULL;
	double rtt = 0;
	for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		if (c == 'r')
			rtt = atof(optarg);
		else if (c == 'n')
			near = optarg;
		else if (c == 'f')
			far = optarg;
		else
			return 64;
	}
	if (near == NULL || far == NULL || optind == argc) {
		fprintf(stderr, "usage: distance --rtt MS --near ADDRESS --far ADDRESS COMMAND...\n");
		return 64;
	}
	struct way ways[2] = {{0}};
	int here = device(near, far);
	if (unshare(CLONE_NEWNET) < 0)
		die("network namespace");
	loopback_up();
	int there = device(far, near);
	for (int i = 0; i < 2; i++) {
		ways[i].from = i == 0 ? here : there;
		ways[i].to = i == 0 ? there : here;
		ways[i].ring = calloc(QUEUE, sizeof *ways[i].ring);
		ways[i].bytes = malloc(BYTES);
		if (ways[i].ring == NULL || ways[i].bytes == NULL)
			die("memory");
	}
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	pid_t pid = start(argv + optind);
	if (pid < 0)
		die("fork");
	/* A wire does not wait for a processor. Where that is not permitted it does. */
	sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
	carry(ways, (int64_t)(rtt * 500000));
	int status = 0;
	if (waitpid(pid, &status, WNOHANG) != pid) {
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
	}
	if (ways[0].dropped + ways[1].dropped != 0)
		fprintf(stderr, "distance: %lu packets did not fit on the wire\n",
			ways[0].dropped + ways[1].dropped);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
