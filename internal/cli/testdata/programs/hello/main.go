// Command hello greets, and ends with the code that it is told.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	fmt.Println("hello", os.Args[1:])
	if len(os.Args) > 1 {
		code, _ := strconv.Atoi(os.Args[1])
		os.Exit(code)
	}
}
