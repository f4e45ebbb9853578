/* Every command, in the order of `postrider help`. X(name of the const struct command). */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#define COMMANDS(X)                                                                                                \
	X(cmd_render)                                                                                              \
	X(cmd_help)                                                                                                \
	X(cmd_version)

#endif
