// Command ask asks the policy sidecar for one decision and prints allow or deny. Whatever goes wrong is a denial.
//
//	ask PATH INPUT
//
// It exits with 0 for allow, 1 for deny, and 2 where nothing was decided, which is printed as deny as well.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"defenseclaw/client"
)

const patience = 2 * time.Second // for a decision, which takes less than a millisecond

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, `usage: ask PATH INPUT, such as: ask orders/allow '{"role": "clerk", "amount": 40}'`)
		os.Exit(2)
	}
	allowed, err := ask(os.Args[1], json.RawMessage(os.Args[2]))
	switch {
	case allowed: // never with an error
		fmt.Println("allow")
		return
	case err == nil:
		fmt.Println("deny")
		os.Exit(1)
	case errors.Is(err, client.ErrUndefined): // the policy has nothing at the path
		fmt.Println("deny")
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	default: // such as a wrong token, no policy, too many decisions at once, nobody there
		fmt.Println("deny")
		fmt.Fprintln(os.Stderr, "not decided:", err)
		os.Exit(2)
	}
}

// ask reports whether the document at path is true for the input.
func ask(path string, input json.RawMessage) (bool, error) {
	c, err := client.New(client.Config{Timeout: patience}) // a program makes one, and keeps it
	if err != nil {
		return false, err
	}
	defer c.Close()
	return c.Allowed(context.Background(), path, input)
}
