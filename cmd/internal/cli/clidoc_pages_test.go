package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// cliPages are the pages of docs/reference/cli in the order of its index.
var cliPages = []struct{ file, title, about string }{
	{"sidecar.md", "The sidecar", "Commands that run the sidecar, ask how it is, or are about its settings."},
	{"serving.md", "What serves", "Commands about the policy that serves: reload it, look at it, put another back."},
	{"decisions.md", "Decisions that were made", "Commands that make recorded decisions again, and explain them."},
	{"authoring.md", "Writing policy", "Commands for authors of policy; none of them needs a sidecar."},
	{"presets.md", "The default pack", "Commands about the default pack: named policies, single values, and what its domains answer."},
	{"signing.md", "Signatures and bundles", "Commands that sign and verify policy, and build bundles."},
	{"list.md", "Block and allow lists", "Commands about the lists that admission goes by."},
	{"audit.md", "The audit log", "Commands that read the audit log and verify it."},
	{"token.md", "Tokens", "Commands about tokens, which callers of the sidecar present."},
	{"fleet.md", "Fleets", "Commands that publish policy to many sidecars, and show what they serve."},
}

// pageWords has, for each page, the first words of its commands; the longest match counts, and the rest is of the sidecar.
var pageWords = map[string]string{
	"policy reload": "serving.md", "policy status": "serving.md", "policy rollback": "serving.md", "policy hold": "serving.md",
	"policy resume": "serving.md", "policy confirm": "serving.md", "policy approve": "serving.md", "policy reject": "serving.md",
	"policy review": "serving.md", "policy diff": "serving.md", "policy watch": "serving.md", "policy history": "serving.md",
	"policy blame":  "serving.md",
	"policy record": "decisions.md", "policy replay": "decisions.md", "policy why": "decisions.md",
	"policy": "authoring.md", "lsp": "authoring.md",
	"policy list": "presets.md", "policy create": "presets.md", "policy activate": "presets.md", "policy edit": "presets.md",
	"policy show": "presets.md", "policy domains": "presets.md", "policy evaluate": "presets.md", "policy evaluate-firewall": "presets.md",
	"policy sign": "signing.md", "policy verify": "signing.md", "policy bundle": "signing.md",
	"list": "list.md", "audit": "audit.md", "token": "token.md", "fleet": "fleet.md",
}

// pageOf returns the page of a command.
func pageOf(name string) string {
	for name != "" {
		if page, ok := pageWords[name]; ok {
			return page
		}
		name = name[:max(0, strings.LastIndexByte(name, ' '))]
	}
	return "sidecar.md"
}

// shared are flags that many commands take: one page has them, and the commands refer to it.
type shared struct {
	page, title, phrase, about string
	flags                      []cli.Flag
}

func sharedFlags() []shared {
	all := []shared{
		{"../configuration.md", "", "the flags of all settings", "", settingFlags()},
		{
			"README.md", "Which sidecar", "the flags that say which sidecar",
			"A command finds the sidecar of this machine by itself, by the data directory. For another one:", clientFlags(),
		},
		{
			"README.md", "Which policy", "the flags that say which policy",
			"Without an argument or one of these flags, [Writing policy](../../how-to/write-policy.md) says which directory a command reads.",
			slices.DeleteFunc(dirFlags(), func(f cli.Flag) bool { return f.Names()[0] == "embedded" }), // some commands lack it
		},
		{"audit.md", "Which records", "the flags that say which records", "All that are given must hold for a record.", followFlags()},
		{"fleet.md", "Which broker", "the flags that say which broker", "Each of these flags has a variable, which holds where the flag is not given.", fleetFlags()},
	}
	for i := range all {
		showDefaultsOnce(all[i].flags)
	}
	return all
}

// define writes the section of the flags.
func (s shared) define(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", s.title)
	paragraph(b, s.about)
	b.WriteString("\n")
	flagTable(b, s.flags)
}

// link refers to the section from a page.
func (s shared) link(from string) string {
	page := s.page
	if page == from {
		page = ""
	}
	if s.title != "" {
		page += "#" + anchor(s.title)
	}
	return "[" + s.phrase + "](" + page + ")"
}

// has reports whether f is one of the flags.
func (s shared) has(f cli.Flag) bool {
	return slices.ContainsFunc(s.flags, func(one cli.Flag) bool {
		a, ok := one.(cli.DocGenerationFlag)
		b, too := f.(cli.DocGenerationFlag)
		return ok && too && one.Names()[0] == f.Names()[0] && a.GetUsage() == b.GetUsage()
	})
}

// within reports whether a command takes all of the flags.
func (s shared) within(flags []cli.Flag) bool {
	return !slices.ContainsFunc(s.flags, func(one cli.Flag) bool { return !slices.ContainsFunc(flags, shared{flags: []cli.Flag{one}}.has) })
}
