package container

import (
	"path"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Starters lead to the program that their arguments name, and to no other.
func TestStarters(t *testing.T) {
	entries := []entry{{name: "bin/s-c.sh", body: "#!/bin/sh\na\n"}}
	names := strings.Fields("a b c sh bash busybox toybox capsh dbus-daemon execlineb find init python3.11 php-fpm8.2 runuser start-stop-daemon su supervisord user")
	for _, s := range starters {
		names = append(names, s.names...)
	}
	for _, name := range names {
		entries = append(entries, entry{name: "bin/" + name, body: program(name)})
	}
	root := rootOf(t, entries...)
	const sh = "the user's shell is taken for /bin/sh"
	for command, want := range map[string]struct {
		runs string // besides the first program
		not  string
	}{
		"catatonit -g -- a b":                                       {runs: "a"},
		"choom -n 100 -- a":                                         {runs: "a"},
		"chpst -u user -e /env -P a b":                              {runs: "a"},
		"chpst -u user:group -0 chpst -n 5 a":                       {runs: "a"},
		"dbus-run-session -- a":                                     {runs: "dbus-daemon a"},
		"doas -u user a":                                            {runs: "a"},
		"envdir /env a":                                             {runs: "a"},
		"flock -w 5 /lock a b":                                      {runs: "a"},
		"flock -n /lock -c 'a; b'":                                  {runs: "sh a b"},
		"linux32 a":                                                 {runs: "a"},
		"nsenter -t 1 -m a":                                         {runs: "a"},
		"numactl --interleave=all a":                                {runs: "a"},
		"numactl -i all -m 0 a":                                     {runs: "a"},
		"prlimit --nofile=1:2 a":                                    {runs: "a"},
		"s6-applyuidgid -u 1 -g 1 -G 1,2 -z a":                      {runs: "a"},
		"s6-envdir -fn -c x /env s6-softlimit -o 1024 a":            {runs: "s6-softlimit a"},
		"s6-fghack s6-setsid -s a":                                  {runs: "s6-setsid a"},
		"s6-notifyoncheck -d -3 5 -t 100 -c b a":                    {runs: "execlineb a", not: "a program that execlineb interprets: what it starts is not followed"},
		"s6-setlock -t 5 /lock a":                                   {runs: "a"},
		"s6-setuidgid user a":                                       {runs: "s6-envuidgid s6-applyuidgid a"},
		"setarch x86_64 -R a":                                       {runs: "a"},
		"setpriv --reuid user --clear-groups --no-new-privs a":      {runs: "a"},
		"softlimit -m 5 setuidgid user a":                           {runs: "setuidgid a"},
		"time -f x -- a":                                            {runs: "a"},
		"unshare -fp -w / -- a":                                     {runs: "a"},
		"runuser -u user -- a b":                                    {runs: "a"},
		"runuser -uuser -- a":                                       {runs: "a"},
		"runuser user -c 'a x'":                                     {runs: "sh a", not: sh},
		"su user":                                                   {runs: "sh", not: sh + "; a shell that reads what it is to do from its input: what it starts is not followed"},
		"su -s /bin/bash -c 'exec a' user":                          {runs: "bash a"},
		"su - -c a user":                                            {runs: "sh a", not: sh},
		"capsh --user=user -- -c 'a && b'":                          {runs: "bash a b"},
		"start-stop-daemon --start -c user:user --exec /bin/a -- b": {runs: "a"},
		"start-stop-daemon -Sbmp /pid -x /bin/b -a /bin/a":          {runs: "a"},
		"start-stop-daemon --stop -p /pid":                          {},
		"busybox chpst -u user a":                                   {runs: "a"},
		"toybox nice -n 5 a":                                        {runs: "a"},
		"find / -name x -exec a {} ; -execdir b +":                  {runs: "a b"},
		"python3.11 -u /app.py --flag":                              {not: "a program that python3.11 interprets: what it starts is not followed"},
		"php-fpm8.2":                                                {not: "a program that php-fpm8.2 interprets: what it starts is not followed"},
		"supervisord -n":                                            {not: "what it starts is in its configuration, and is not followed"},
		"init":                                                      {not: "what it starts is in its configuration, and is not followed"},
		"b a c":                                                     {},
		"xargs -n 1":                                                {not: `"echo", which it is to start: not in the image's PATH (` + defaultPath + ")"},
		"timeout -k 5 10":                                           {},
	} {
		plan, err := root.Follow(v1.Config{Cmd: Words(command)})
		if err != nil {
			t.Fatal(err)
		}
		var runs, not []string
		for _, p := range plan.Programs[1:] {
			runs = append(runs, path.Base(p.Path))
		}
		for _, u := range plan.Unfollowed {
			not = append(not, u.Why)
		}
		if first, own := plan.Programs[0], strings.HasPrefix(command, "b "); first.Others != own {
			t.Errorf("%s: may start others: %v", command, first.Others)
		}
		if got := strings.Join(runs, " "); got != want.runs {
			t.Errorf("%s: runs %q, want %q", command, got, want.runs)
		}
		if got := strings.Join(not, "; "); got != want.not {
			t.Errorf("%s: not followed: %q, want %q", command, got, want.not)
		}
	}
	for i, s := range starters {
		for _, other := range starters[i+1:] {
			if slices.ContainsFunc(s.names, func(name string) bool { return slices.Contains(other.names, name) }) {
				t.Errorf("%v: twice", s.names)
			}
		}
	}
}
