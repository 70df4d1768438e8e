package settings

// ServesConsole reports whether the pages of the console are served by a listener at a host: beyond loopback only if somebody
// asked for them.
func (s Settings) ServesConsole(host string) bool {
	return s.Console && (s.consoleSetBy != "" || loopback(host))
}
