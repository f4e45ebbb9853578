#include "src/serve/become.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void become_private(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

static int refused(const char *what, const char *name, struct err *e)
{
	return err_set(e, ERR_CONFIG, "[daemon]", "cannot become %s %s: %s", what, name, strerror(errno));
}

int become(const char *user, const char *group, struct err *e)
{
	if (user == NULL && group == NULL)
		return 0;
	const struct passwd *p = user != NULL ? getpwnam(user) : NULL;
	if (user != NULL && p == NULL)
		return err_set(e, ERR_CONFIG, "[daemon]", "there is no user %s", user);
	uid_t uid = p != NULL ? p->pw_uid : getuid();
	gid_t gid = p != NULL ? p->pw_gid : getgid();
	if (group != NULL) {
		const struct group *g = getgrnam(group);
		if (g == NULL)
			return err_set(e, ERR_CONFIG, "[daemon]", "there is no group %s", group);
		gid = g->gr_gid;
	}
	if (geteuid() == uid && getegid() == gid)
		return 0;
	if (user != NULL && initgroups(user, gid) != 0)
		return refused("user", user, e);
	if (setresgid(gid, gid, gid) != 0)
		return refused("group", group != NULL ? group : user, e);
	if (setresuid(uid, uid, uid) != 0)
		return refused("user", user, e);
	/* The kernel has just made it what fs.suid_dumpable says, which lets crash collectors have a core. */
	become_private();
	/* It must not be possible to take them back. */
	if (uid != 0 && (setuid(0) == 0 || geteuid() == 0))
		return err_set(e, ERR_INTERNAL, "[daemon]", "root's rights could be taken back");
	return 0;
}
