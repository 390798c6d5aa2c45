// Controller is a controller that can be killed, see package mortal. Its argument is the path of its Config, as JSON.
package main

import (
	"fmt"
	"os"

	"github.com/hubring/hubring/e2e/internal/mortal"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: controller CONFIG")
		os.Exit(2)
	}
	os.Exit(mortal.Main(os.Args[1]))
}
