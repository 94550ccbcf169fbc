package main

import "C"

// usesCgo: Go's runtime is not the only one that starts threads.
const usesCgo = true
