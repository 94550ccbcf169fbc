// Conflict registers two policies, which is one too many.
package main

func main() {}
