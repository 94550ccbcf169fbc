// Helloworld runs in a container under a profile that has what it calls, and no more:
//
//	examples/helloworld/build-and-run.sh [docker|podman|runc]
//
// builds it, makes its profile with sysgate, builds an image and runs it.
package main

import "fmt"

func main() { fmt.Println("Hello World!") }
