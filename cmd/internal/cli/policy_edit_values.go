package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"defenseclaw/cmd/internal/preset"

	"github.com/urfave/cli/v2"
)

func editGuardrail(c *cli.Context) (edits []preset.Edit, err error) {
	for _, of := range []struct{ flag, key string }{{"block-threshold", "block_threshold"}, {"alert-threshold", "alert_threshold"}} {
		if !c.IsSet(of.flag) {
			continue
		}
		// 0 would also block what has no finding, and 5 nothing at all.
		rank, err := number(c.String(of.flag), 4)
		if err != nil {
			return nil, fmt.Errorf("--%s is %q: a rank from 1 (LOW) to 4 (CRITICAL) was expected", of.flag, c.String(of.flag))
		}
		edits = append(edits, preset.Set(rank, "guardrail", of.key))
	}
	level, err := word(c, "cisco-trust-level", "full", "full", "advisory", "advisory", "none", "none")
	if err != nil {
		return nil, err
	}
	if level != "" {
		edits = append(edits, preset.Set(level, "guardrail", "cisco_trust_level"))
	}
	return edits, nil
}

func editFirewall(c *cli.Context) (edits []preset.Edit, err error) {
	action, err := word(c, "default-action", "allow", "allow", "deny", "deny")
	if err != nil {
		return nil, err
	}
	if action != "" {
		edits = append(edits, preset.Set(action, "firewall", "default_action"))
	}
	for _, of := range []struct{ flag, key string }{{"domain", "allowed_domains"}, {"blocked", "blocked_destinations"}} {
		add, remove := c.StringSlice("add-"+of.flag), c.StringSlice("remove-"+of.flag)
		for _, host := range add {
			if !isHost(host) {
				return nil, fmt.Errorf("--add-%s is %q: the name of a host, an address or a CIDR block was expected, with no scheme, port or path", of.flag, host)
			}
		}
		if len(add)+len(remove) > 0 {
			edits = append(edits, preset.Items(add, remove, "firewall", of.key))
		}
	}
	add, err := ports(c, "add-port")
	if err != nil {
		return nil, err
	}
	remove, err := ports(c, "remove-port")
	if err != nil {
		return nil, err
	}
	if len(add)+len(remove) > 0 {
		edits = append(edits, preset.Items(add, remove, "firewall", "allowed_ports"))
	}
	return edits, nil
}

func ports(c *cli.Context, flag string) (list []int, err error) {
	for _, text := range c.StringSlice(flag) {
		port, err := number(text, 65535)
		if err != nil {
			return nil, fmt.Errorf("--%s is %q: a port from 1 to 65535 was expected", flag, text)
		}
		list = append(list, port)
	}
	return list, nil
}

func number(text string, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err == nil && (n < 1 || n > most) {
		err = strconv.ErrRange
	}
	return n, err
}

var hostName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\*\.)?[\pL\pN_]([\pL\pN_-]*[\pL\pN_])?(\.[\pL\pN_]([\pL\pN_-]*[\pL\pN_])?)*\.?$`)
})

// isHost tells what the rules of the firewall can compare with a destination. A URL would be on the list, and match nothing.
func isHost(text string) bool {
	_, notAddress := netip.ParseAddr(text)
	_, notBlock := netip.ParsePrefix(text)
	return notAddress == nil || notBlock == nil || hostName().MatchString(text)
}

// opensAllPorts returns an error if the last allowed port goes: an empty list allows every port, the
// opposite of what was asked for.
func opensAllPorts(changes []preset.Change) error {
	for _, change := range changes {
		var left []json.RawMessage
		if change.Path == "firewall.allowed_ports" && json.Unmarshal(change.After, &left) == nil && len(left) == 0 {
			return errors.New("firewall.allowed_ports would be empty, which allows all ports: one that stays was expected, such as with --add-port 443")
		}
	}
	return nil
}
