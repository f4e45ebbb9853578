/* Every command, in the order of `postrider help` within each group. X(name of the const struct command). */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#define COMMANDS(X)                                                                                                \
	X(cmd_init)                                                                                                \
	X(cmd_render)                                                                                              \
	X(cmd_history)                                                                                             \
	X(cmd_help)                                                                                                \
	X(cmd_version)

#endif
