/* Compiles filters with libseccomp, for a test that compares them with ours.
 *
 * Reads from standard input, a line each:
 *   init ACTION              a new filter with this default action
 *   arch TOKEN               one more architecture; the first replaces the native one
 *   rule ACTION NAME N (INDEX OP DATUM_A DATUM_B)*N
 *   export                   writes the filter
 *   known NAME               writes a line "known 1" if it has a number, else "known 0"
 * All numbers are hexadecimal. For every rule it writes a line "rule RC"; for
 * every export "filter BYTES" and so many bytes.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what, int rc)
{
	fprintf(stderr, "%s: %d\n", what, rc);
	exit(1);
}

static void export_filter(scmp_filter_ctx ctx)
{
	static char bytes[1 << 20];
	FILE *f = tmpfile();
	size_t n;
	int rc;

	if (!f)
		die("tmpfile", 0);
	if ((rc = seccomp_export_bpf(ctx, fileno(f))))
		die("seccomp_export_bpf", rc);
	rewind(f);
	n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	printf("filter %zx\n", n);
	fwrite(bytes, 1, n, stdout);
	fflush(stdout);
}

int main(void)
{
	scmp_filter_ctx ctx = NULL;
	int first = 0, rc;
	char word[128];

	while (scanf("%127s", word) == 1) {
		if (!strcmp(word, "init")) {
			unsigned action;
			if (scanf("%x", &action) != 1)
				die("init", 0);
			if (ctx)
				seccomp_release(ctx);
			if (!(ctx = seccomp_init(action)))
				die("seccomp_init", 0);
			first = 1;
		} else if (!strcmp(word, "arch")) {
			unsigned token;
			if (scanf("%x", &token) != 1)
				die("arch", 0);
			/* Before it adds one, or another byte order would not fit. */
			if (first && token != seccomp_arch_native() &&
			    (rc = seccomp_arch_remove(ctx, seccomp_arch_native())))
				die("seccomp_arch_remove", rc);
			if (token != seccomp_arch_native() && (rc = seccomp_arch_add(ctx, token)))
				die("seccomp_arch_add", rc);
			first = 0;
		} else if (!strcmp(word, "rule")) {
			struct scmp_arg_cmp args[6];
			unsigned action, n, i;
			int nr;
			if (scanf("%x %127s %x", &action, word, &n) != 3 || n > 6)
				die("rule", 0);
			for (i = 0; i < n; i++) {
				unsigned index, op;
				unsigned long long a, b;
				if (scanf("%x %x %llx %llx", &index, &op, &a, &b) != 4)
					die("comparison", 0);
				args[i] = (struct scmp_arg_cmp){index, op, a, b};
			}
			nr = seccomp_syscall_resolve_name(word);
			rc = nr == __NR_SCMP_ERROR ? 1 : seccomp_rule_add_array(ctx, action, nr, n, args);
			printf("rule %d\n", rc);
		} else if (!strcmp(word, "known")) {
			if (scanf("%127s", word) != 1)
				die("known", 0);
			printf("known %d\n", seccomp_syscall_resolve_name(word) != __NR_SCMP_ERROR);
			fflush(stdout);
		} else if (!strcmp(word, "export")) {
			export_filter(ctx);
		} else {
			die(word, 0);
		}
	}
	if (ctx)
		seccomp_release(ctx);
	return 0;
}
