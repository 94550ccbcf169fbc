/* Compiles a policy with libseccomp: reads it from standard input, writes the raw
 * filter to standard output and the least time of a compilation in nanoseconds to
 * standard error.
 *
 *   libseccomp OPTIMIZE REPETITIONS ARCH...
 *
 * The input is "default ACTION", then a line per rule: ACTION NAME NUMBER, and for
 * each condition INDEX OP VALUE VALUETWO. The number stands for a name that this
 * version does not know, where x86_64 is the only architecture. */
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct rule {
	uint32_t action;
	int nr;
	unsigned n;
	struct scmp_arg_cmp args[6];
};

static struct rule rules[4096];
static unsigned n_rules;
static uint32_t fallback;

static void die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void read_rules(int n_arches)
{
	char line[1024], *word, *rest;
	int number;

	while (fgets(line, sizeof(line), stdin)) {
		struct rule *r = &rules[n_rules];

		word = strtok_r(line, " \n", &rest);
		if (strcmp(word, "default") == 0) {
			fallback = strtoul(strtok_r(NULL, " \n", &rest), NULL, 0);
			continue;
		}
		r->action = strtoul(word, NULL, 0);
		r->nr = seccomp_syscall_resolve_name(strtok_r(NULL, " \n", &rest));
		number = atoi(strtok_r(NULL, " \n", &rest));
		if (r->nr == __NR_SCMP_ERROR && n_arches > 1)
			continue;
		if (r->nr == __NR_SCMP_ERROR)
			r->nr = number;
		while ((word = strtok_r(NULL, " \n", &rest))) {
			struct scmp_arg_cmp *a = &r->args[r->n++];

			a->arg = strtoul(word, NULL, 0);
			a->op = strtoul(strtok_r(NULL, " \n", &rest), NULL, 0);
			a->datum_a = strtoull(strtok_r(NULL, " \n", &rest), NULL, 0);
			a->datum_b = strtoull(strtok_r(NULL, " \n", &rest), NULL, 0);
		}
		n_rules++;
	}
}

static int compile(unsigned optimize, int n_arches, char **arches, FILE *out)
{
	scmp_filter_ctx ctx = seccomp_init(fallback);
	int err;

	if (!ctx)
		die("seccomp_init", ENOMEM);
	if ((err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)))
		die("bad architecture", err);
	if ((err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize)))
		die("optimize", err);
	for (int i = 0; i < n_arches; i++) {
		err = seccomp_arch_add(ctx, seccomp_arch_resolve_name(arches[i]));
		if (err && err != -EEXIST)
			die(arches[i], err);
	}
	for (unsigned i = 0; i < n_rules; i++) {
		struct rule *r = &rules[i];

		err = seccomp_rule_add_array(ctx, r->action, r->nr, r->n, r->args);
		if (err && err != -EDOM) /* a name that an architecture lacks */
			die("rule", err);
	}
	err = seccomp_export_bpf(ctx, fileno(out));
	seccomp_release(ctx);
	return err;
}

int main(int argc, char **argv)
{
	long least = 1L << 60;
	int repetitions = atoi(argv[2]);

	read_rules(argc - 3);
	for (int i = 0; i < repetitions; i++) {
		struct timespec a, b;
		FILE *out = tmpfile();
		long took;
		int err;

		clock_gettime(CLOCK_MONOTONIC, &a);
		err = compile(atoi(argv[1]), argc - 3, argv + 3, out);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (err)
			die("export", err);
		took = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
		if (took < least)
			least = took;
		fclose(out);
	}
	if (compile(atoi(argv[1]), argc - 3, argv + 3, stdout))
		die("export", EIO);
	fprintf(stderr, "%ld", least);
	return 0;
}
