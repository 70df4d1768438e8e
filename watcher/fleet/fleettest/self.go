package fleettest

import (
	"fmt"
	"io"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// brokerVariable names the configuration file of the broker that a test's binary is to be.
const brokerVariable = "FLEETTEST_BROKER"

// Main makes the test's binary the broker that [StartProcess] starts, which is nats-server as its module has it. A TestMain
// calls it first. It returns at once in all other processes.
func Main() {
	file := os.Getenv(brokerVariable)
	if file == "" {
		return
	}
	if err := serve(file); err != nil {
		fmt.Fprintln(os.Stderr, err) //nolint:forbidigo // the log of a process of its own
		os.Exit(1)                   //nolint:forbidigo // this is its main
	}
	os.Exit(0) //nolint:forbidigo // as above
}

func serve(file string) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	go func() {
		// Its end is the end of the test's process, which may be killed.
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Shutdown()
	}()
	s.Start()
	s.WaitForShutdown()
	return nil
}
