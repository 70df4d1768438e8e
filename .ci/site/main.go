// Command site makes the documentation site of the repository's Markdown: plain files that need no server and no network.
//
//	site [-root DIR] [-out DIR] [-serve ADDRESS]
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	root := flag.String("root", "../..", "the repository")
	out := flag.String("out", "../../dist/site", "where the site is written; what was there is deleted")
	address := flag.String("serve", "", "serve the site at this address, such as 127.0.0.1:1313, until Ctrl-C")
	flag.Parse()
	err := build(*root, *out)
	if err == nil && *address != "" {
		err = serve(*out, *address)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func serve(dir, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr())
	server := http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
