package cli

import (
	"io"
	"os"
	"strings"

	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/cmd/internal/terminal"

	"go.uber.org/zap"
)

// greet logs the sidecar's address and, where the log is for people, prints a first request to try.
func greet(w io.Writer, s settings.Settings, side *sidecar.Sidecar, logger *zap.Logger) {
	url := side.URL()
	logger.Info("listening", zap.String("url", url), zap.String("socket", side.LocalAddr()))
	if addr := side.EnvoyAddr(); addr != "" {
		logger.Info("listening for Envoy", zap.String("address", addr), zap.Bool("dry_run", s.ExtAuthz.DryRun))
	}
	if !logsToPeople(s.LogFormat) {
		return
	}
	dir := s.PolicyDir
	if dir == "" {
		dir = "the embedded default pack"
	}
	how, base := "", url
	socket, local := strings.CutPrefix(side.LocalAddr(), settings.UnixScheme)
	switch {
	case local: // this user needs no token there, and no other user sees one in the list of processes
		how, base = " --unix-socket "+socket, "http://localhost"
	case s.APISocket != "":
		how, base = " --unix-socket "+s.APISocket, "http://localhost"
	case s.TLSCert != "":
		how = " --cacert " + s.TLSCert
	}
	token, headers := "", ""
	if !local {
		token, headers = os.Args[0]+" token --header | ", "-H @- "
	}
	terminal.Fprintf(w, `
  Serving %s on %s
  (%s)
  Try, in another terminal:
    %scurl -s%s %s/policy/evaluate/firewall \
      %s-H "Content-Type: application/json" \
      -d '{"target_type":"skill","destination":"example.com","port":443,"protocol":"tcp"}'

`, dir, url, s.PolicyWhy, token, how, base, headers)
}
