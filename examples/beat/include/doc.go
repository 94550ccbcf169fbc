// Package include registers the seccomp policy of the service for the
// architecture that it is built for. The other files are generated: see the
// Makefile.
package include
