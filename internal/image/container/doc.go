// Package container reads container images and finds the programs that a
// container made from one runs.
//
// [Open] finds an image: an archive of docker save or of an OCI layout (plain,
// gzip or zstd), a layout directory, or a reference to a registry.
// [Image.Unpack] applies its layers and leaves what an analysis of its programs
// needs in a temporary directory, a [Root]: executables and libraries, the links
// to them, the configuration of the dynamic loader and of name services.
// [Root.Follow] follows a command as the kernel and well-known starters do:
// PATH, "#!" lines, env, tini, sh -c, busybox, and the commands of shell scripts.
//
// Everything is read as a stream, once: no layer and no file is ever whole in
// memory, and a layer is held against its digest. Images are not trusted. Names
// and links cannot leave the root, and how much an image may hold is bounded
// ([Open] and [Image.Unpack] say which bound it passed).
//
// Limits: Linux images with manifests of OCI or Docker schema 2; no encrypted and
// no foreign layers. A layer's file below a directory that is a symbolic link
// goes where the link leads. Names that a shell script computes, and what another
// interpreter's program starts, are not followed, but reported.
package container
