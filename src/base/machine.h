/* Which machine this is, so that a database knows when it has been carried to another. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#define MACHINE_ID_MAX   33
#define MACHINE_NAME_MAX 256
#define MACHINE_BOOT_MAX 64

/* The name that somebody gave it where `chosen` is not NULL; else the system's machine id (machine-id(5),
 * never shown as it is); else, without one, the host's name. 32 hex digits. */
void machine_id(const char *chosen, char out[MACHINE_ID_MAX]);
/* A name for the time since the system's last start (random(4)), the same in every container; "" where the
 * kernel does not say. */
void machine_boot(char out[MACHINE_BOOT_MAX]);
/* The host's name, for people; "" where there is none. */
void machine_name(char out[MACHINE_NAME_MAX]);

#endif
