package calc

import (
	"flag"
	"os"
	"strings"
)

func Add(a, b int) int {
	return a + b
}

func Verbose() bool {
	return flag.Lookup("verbose") != nil || strings.HasSuffix(os.Args[0], "calc")
}
