/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
		puts("shunt " SHUNT_VERSION);
		return 0;
	}
	fputs("usage: shunt version\n", stderr);
	return 2;
}
