/* Every command, in the order of `postrider help` within each group. X(name of the const struct command). */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#define COMMANDS(X)                                                                                          \
	X(cmd_init)                                                                                          \
	X(cmd_check)                                                                                         \
	X(cmd_preview)                                                                                       \
	X(cmd_test)                                                                                          \
	X(cmd_import)                                                                                        \
	X(cmd_export)                                                                                        \
	X(cmd_lists)                                                                                         \
	X(cmd_list)                                                                                          \
	X(cmd_contacts)                                                                                      \
	X(cmd_contact)                                                                                       \
	X(cmd_suppressions)                                                                                  \
	X(cmd_hygiene)                                                                                       \
	X(cmd_render)                                                                                        \
	X(cmd_send)                                                                                          \
	X(cmd_pause)                                                                                         \
	X(cmd_resume)                                                                                        \
	X(cmd_cancel)                                                                                        \
	X(cmd_campaigns)                                                                                     \
	X(cmd_status)                                                                                        \
	X(cmd_report)                                                                                        \
	X(cmd_receive)                                                                                       \
	X(cmd_fetch)                                                                                         \
	X(cmd_bounces)                                                                                       \
	X(cmd_trace)                                                                                         \
	X(cmd_serve)                                                                                         \
	X(cmd_dkim)                                                                                          \
	X(cmd_history)                                                                                       \
	X(cmd_reclassify)                                                                                    \
	X(cmd_prune)                                                                                         \
	X(cmd_doctor)                                                                                        \
	X(cmd_backup)                                                                                        \
	X(cmd_restore)                                                                                       \
	X(cmd_adopt)                                                                                         \
	X(cmd_sandbox)                                                                                       \
	X(cmd_help)                                                                                          \
	X(cmd_version)

#endif
