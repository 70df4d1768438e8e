package sidecar

import "defenseclaw/api/console"

// makeConsole makes the pages for people, where they are served. They need an address: no browser opens a Unix socket.
func (s *Sidecar) makeConsole() error {
	set := s.cfg.Settings
	if set.APISocket != "" || !set.ServesConsole(s.bindHost) {
		return nil
	}
	pages, err := console.New(console.Config{Version: s.cfg.Version, TLS: set.TLSCert != ""})
	if err != nil {
		return err
	}
	s.pages = pages
	return nil
}
